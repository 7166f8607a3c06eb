# SPDX-License-Identifier: Apache-2.0
"""The starter ``gate.toml`` of a gate that was enrolled (docs/reference/gate-configuration.md).

Text alone: what it names is made by ``enrolling``. No secret is in it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from sekisho.config import Config
from sekisho.core.governance.policy import Policy

_NO_AGENT = """
# Nobody may ask yet, so the gate does not start. For each agent: put its key into keys/agents, run
# `sekisho gate new-token`, keep the token for the bot, and write
#
# [[agents]]
# name = "NAME"
# uid = 1234
# token_sha256 = "DIGEST"
"""
_NO_VENUE = """
# Nothing can be permitted without rates and a venue. For each rate source of the agents' policies
# and for each venue, write
#
# [[rates]]
# source = "NAME"
# kind = "http"
# address = "https://HOST:PORT/PATH"
#
# [[venues]]
# name = "NAME"
# kind = "fix"
# address = "HOST:PORT"
# credential_file = "keys/venue-NAME"
"""
_PAPER_RATES = """
# In a trial the paper venue is every rate source that the policies name. They never disagree so: in
# earnest each is another firm, at an address of its own.
"""


class Bound(NamedTuple):
    """What an enrolment binds a gate to: the name of its log, and the roster that it believes."""

    origin: str
    roster_sha256: str


def rate_sources(policy: Policy) -> tuple[str, ...]:
    """The rate sources that a policy wants, by name."""
    return policy.scope.reference_rates.sources


def gate_lines(
    config: Config, name: str, bound: Bound, home: Path, folder: Path, tokens: Mapping[str, str]
) -> list[str]:
    """The settings of the gate itself and of its agents.

    Args:
        config: of the home.
        name: of the gate.
        bound: what its enrolment binds it to.
        home: where the authority listens.
        folder: of the gate; paths of the file are relative to it.
        tokens: agent → SHA-256 of its token.
    """
    unix = [one.address for one in config.serve.listen if one.address.startswith("unix:")]
    socket = home.absolute() / (unix or ["unix:authority.sock"])[0].removeprefix("unix:")
    values = {
        "gate": name,
        "region": config.region,
        "environment": config.environment,
        "origin": bound.origin,
        "roster_sha256": bound.roster_sha256,
        "log": "gate",
        "log_key": "file:keys/gate-log.key",
        "passphrase_file": "keys/passphrase",
        "agent_keys": "keys/agents",
        "root": "root.pem",
        "issuing": "issuing.pem",
        "responder": "responder.pem",
        "oid_arc": config.oid_arc,
        "authority": f"unix:{os.path.relpath(socket, folder.absolute())}",
    }
    lines = [
        "# SPDX-License-Identifier: Apache-2.0",
        "# One gate; paths are relative to this file (docs/reference/gate-configuration.md).",
        *(f'{field} = "{value}"' for field, value in values.items()),
    ]
    for agent, digest in tokens.items():
        rows = {"name": f'"{agent}"', "uid": '"own"', "token_sha256": f'"{digest}"'}
        lines += table("agents", rows)
    if not tokens:
        lines += _NO_AGENT.rstrip("\n").split("\n")
    return lines


def no_venue_lines() -> list[str]:
    """What to write where no venue was named."""
    return _NO_VENUE.rstrip("\n").split("\n")


def paper_lines(
    venue: str, address: str, credential_file: str, sources: Sequence[str]
) -> list[str]:
    """The paper venue, also as each of these rate sources.

    Args:
        venue: its name.
        address: of the permit protocol, ``unix:PATH``.
        credential_file: the gate's credential for it.
        sources: as the agents' policies name them.
    """
    where = {"address": f'"{address}"', "credential_file": f'"{credential_file}"'}
    lines = table("venues", {"name": f'"{venue}"', "kind": '"paper"', **where})
    lines += _PAPER_RATES.rstrip("\n").split("\n")
    for source in sources or (venue,):
        lines += table("rates", {"source": f'"{source}"', "kind": '"http"', **where})
    return lines


def table(name: str, rows: Mapping[str, str]) -> list[str]:
    """One table of an array of tables; values are written as they are."""
    return ["", f"[[{name}]]", *(f"{field} = {value}" for field, value in rows.items())]
