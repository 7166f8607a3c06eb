# SPDX-License-Identifier: Apache-2.0
"""The authority of a home that another process serves, for the commands of people.

A home is used by one process. Where that is ``sekisho serve``, a command is signed here, by the
person's key, and carried out there. Whoever cannot connect opens the home, and is refused if
somebody has it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from sekisho.adapters.authority.http_link import HttpLink
from sekisho.adapters.signers.opening import read_passphrase
from sekisho.compose.home import Surroundings, TrustedCertificates
from sekisho.config import read_config
from sekisho.core.encoding import b64, sha256_hex, unb64
from sekisho.core.errors import (
    MalformedInput,
    NotAuthorised,
    OutcomeUnknown,
    Unavailable,
    VerificationFailed,
)
from sekisho.core.governance.commands import SignedCommand
from sekisho.core.governance.document import Registration
from sekisho.core.governance.policy import Policy, policy_from_canonical
from sekisho.core.governance.resolution import Approval
from sekisho.core.governance.roster import Roster
from sekisho.core.governance.shape import AppliedDefault
from sekisho.core.governance.withdrawal import Withdrawal
from sekisho.services import authoritywire as wire
from sekisho.services.governancedesk import LimitsShown
from sekisho.services.peopledesk import (
    ApprovalTaken,
    IncidentPage,
    IncidentSheet,
    IssueAnswer,
    IssueRequest,
    LogAnswer,
    LogRequest,
    PolicySheet,
)
from sekisho.services.policydesk import WithdrawalTaken
from sekisho.services.rosterdesk import RosterTaken, RosterWanted

THERE_WAIT_S = 1.0
ACT_WAIT_S = 20.0
"""An act waits five seconds for gates, and as long for each of its other steps."""

_T = TypeVar("_T")


class RunningAuthority:
    """One served home, as people's commands need it; of its agents only those looked up."""

    def __init__(self, path: Path, link: HttpLink, roster: Roster, around: Surroundings) -> None:
        self.path = path
        self.around = around
        self.roster = roster
        self._link = link
        self._agents: dict[str, wire.AgentSheet] = {}

    @property
    def authority(self) -> RunningAuthority:
        """Itself: what is asked of a home's authority is asked of this one."""
        return self

    @property
    def state(self) -> RunningAuthority:
        """Itself: the epochs of the agents that were looked up."""
        return self

    def passphrase(self) -> bytes:
        """The passphrase of the home's keys."""
        return read_passphrase(self.path / read_config(self.path).passphrase_file)

    def agent_epoch(self, agent: str) -> int:
        """The epoch of an agent that was looked up."""
        return self._agents[agent].epoch

    async def look_up(self, agent: str) -> wire.AgentSheet:
        """Epoch, gate and open incident of an agent. Raises NotAuthorised: unknown there."""
        data = await self._ask("GET", f"agents/{agent}")
        self._agents[agent] = _answer(data, wire.AgentSheet)
        return self._agents[agent]

    async def command(self, signed: tuple[SignedCommand, ...], form: type[_T]) -> _T:
        """Have a command carried out; what it achieved.

        Raises:
            OutcomeUnknown: no answer; perhaps it was carried out.
        """
        body = wire.write(wire.SignedCommands(commands=wire.command_texts(signed)))
        return _answer(await self._act("commands", body), form)

    async def registration(self, digest: str) -> Registration:
        """A registered policy, its digest computed here. Raises ConfigurationInvalid: unknown."""
        sheet = _answer(await self._ask("GET", f"policies/{digest}"), PolicySheet)
        encoded = sheet.canonical.encode()
        if sha256_hex(encoded) != digest:
            raise VerificationFailed(f"what was shown is not the policy {digest}; nothing signed")
        return Registration(
            policy=policy_from_canonical(encoded),
            canonical=encoded,
            sha256=sha256_hex(encoded),
            defaults=tuple(AppliedDefault(**one) for one in sheet.defaults),
            notes=sheet.notes,
        )

    async def incidents(self) -> list[IncidentSheet]:
        """Every incident, in the order of recording. Raises NotAuthorised: another's authority."""
        found: list[IncidentSheet] = []
        while True:
            data = await self._ask("GET", f"incidents?after={len(found)}")
            page = _answer(data, IncidentPage)
            found += page.incidents
            if not page.more or not page.incidents:
                return found

    async def approve(self, approval: Approval) -> ApprovalTaken:
        """Give an approval. Raises OutcomeUnknown: no answer."""
        return _answer(await self._act("approvals", wire.write(approval)), ApprovalTaken)

    async def withdraw(self, withdrawal: Withdrawal) -> WithdrawalTaken:
        """Take an approval back. Raises OutcomeUnknown: no answer."""
        return _answer(await self._act("withdrawals", wire.write(withdrawal)), WithdrawalTaken)

    async def change_roster(self, wanted: RosterWanted) -> RosterTaken:
        """Replace the roster. Raises OutcomeUnknown: no answer."""
        return _answer(await self._act("roster", wire.write(wanted)), RosterTaken)

    async def limits_of(self, digest: str) -> LimitsShown | None:
        """Registered limits; None: not registered there."""
        path = f"/v1/limits/{digest}"
        status, data = await self._link.ask("GET", path, b"", wait_s=THERE_WAIT_S)
        if status == 404:
            return None
        if status != 200:
            raise wire.failure_of(status, data)
        return _answer(data, LimitsShown)

    async def certified_under(self, agent: str) -> str:
        """Digest of the policy under which an agent was certified last; empty if it never was."""
        try:
            return (await self.look_up(agent)).policy_sha256
        except NotAuthorised:
            return ""

    async def issue(self, asked: IssueRequest) -> IssueAnswer:
        """Have an agent certified. Raises OutcomeUnknown: no answer."""
        return _answer(await self._act("certificates", wire.write(asked)), IssueAnswer)

    async def certify_log(self, origin: str, public_key: bytes) -> TrustedCertificates:
        """Have the key (DER) of a gate's log certified. Raises OutcomeUnknown: no answer."""
        body = wire.write(LogRequest(origin=origin, public_key=b64(public_key)))
        answer = _answer(await self._act("logs", body), LogAnswer)
        return TrustedCertificates(
            *(unb64(one) for one in (answer.root, answer.issuing, answer.responder))
        )

    async def policy_of(self, agent: str) -> tuple[Policy, str]:
        """The policy of an agent's newest certificate, and the gate that has the agent.

        Raises:
            NotAuthorised: unknown there.
        """
        sheet = await self.look_up(agent)
        return (await self.registration(sheet.policy_sha256)).policy, sheet.gate

    async def close(self) -> None:
        """Let go of the connection."""
        await self._link.close()

    async def _act(self, path: str, body: bytes) -> bytes:
        status, data = 0, b""
        try:
            status, data = await self._link.ask("POST", f"/v1/{path}", body, wait_s=ACT_WAIT_S)
        except Unavailable as error:
            raise OutcomeUnknown(
                f"the process that serves this home did not answer: {error}",
                str(self.path),
                "end that process, look at what there is, and give the command again",
            ) from error
        if status == 200:
            return data
        raise wire.failure_of(status, data)

    async def _ask(self, method: str, path: str) -> bytes:
        status, data = await self._link.ask(method, f"/v1/{path}", b"", wait_s=THERE_WAIT_S)
        if status == 200:
            return data
        raise wire.failure_of(status, data)


def _answer(data: bytes, form: type[_T]) -> _T:
    """Raises OutcomeUnknown: the answer is not understood."""
    try:
        return wire.read(data, form)
    except MalformedInput as error:
        raise OutcomeUnknown(f"the answer is not understood: {error}") from error


async def running_authority(
    path: Path, around: Surroundings | None = None
) -> RunningAuthority | None:
    """The authority of a home that is being served; None where nobody answers.

    Raises:
        ConfigurationInvalid: no home there.
    """
    for settings in read_config(path).serve.listen:
        name = settings.address.removeprefix("unix:")
        if name == settings.address or not (path / name).is_socket():
            continue
        link = HttpLink(f"unix:{path / name}")
        try:
            status, data = await link.ask("GET", "/v1/roster", b"", wait_s=THERE_WAIT_S)
            if status == 200:
                roster = wire.read(data, Roster)
                return RunningAuthority(path, link, roster, around or Surroundings())
        except (Unavailable, MalformedInput):
            # Nobody, somebody else, or one that hangs: whoever opens the home will be told.
            await link.close()
            continue
        await link.close()
    return None
