# SPDX-License-Identifier: Apache-2.0
"""What an authority hands to a gate that admits an agent: all of it from the fold of its log."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from sekisho.core.encoding import canonical
from sekisho.core.errors import NotAuthorised, Unavailable
from sekisho.core.governance.resolution import Resolution
from sekisho.core.governance.roster import Roster
from sekisho.services.admission import Admission
from sekisho.services.registerlog import RegisterLog


def admission_of(log: RegisterLog, roster: Callable[[str], Roster], agent: str) -> Admission:
    """What a gate needs to admit the agent under its active certificate.

    ``roster`` gives one that is, or was, in force: the approvals are those of its people.

    Raises:
        NotAuthorised: the agent has no active certificate.
        Unavailable: its entry is not durable yet.
    """
    state = log.state
    record = state.active(agent, log.now())
    if record is None:
        raise NotAuthorised(f"{agent!r} has no active certificate")
    if record.index >= log.journal.durable_size:
        raise Unavailable(f"the certificate of {agent!r} is being recorded; ask again")
    pair = state.renewals.get(agent)
    resolution = msgspec.convert(state.resolutions[record.resolution_sha256], Resolution)
    return Admission(
        agent=agent,
        certificate=record.certificate,
        issuing=state.issuing_certificate,
        root=state.root_certificate,
        policy=canonical(state.policies[record.policy_sha256].policy),
        resolution=resolution,
        roster=roster(resolution.roster_sha256),
        authority_index=record.index,
        renews="" if pair is None else pair.before.sha256,
    )
