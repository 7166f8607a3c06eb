# SPDX-License-Identifier: Apache-2.0
"""What became of an order, as a value (docs/spec/gate-api.md, 3). Nothing here is an exception.

One rule stands above all others: ``Permitted`` is made of nothing but an answer that is, member by
member, what the specification says of a permission, and whose permit is about the order that was
asked. Every other answer is something else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sekisho_client.failures import NotAuthenticated, ProtocolError
from sekisho_client.members import Members, parse_object
from sekisho_client.orders import OrderError
from sekisho_client.permits import require_about

JSON = "application/json"
PROBLEM = "application/problem+json"
_STATES = frozenset(["", *"permitted possibly_issued signed unknown open closed".split()])


@dataclass(frozen=True, slots=True)
class Reply:
    """What came over the connection, whole. ``content_type`` is without parameters."""

    status: int
    content_type: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason of a refusal; ``limit`` and ``observed`` are empty where nothing was compared."""

    code: str
    limit: str
    observed: str
    unit: str


@dataclass(frozen=True, slots=True)
class Permitted:
    """The order may be executed, or the cancel was passed on.

    ``decision`` is the index of its entry in the gate's log. ``permit`` is empty for a cancel, and
    when it can no longer be used: the gate has handed it to the venue itself. ``order_state`` is
    ``permitted``, ``signed``, ``open``, ``unknown`` or ``closed`` at the moment of the answer.
    """

    client_order_id: str
    decision: int
    order_state: str
    permit: str
    detail: str


@dataclass(frozen=True, slots=True)
class PossiblyIssued:
    """Permitted, and then the gate lost sight of its permit; it counts as issued. Ask for its state
    with ``orders.get(id)``; it will not be signed again.
    """

    client_order_id: str
    decision: int
    order_state: str
    detail: str


@dataclass(frozen=True, slots=True)
class Refused:
    """Refused and recorded, with all reasons in the order of the checks. Final for this id."""

    client_order_id: str
    decision: int
    reasons: tuple[Reason, ...]
    detail: str


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """Permitted, and then stopped before anything left the gate. Final for this id."""

    client_order_id: str
    decision: int
    detail: str


@dataclass(frozen=True, slots=True)
class Unavailable:
    """Not answered, and nothing done: the gate was not reached, or could not decide.

    It speaks of this request alone. The same request may be made again, later.
    """

    detail: str
    reasons: tuple[Reason, ...] = ()


@dataclass(frozen=True, slots=True)
class Unknown:
    """The request may have arrived, and no answer came: its fate is unknown.

    Of an order: ask ``orders.get(id)``, or submit the same order again: it is one order, however
    often it is sent. Never make a new id for it. Of what was asked of an authority: look at what
    there is, or make the same call with this ``idempotency_key``, which makes it one request.
    """

    client_order_id: str
    detail: str
    idempotency_key: str = ""


Answer = Permitted | PossiblyIssued | Refused | Withdrawn | Unavailable | Unknown


def read_answer(asked: Mapping[str, object], reply: Reply) -> Answer:
    """The answer to an order.

    Args:
        asked: the fields of the order that was sent.
        reply: what came.

    Raises:
        NotAuthenticated: 401, 403.
        OrderError: the gate calls the request malformed.
        ProtocolError: an answer that the specification does not know.
    """
    name = str(asked["client_order_id"])
    if reply.status in {200, 202}:
        return _taken(asked, name, reply)
    if reply.status in {409, 422}:
        return _not_taken(name, reply)
    if reply.status >= 500:
        return _failed(name, reply)
    raise not_answered(reply)


def _taken(asked: Mapping[str, object], name: str, reply: Reply) -> Answer:
    found = read_json(reply)
    wanted = "permitted" if reply.status == 200 else "possibly_issued"
    found.text("kind", frozenset({wanted}))
    decision = _index(found)
    state, permit = found.text("order_state", _STATES), found.text("permit")
    detail = found.text("detail")
    if permit:
        if reply.status == 202:
            raise ProtocolError("permit: given, with a decision that is only possibly issued")
        require_about(permit, asked)
    if reply.status == 202:
        return PossiblyIssued(name, decision, state, detail)
    return Permitted(name, decision, state, permit, detail)


def _not_taken(name: str, reply: Reply) -> Answer:
    found = read_problem(reply)
    wanted = "refused" if reply.status == 422 else "withdrawn"
    found.text("kind", frozenset({wanted}))
    decision, detail = _index(found), found.text("detail")
    if reply.status == 409:
        return Withdrawn(name, decision, detail)
    reasons = read_reasons(found)
    if not reasons:
        raise ProtocolError("reasons: a refusal without any")
    return Refused(name, decision, reasons, detail)


def _failed(name: str, reply: Reply) -> Answer:
    """A 503 that says what it decided is ``Unavailable``; all else of this sort says nothing."""
    try:
        found = read_problem(reply)
        found.text("kind", frozenset({"unavailable"}))
        if reply.status == 503 and found.integer("decision") == -1:
            return Unavailable(found.text("detail"), read_reasons(found))
    except ProtocolError as error:
        return Unknown(name, f"status {reply.status}, and no answer of the gate: {error}")
    return Unknown(name, f"status {reply.status}, and no answer of the gate")


def not_answered(reply: Reply) -> Exception:
    """The exception for a status that is no answer to what was asked."""
    if reply.status in {401, 403}:
        return NotAuthenticated(reply.status, _detail(reply))
    if reply.status == 400:
        return OrderError(f"the gate calls the request malformed: {_detail(reply)}")
    return ProtocolError(f"status {reply.status}: {_detail(reply)}")


def _detail(reply: Reply) -> str:
    """What a problem says of itself, as far as it can be read."""
    try:
        return read_problem(reply).text("detail")
    except ProtocolError:
        return "without a problem document"


def read_json(reply: Reply) -> Members:
    """The object of an answer that is no problem. Raises ProtocolError."""
    if reply.content_type != JSON:
        raise ProtocolError(f"status {reply.status} with {reply.content_type[:64]!r}, not {JSON}")
    return parse_object(reply.body)


def read_problem(reply: Reply) -> Members:
    """The members of a problem. Raises ProtocolError for another status inside than outside."""
    if reply.content_type != PROBLEM:
        raise ProtocolError(
            f"status {reply.status} with {reply.content_type[:64]!r}, not {PROBLEM}"
        )
    found = parse_object(reply.body)
    if found.integer("status") != reply.status:
        raise ProtocolError("status: a problem with another status than its answer")
    return found


def read_reasons(found: Members) -> tuple[Reason, ...]:
    """The array ``reasons``. Raises ProtocolError."""
    return tuple(
        Reason(one.text("code"), one.text("limit"), one.text("observed"), one.text("unit"))
        for one in found.objects("reasons")
    )


def _index(found: Members) -> int:
    index = found.integer("decision")
    if index < 0:
        raise ProtocolError("decision: a recorded decision has an index")
    return index
