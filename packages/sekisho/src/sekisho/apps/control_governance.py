# SPDX-License-Identifier: Apache-2.0
"""Governance over the control plane: differences, withdrawals, limits, the roster
(docs/spec/control-plane.md section 5).

One handler a row of the access table, as in ``control_routes``; none decides anything.
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from sekisho.apps.control_answers import JSON, Refused, told
from sekisho.apps.control_api import Asker, ControlRequest, Serves
from sekisho.core.governance.access import PEOPLE
from sekisho.core.governance.withdrawal import Withdrawal
from sekisho.services import authoritywire as wire
from sekisho.services.pages import begin_or_follow, read_limit
from sekisho.services.repeatable import ControlAnswer
from sekisho.services.rosterdesk import RosterWanted

YAML: Final = "application/yaml"
_DIGEST = re.compile(r"[0-9a-f]{64}")


async def difference(asked: ControlRequest) -> ControlAnswer:
    """What changes from one registered policy to another."""
    before, after = (_digest(asked, name) for name in ("digest", "other"))
    return _found(asked.here.governance.difference(before, after))


async def withdraw(asked: ControlRequest) -> ControlAnswer:
    """An approver takes an approval back."""
    _brought_by(asked.asker, {wire.read(asked.body, Withdrawal).seat})
    return told(await asked.here.governance.withdraw(asked.body))


async def register_limits(asked: ControlRequest) -> ControlAnswer:
    """Register limits above agents."""
    return told(await asked.here.register_limits(asked.body, asked.media_type), 201)


async def limits(asked: ControlRequest) -> ControlAnswer:
    """Registered limits."""
    desk = asked.here.governance
    cursor = begin_or_follow(asked.query.get("cursor", ""), ("limits",), asked.here.desk.size)
    page = desk.limits(cursor, read_limit(asked.query.get("limit", "")))
    return told({"items": page.rows, "next": page.next})


async def limits_of(asked: ControlRequest) -> ControlAnswer:
    """Some of them."""
    return _found(asked.here.governance.limits_of(_digest(asked, "digest")))


async def change_roster(asked: ControlRequest) -> ControlAnswer:
    """Replace the roster."""
    wanted = wire.read(asked.body, RosterWanted)
    _brought_by(asked.asker, {one.seat for one in wanted.approvals})
    return told(await asked.here.governance.change_roster(wanted))


def served_to_governance() -> dict[tuple[str, str], Serves]:
    """How these rows are answered."""
    return {
        ("GET", "policies/{digest}/diff/{other}"): Serves(difference),
        ("POST", "withdrawals"): Serves(withdraw, media=(JSON,)),
        ("POST", "limits"): Serves(register_limits, media=(JSON, YAML), creates=True),
        ("GET", "limits"): Serves(limits, ("cursor", "limit")),
        ("GET", "limits/{digest}"): Serves(limits_of),
        ("POST", "roster"): Serves(change_roster, media=(JSON,)),
    }


def _brought_by(asker: Asker, signers: set[str]) -> None:
    """A person brings what that person signed. Raises Refused."""
    if asker.role in PEOPLE and asker.seat not in signers:
        raise Refused("forbidden", f"{asker.seat!r} has not signed this, and brings it")


def _found(sheet: msgspec.Struct | None) -> ControlAnswer:
    if sheet is None:
        raise Refused("not-found", "there is no such thing here, or not yet")
    return told(sheet)


def _digest(asked: ControlRequest, name: str) -> Any:
    if _DIGEST.fullmatch(asked.path[name]) is None:
        raise Refused("not-found", "there is no such thing here: 64 lower-case hexadecimal digits")
    return asked.path[name]
