# SPDX-License-Identifier: Apache-2.0
"""The whole of what ``sekisho serve`` answers: the gates' link of each operator, and the control
plane (docs/spec/processes.md section 1, docs/spec/control-plane.md).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from starlette.applications import Starlette
from starlette.routing import Route

from sekisho.apps.authority_api import AuthorityApi, authority_app
from sekisho.apps.control_api import ControlApi
from sekisho.apps.control_document import control_document
from sekisho.apps.control_routes import ServerHandlers, control_routes
from sekisho.apps.replica_api import replica_routes
from sekisho.compose.control_plane import ControlPlane, Linked
from sekisho.services.replicas import OtherReplicas


def served_app(
    own: Linked,
    linked: dict[str, Linked],
    control: ControlPlane,
    others: OtherReplicas | None,
    is_replica: Callable[[Mapping[str, Any]], bool],
) -> Starlette:
    """The ASGI application.

    Args:
        own: the home's own operator, which is also reached without a prefix.
        linked: every operator by its name.
        control: the control plane over them.
        others: the other replicas, where this one writes.
        is_replica: whether a connection is that of one.
    """
    routes: list[Route] = []
    for name, one in linked.items():
        routes += AuthorityApi(*one).routes(f"/v1/operators/{name}")
    api = ControlApi(
        hosted=control.hosted,
        owner=control.owner,
        keys=control.keys,
        repeatable=control.repeatable,
        entropy=control.entropy,
        said=control.said,
    )
    server = ServerHandlers(control.keys, control.operators, control.missing, control_document())
    if others is not None:
        routes += replica_routes(others, is_replica)
    return authority_app(*own, [*routes, *control_routes(api, server)])
