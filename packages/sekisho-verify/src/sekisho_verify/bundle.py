# SPDX-License-Identifier: Apache-2.0
"""A bundle verified from first to last (docs/spec/bundle.md, "What a verifier checks", 1 to 11).

The steps run in that order; the first thing that does not hold ends it and is named. Nothing is
written, nothing is fetched.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from sekisho_verify import (
    approvers,
    canonical,
    certificates,
    crls,
    decisions,
    entries,
    files,
    merkle,
    moving,
    note,
    reconciled,
    summary,
    supervisor,
    tiles,
)
from sekisho_verify.authority import AuthorityLog
from sekisho_verify.certificates import Authority, Certificate
from sekisho_verify.entries import Entry
from sekisho_verify.findings import VerificationFailed, require
from sekisho_verify.gate import GateLog
from sekisho_verify.note import Checkpoint
from sekisho_verify.permits import Context, Permits
from sekisho_verify.report import KEYS_BY_ISSUER, NOT_ANCHORED, SELF_ASSERTED, Report
from sekisho_verify.signatures import Signatures
from sekisho_verify.status import Responses, Status, revocation_list
from sekisho_verify.tiles import Tree

_ALWAYS = frozenset(
    {
        "MANIFEST",
        "README.txt",
        "verify.sh",
        "oid.cnf",
        "summary.json",
        *(f"certificates/{name}.pem" for name in ("root", "issuing", "responder")),
        *(f"certificates/log-{log}.pem" for log in ("gate", "authority")),
        *(f"logs/{log}/checkpoint" for log in ("gate", "authority")),
        *(f"logs/{log}/entries.jsonl" for log in ("gate", "authority")),
    }
)
_OTHERS = 5  # root, issuing, responder, and those of the two logs' keys


class Log:
    """One log of the bundle: certificate of its key, leaves, tree, entries, times."""

    def __init__(self, name: str, certificate: Certificate) -> None:
        self.name = name
        self.certificate = certificate
        self.origin = certificates.log_origin(certificate)
        self.leaves: list[bytes] = []
        self.tree = Tree([])
        self.entries: list[Entry] = []
        self.times: list[int] = []
        self.paths: set[str] = set()

    def read(self, found: Mapping[str, bytes]) -> None:
        """Checkpoint, tiles, bundles and entries of this log agree, byte for byte (step 3)."""
        folder = f"logs/{self.name}"
        with _at(f"{folder}/entries.jsonl"):
            lines = tiles.entries_of_lines(found[f"{folder}/entries.jsonl"])
        self.leaves = [merkle.leaf_hash(line) for line in lines]
        self.tree = Tree(self.leaves)
        with _at(f"{folder}/checkpoint"):
            stated = self.checkpoint(found[f"{folder}/checkpoint"])
        with _at(f"{folder}/entries.jsonl"):
            size = f"has {len(lines)} entries, the checkpoint {stated.size}"
            require(stated.size == len(lines), size)
            same = stated.root == self.tree.root(stated.size)
            first = "" if same else files.first_entry(found, f"{folder}/entries.jsonl")
            require(same, f"has another root than the checkpoint{first}")
        derived = dict(tiles.bundle_files(lines)) | dict(self.tree.files())
        for path, data in derived.items():
            full = f"{folder}/{path}"
            require(full in found, "is missing", full)
            require(found[full] == data, "is not what the entries give", full)
            self.paths.add(full)
        self.entries, self.times = entries.read(self.name, lines)

    def checkpoint(self, data: bytes) -> Checkpoint:
        """A checkpoint of this log, signed by its certified key."""
        return note.checkpoint(data, self.origin, self.certificate.ed25519_key)


class Verification:
    """One run; `report` fills as the steps succeed."""

    def __init__(
        self, folder: Path, root: bytes, trusted_keys: bytes | None, kept: bytes | None
    ) -> None:
        self._folder = folder
        self._root = root
        self._trusted_keys = trusted_keys
        self._kept = kept
        self._signatures = Signatures()
        self.report = Report()

    def run(self) -> Report:
        """Run all steps, or up to the first that fails."""
        report = self.report
        steps: Sequence[tuple[str, str, Callable[[], str]]] = (
            ("files", "ledger", self._files),
            ("certificates", "ledger", self._certificates),
            ("logs", "ledger", self._logs),
            ("approval", "ledger", self._approval),
            ("status", "ledger", self._status),
            ("leases", "signatures", self._leases),
            ("verdicts", "recomputation", self._verdicts),
            ("permits", "signatures", self._permits),
            ("baseline", "recomputation", self._baseline),
            ("incidents", "recomputation", self._incidents),
            ("summary", "recomputation", self._summary),
        )
        for name, part, step in steps:
            started = time.perf_counter()  # noqa: TID251 - a measurement, not evidence
            try:
                report.steps.append((name, step()))
            except VerificationFailed as failure:
                report.failed_step, report.failure = failure.concern or name, failure
            except Exception as error:  # noqa: BLE001 - the edge: no input may end in a traceback
                what = f"cannot be judged ({type(error).__name__})"
                report.failed_step, report.failure = name, VerificationFailed(what)
            ended = time.perf_counter()  # noqa: TID251 - as above
            report.seconds[part] = report.seconds.get(part, 0.0) + ended - started
            if not report.good:
                break
        self._signatures.close()
        done = [name for name, _ in report.steps]
        report.checks = supervisor.seven(done, report.failed_step, self._found())
        return report

    def _files(self) -> str:
        self.found = files.read_all(self._folder)
        for path in sorted(_ALWAYS):
            require(path in self.found, "is missing", path)
        gate = self._load("log-gate")
        with _at("certificates/log-gate.pem"):
            self.gate = Log("gate", gate)
            key = gate.ed25519_key
        with _at("MANIFEST"):
            self.manifest = files.manifest(self.found["MANIFEST"], self.gate.origin, key)
        files.check_digests(self.found, self.manifest.digests)
        return f"{len(self.found)} files, each as in the signed MANIFEST"

    def _load(self, name: str) -> Certificate:
        path = f"certificates/{name}.pem"
        with _at(path):
            return certificates.load_exact_pem(self.found[path])

    def _certificates(self) -> str:
        given = certificates.load(self._root)
        root, issuing = self._load("root"), self._load("issuing")
        require(root.der == given.der, "is not the given root", "certificates/root.pem")
        with _at("certificates/issuing.pem"):
            self.authority = Authority(root, issuing)
        self.responder = self._load("responder")
        with _at("certificates/responder.pem"):
            self.authority.check_responder(self.responder)
        log = self._load("log-authority")
        with _at("certificates/log-authority.pem"):
            self.authority_log = Log("authority", log)
        for one in (self.gate, self.authority_log):
            with _at(f"certificates/log-{one.name}.pem"):
                self.authority.check_log(one.certificate, one.origin)
        self.agents = {}
        for path in self.found:
            if path.startswith("certificates/agent-"):
                with _at(path):
                    leaf = certificates.load_exact_pem(self.found[path])
                    require(path == f"certificates/agent-{leaf.serial}.pem", "is misnamed")
                    scope = self.authority.check_agent(leaf)
                    require(scope.content["agent"] == self.manifest.agent, "is of another agent")
                    self.agents[path] = leaf
        return f"{len(self.agents)} of the agent, chained to the given root"

    def _logs(self) -> str:
        both = (self.gate, self.authority_log)
        for log in both:
            log.read(self.found)
            for at in {*log.times[:1], *log.times[-1:]}:
                with _at(f"certificates/log-{log.name}.pem"):
                    self.authority.require_valid_at(at)
                    log.certificate.require_valid_at(at, "log certificate")
        sizes = ", ".join(f"{log.name} {len(log.leaves)} entries" for log in both)
        self._anchor()
        return f"{sizes}; checkpoints and tiles as derived"

    def _anchor(self) -> None:
        """Compare with the checkpoint that someone outside kept, or say that there is none."""
        if self._kept is None:
            self.report.trust += [SELF_ASSERTED, NOT_ANCHORED]
            return
        with _at("the given checkpoint"):
            origin = note.claimed_origin(self._kept)
            logs = [log for log in (self.gate, self.authority_log) if log.origin == origin]
            require(len(logs) == 1, "is of neither log")
            log = logs[0]
            kept = log.checkpoint(self._kept)
            require(kept.size > 0, "is of an empty log and anchors nothing")
            require(kept.size <= log.tree.size, f"is of size {kept.size}: the log was cut")
            same = log.tree.root(kept.size) == kept.root
            require(same, f"has another root than the first {kept.size} entries")
        other = self.authority_log if log is self.gate else self.gate
        self.report.trust += [
            f"completeness anchored: {log.name} log, first {kept.size} of {log.tree.size} entries",
            f"{NOT_ANCHORED}: {other.name} log",
        ]

    def _approval(self) -> str:
        log = self.authority_log
        self.word = AuthorityLog(self.authority, self.responder)
        self.word.walk(log.entries, log.times)
        for one in (self.gate, log):
            certified = one.certificate.sha256 in self.word.log_certificates
            path = f"certificates/log-{one.name}.pem"
            require(certified, "is not in the authority's log", path)
        gate = self.gate_log = GateLog(self.word, self.gate.tree)
        gate.admissions(self.gate.entries, self.gate.times, log.entries)
        gate.boots(self.gate.origin)
        self.report.trust += self.word.assignments.elsewhere(self.manifest.agent, self.gate.entries)
        if self._trusted_keys is None:
            self.report.trust.append(KEYS_BY_ISSUER)
        else:
            with _at("the given approvers' keys"):
                trusted = approvers.keys(self._trusted_keys)
            for key, (seat, index) in self.word.approver_keys.items():
                what = f"rests on the approval of seat {seat}, whose key is not among those given"
                require(key in trusted, what, f"authority log, entry {index}")
            self.report.trust.append("approver keys as given")
        ours = {
            f"certificates/agent-{one.certificate.serial}.pem": one
            for one in self.word.issued.values()
            if one.agent == self.manifest.agent
        }
        for path in sorted(ours.keys() | self.agents.keys()):
            require(path in self.agents, "is missing", path)
            listed = path in ours and ours[path].certificate.der == self.agents[path].der
            require(listed, "was never issued", path)
        self.ours = list(ours.values())
        approvals = len(self.word.approver_keys)
        counted = f"{len(self.word.issued)} certificates, {len(self.word.registered)} policies"
        return f"{counted}, approved with {approvals} keys"

    def _status(self) -> str:
        acted = self.gate_log.statuses(self.gate.entries, self.gate.times)
        self.responses = Responses(self.authority)
        for path, shard in crls.paths(self.word, self.ours).items():
            with _at(path):
                require(path in self.found, "is missing")
                crls.check(revocation_list(self.found[path], self.authority), shard, self.word)
        for one in self.ours:
            self._check_response(one.certificate, one.status)
        return f"{self.word.epoch} changes, {acted} acted on by the gate; CRL and OCSP agree"

    def _check_response(self, certificate: Certificate, status: Status) -> None:
        path = f"ocsp/{certificate.sha256}.der"
        require(path in self.found, "is missing", path)
        with _at(path):
            response = self.responses.verified(self.found[path])
            same = response.serial_number == certificate.parsed.serial_number
            require(same, "is for another certificate")
            require(response.status == status, "does not agree with the authority's log")

    def _leases(self) -> str:
        context = Context(
            self.manifest.agent,
            self.gate.origin,
            self.gate.leaves,
            self.found,
            self.word,
            self.gate_log,
            self.responses,
        )
        self.permits = Permits(context)
        self.permits.prepare(self.gate.entries, self._signatures)
        count = self.gate_log.leases_held(self.gate.entries, self.responses)
        return f"{count} held, signed by the authority for this gate and boot"

    def _verdicts(self) -> str:
        gate = self.gate
        self.decided, self.watch = decisions.walk(
            gate.entries, gate.times, self.word.registered, gate.origin
        )
        self.report.trust += moving.walk(self.word.assignments, gate, self.decided)
        permitted = sum(one.permitted for one in self.decided.values())
        return f"{permitted} permitted and {len(self.decided) - permitted} refused, all re-computed"

    def _permits(self) -> str:
        gate = self.gate
        try:
            self.permits.walk(gate.entries, gate.times, self.decided)
        finally:
            self._signatures.finish()  # a bad signature before another fault comes first
        known = _ALWAYS | gate.paths | self.authority_log.paths | self.permits.paths
        known |= crls.paths(self.word, self.ours).keys() | self.agents.keys()
        known |= {f"ocsp/{one.certificate.sha256}.der" for one in self.ours}
        for path in self.found:
            require(path in known, "is no file of a bundle", path)
        return f"{self._signatures.count} signatures verified, each for its one permitted decision"

    def _baseline(self) -> str:
        adopted, locked = self.watch.adopted, self.word.procedure.locks
        reconciled.baselines(self.watch, locked, self.gate.origin)
        given = [d.scores.risk for d in self.decided.values() if d.scores is not None]
        told = f"{len(given) - given.count(None)} scores re-computed"
        return f"{len(adopted)} in force, as the log shows and locked; {told}"

    def _incidents(self) -> str:
        opened, handled = self.watch.opened, self.word.procedure.incidents
        size = self.gate.tree.size
        missing = reconciled.incidents(opened, handled, self.gate.origin, size, self.watch.lifted)
        unfinished = [one for one in handled.values() if one.outcome == ""]
        return (
            f"{len(opened)} opened, each for its crossing; {len(missing)} not recorded by the "
            f"authority, {len(unfinished)} recorded and open"
        )

    def _summary(self) -> str:
        manifest = self.manifest
        start, end = canonical.instant(manifest.start), canonical.instant(manifest.end)
        ours = summary.counted(self.decided.values(), manifest.agent, start, end)
        self.report.refusals = [one for one in ours if not one.permitted]
        wanted = summary.computed(
            (manifest.start, manifest.end),
            manifest.agent,
            ours,
            (self.permits.signed, self.permits.withdrawn),
            self.ours,
            (
                summary.LogSize(self.gate.origin, self.gate.tree.size),
                summary.LogSize(self.authority_log.origin, self.authority_log.tree.size),
            ),
        )
        with _at("summary.json"):
            summary.compare(self.found["summary.json"], wanted)
        return f"{len(ours)} orders of {manifest.agent} in the period, as re-computed"

    def _found(self) -> Mapping[int, Callable[[], supervisor.Made]]:
        """What each of the seven checks found; asked only when its steps held."""
        return {
            1: lambda: supervisor.chain(len(self.agents), _OTHERS),
            2: lambda: supervisor.signatures(
                self.permits.signed, self.decided, len(self.gate_log.leases)
            ),
            3: lambda: supervisor.scope(self.ours),
            4: lambda: supervisor.permitted(self.decided.values()),
            5: lambda: supervisor.refusals(self.report.refusals),
            6: self._found_of_baseline,
            7: self._found_of_incidents,
        }

    def _found_of_baseline(self) -> supervisor.Made:
        agent = self.manifest.agent
        decided = [one for one in self.decided.values() if one.agent == agent]
        locked = next(reversed(self.word.procedure.locks.get(agent, [])), None)
        opened = [one for one in self.watch.opened.values() if one["agent"] == agent]
        return supervisor.baseline(self.watch.live(agent), locked, decided, opened)

    def _found_of_incidents(self) -> supervisor.Made:
        agent, procedure = self.manifest.agent, self.word.procedure
        ours = self.watch.told_of(agent)
        opened = [(one, procedure.incidents.get(str(one["incident"]))) for one in ours]
        opened += procedure.elsewhere(agent, self.gate.origin)
        kind = self.watch.missing(agent)
        end = self.authority_log.times[-1]
        return supervisor.procedure(opened, kind, procedure.ending, end)


@contextmanager
def _at(place: str) -> Iterator[None]:
    """A failure within names this place, if it names none."""
    try:
        yield
    except VerificationFailed as failure:
        raise failure.at(place) from failure
