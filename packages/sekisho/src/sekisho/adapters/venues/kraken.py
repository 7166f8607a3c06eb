# SPDX-License-Identifier: Apache-2.0
"""A venue with Kraken's private REST, behind the ``Venue`` port (docs/spec/kraken.md, section 3).

It signs with the venue's own key, which no bot ever has. Ids at the venue are made of agent and
client order id, so nothing needs a table; what amendments did is known from the permits, of which
:meth:`KrakenVenue.remember` is told the old ones after a restart.
"""

from __future__ import annotations

from typing import Any, Final

from sekisho.adapters.venues.kraken_book import KrakenBook, Line, read_seconds
from sekisho.adapters.venues.kraken_form import order_form, venue_id
from sekisho.adapters.venues.kraken_link import KrakenLink, VenueRefused
from sekisho.core.amounts import parse_amount
from sekisho.core.encoding import canonical
from sekisho.core.errors import MalformedInput, OutcomeUnknown, Unavailable
from sekisho.core.gate.order import NewOrder, parse_order
from sekisho.core.gate.permit import Permit, read_permit
from sekisho.core.kraken import PairTable
from sekisho.core.terms import DAY_S, NS, format_instant
from sekisho.ports import Clock, VenueReport

DEADLINE_S: Final = 5
"""The venue's engine takes no order later than so many seconds after it was sent."""
LOOK_BACK_S: Final = 7 * DAY_S
OVERLAP_S: Final = 120
PAGES_MAX: Final = 40
QUERY_MAX: Final = 20
Reports = tuple[VenueReport, ...]


class KrakenVenue:
    """See the port.

    Args:
        name: as permits write it.
        trading: the key that places orders, and asks whether one is there.
        operations: the key for cancels and lists, so that they never wait for an order; may be
            the same.
        pairs: what the venue lists.
        clock: the gate's.
        takes_permits: whether the venue wants the permit itself, in the field ``permit``.
    """

    def __init__(
        self,
        name: str,
        trading: KrakenLink,
        operations: KrakenLink,
        pairs: PairTable,
        clock: Clock,
        *,
        takes_permits: bool = False,
    ) -> None:
        self._name = name
        self._trading = trading
        self._operations = operations
        self._pairs = pairs
        self._clock = clock
        self._takes_permits = takes_permits
        self._book = KrakenBook(name)
        self._spent: set[str] = set()
        self._since_s: int | None = None

    @property
    def name(self) -> str:
        """The venue's name."""
        return self._name

    @property
    def unexplained(self) -> dict[str, str]:
        """Orders of the account that no permit of this gate explains: txid → ``cl_ord_id``."""
        return self._book.unexplained

    async def close(self) -> None:
        """Close the connections."""
        await self._trading.close()
        await self._operations.close()

    def remember(self, permit: str) -> None:
        """Learn a permit of the gate's log again: it is never sent, and its order is known.

        Raises:
            MalformedInput: not a permit.
        """
        known = read_permit(permit)
        order = _order(known)
        if known.venue != self._name or known.permit_id in self._spent:
            return
        self._spent.add(known.permit_id)
        if not isinstance(known.replaces, str):
            self._book.open_line(known.agent, order)
            return
        line = self._book.find(known.agent, known.replaces)
        if line is not None:
            self._book.ask(line, order)

    # -- the port ------------------------------------------------------------------------------

    async def submit(self, permit: str) -> Reports:
        """See the port. What cannot be said in this dialect is rejected here, and not sent."""
        now = self._clock.now_ns()
        try:
            known = read_permit(permit)
            order = _order(known)
        except MalformedInput:
            return (self._book.odd("permit_malformed", now),)
        if known.venue != self._name:
            return (self._book.odd("wrong_venue", now),)
        if known.permit_id in self._spent:
            return (self._book.odd("permit_replayed", now),)
        self._spent.add(known.permit_id)
        if self._book.find(known.agent, order.client_order_id) is not None:
            return (self._book.odd("duplicate_order_id", now),)
        if isinstance(known.replaces, str):
            return await self._amend(known, known.replaces, order, permit)
        return await self._add(known, order, permit)

    async def cancel(self, agent: str, client_order_id: str) -> Reports:
        """See the port. An order that no permit explains is cancelled by the venue's own id."""
        line = self._book.find(agent, client_order_id)
        if client_order_id in self._book.unexplained:
            form = {"txid": client_order_id}
        else:
            form = {"cl_ord_id": venue_id(agent, line.first if line else client_order_id)}
        before = 0 if line is None else len(line.reports)
        try:
            await self._operations.call("CancelOrder", form, effect=True)
        except VenueRefused as refused:
            if not any(one.startswith("EOrder:Unknown order") for one in refused.errors):
                raise Unavailable(str(refused)) from refused
            # Closed already, or never there: what became of it is the answer.
            return await self.order_reports(agent, client_order_id)
        if "txid" in form:
            return ()
        if line is None:
            return await self.order_reports(agent, client_order_id)
        try:
            await self._look(line, self._operations, proof=False)
        except Unavailable as error:
            raise OutcomeUnknown(f"cancelled, but not confirmed: {error}") from error
        return tuple(line.reports[before:])

    async def open_orders(self, agent: str) -> tuple[str, ...]:
        """See the port. What has the agent's tag and no permit is listed by the venue's own id."""
        found = _part(await self._list("OpenOrders", {}), "open")
        names = set()
        for txid, info in found.items():
            cl_ord_id = str(info.get("cl_ord_id") or "")
            line = self._book.by_vid(cl_ord_id)
            if line is not None and line.agent == agent:
                if line.asked is not None:  # its name depends on whether the amendment came
                    await self._absorb(line, txid, info, {}, proof=False)
                names.add(line.names[-1])
            elif line is None and self._book.tagged(agent, cl_ord_id):
                self._book.foreign(txid, cl_ord_id, self._clock.now_ns())
                names.add(txid)
        return tuple(sorted(names))

    async def order_reports(self, agent: str, client_order_id: str) -> Reports:
        """See the port. Asked with the key that places orders: ``not_found`` is a proof."""
        denied = self._book.denied(agent, client_order_id)
        line = self._book.find(agent, client_order_id)
        if denied is not None and (line is None or not line.reports):
            return (denied,)
        if line is None:
            line = Line(agent, [client_order_id], 0)
        if line.busy:
            raise OutcomeUnknown(f"{client_order_id} is under way to {self._name}")
        found = await self._look(line, self._trading, proof=True)
        if not found and not line.reports:
            return (self._book.deny(agent, client_order_id, self._clock.now_ns()),)
        return tuple(line.reports)

    async def reports_since(self, sequence: int) -> tuple[int, Reports]:
        """See the port. The sequence counts from the start of this process.

        Orders come from ``OpenOrders`` and ``ClosedOrders``, executions from ``TradesHistory``.
        """
        now_s = self._clock.now_ns() // NS
        since = now_s - LOOK_BACK_S if self._since_s is None else self._since_s - OVERLAP_S
        start = {"start": str(since)}
        # Open before closed: an order that ends in between is in the second list.
        orders = _part(await self._list("OpenOrders", {"trades": "true"}), "open")
        closed = start | {"trades": "true", "closetime": "close"}
        orders |= await self._pages("ClosedOrders", closed, "closed")
        trades = await self._pages("TradesHistory", start, "trades")
        for txid, info in sorted(orders.items(), key=_by_opening):
            await self._copy(txid, info, trades)
        self._since_s = now_s
        tape = self._book.tape
        return len(tape), tuple(tape[sequence if sequence <= len(tape) else 0 :])

    # -- placing -------------------------------------------------------------------------------

    async def _add(self, known: Permit, order: NewOrder, permit: str) -> Reports:
        now = self._clock.now_ns()
        line = self._book.open_line(known.agent, order)
        if self._book.denied(known.agent, order.client_order_id) is not None:
            self._book.reject(line, line.first, "denied_before", now)
            return tuple(line.reports)
        try:
            form = order_form(order, self._pairs, now // NS)
        except MalformedInput as error:
            self._book.reject(line, line.first, f"not_translatable: {error}"[:200], now)
            return tuple(line.reports)
        form |= {"cl_ord_id": line.vid} | self._bounds(permit, now)
        line.busy = True
        try:
            result = await self._trading.call("AddOrder", form, effect=True)
        except VenueRefused as refused:
            return self._refused(line, line.first, refused)
        finally:
            line.busy = False
        txids = result.get("txid")
        if not (isinstance(txids, list) and len(txids) == 1 and isinstance(txids[0], str)):
            raise OutcomeUnknown("AddOrder: the answer names no single order")
        line.txid = txids[0]
        return await self._and_look(line, 0)

    async def _amend(self, known: Permit, replaces: str, order: NewOrder, permit: str) -> Reports:
        now = self._clock.now_ns()
        line = self._book.find(known.agent, replaces)
        if line is None or line.ended:
            lost = Line(known.agent, [order.client_order_id], 0)
            self._book.reject(lost, lost.first, "unknown_order", now)
            return tuple(lost.reports)
        form = {"cl_ord_id": line.vid, "order_qty": order.quantity}
        if isinstance(order.price, str):
            form["limit_price"] = order.price
        self._book.ask(line, order)
        before = len(line.reports)
        line.busy = True
        try:
            await self._trading.call("AmendOrder", form | self._bounds(permit, now), effect=True)
        except VenueRefused as refused:
            return self._refused(line, order.client_order_id, refused)
        finally:
            line.busy = False
        self._book.amended(line, self._clock.now_ns())
        return await self._and_look(line, before)

    def _bounds(self, permit: str, now: int) -> dict[str, str]:
        """Until when it is good; and for a venue that takes permits, the permit."""
        form = {"deadline": format_instant((now // NS + DEADLINE_S) * NS)}
        return form | ({"permit": permit} if self._takes_permits else {})

    def _refused(self, line: Line, name: str, refused: VenueRefused) -> Reports:
        """A refusal of the permit itself says nothing of the order: a genuine one may exist."""
        now, before = self._clock.now_ns(), len(line.reports)
        if any(one.startswith("EGeneral:Invalid arguments:permit") for one in refused.errors):
            return (self._book.odd(str(refused)[:200], now),)
        self._book.reject(line, name, str(refused)[:200], now)
        return tuple(line.reports[before:])

    async def _and_look(self, line: Line, before: int) -> Reports:
        """What the venue has done with it at once; that it has it is known without."""
        try:
            await self._look(line, self._trading, proof=False)
        except (Unavailable, OutcomeUnknown):
            self._book.acknowledge(line, self._clock.now_ns())
        return tuple(line.reports[before:])

    # -- looking -------------------------------------------------------------------------------

    async def _look(self, line: Line, link: KrakenLink, *, proof: bool) -> bool:
        """Ask about one order; false when the venue has none.

        Raises:
            Unavailable: no answer, or one that cannot be read.
        """
        form = {"trades": "true", "cl_ord_id": line.vid}
        # Open before closed: an order that ends in between is in the second list.
        for method, part in (("OpenOrders", "open"), ("ClosedOrders", "closed")):
            found = _part(await self._list(method, form, link), part)
            for txid, info in found.items():
                if info.get("cl_ord_id") == line.vid and line.txid in {"", txid}:
                    await self._absorb(line, txid, info, {}, proof=proof)
                    return True
        return False

    async def _copy(self, txid: str, info: dict[str, Any], trades: dict[str, Any]) -> None:
        cl_ord_id = str(info.get("cl_ord_id") or "")
        line = self._book.by_vid(cl_ord_id)
        if line is None:
            self._book.foreign(txid, cl_ord_id, self._clock.now_ns())
        else:
            await self._absorb(line, txid, info, trades, proof=False)

    async def _absorb(
        self,
        line: Line,
        txid: str,
        info: dict[str, Any],
        trades: dict[str, Any],
        *,
        proof: bool,
    ) -> None:
        names = [str(name) for name in info.get("trades") or ()]
        missing = [name for name in names if name not in trades and name not in line.told]
        more: dict[str, Any] = {}
        for begin in range(0, len(missing), QUERY_MAX):
            wanted = ",".join(missing[begin : begin + QUERY_MAX])
            more |= await self._list("QueryTrades", {"txid": wanted})
        own = {name: (trades | more)[name] for name in names if name in trades or name in more}
        line.txid = txid
        try:
            if line.quantity == 0:  # not known from a permit: found by its id alone
                line.quantity = parse_amount(str(info.get("vol")), "vol")
                self._book.add(line)
            self._book.absorb(line, info, own, self._clock.now_ns(), proof=proof)
        except (MalformedInput, AttributeError) as error:
            raise Unavailable(
                f"{self._name} says of {txid} what cannot be read: {error}"
            ) from error

    async def _list(
        self, method: str, form: dict[str, str], link: KrakenLink | None = None
    ) -> dict[str, Any]:
        try:
            found: dict[str, Any] = await (link or self._operations).call(
                method, form, effect=False
            )
        except VenueRefused as refused:
            raise Unavailable(str(refused)) from refused
        return found

    async def _pages(self, method: str, form: dict[str, str], part: str) -> dict[str, Any]:
        """All pages of a list. Raises Unavailable when there are more than is bearable."""
        found: dict[str, Any] = {}
        for _ in range(PAGES_MAX):
            page = await self._list(method, form | {"ofs": str(len(found))})
            known = len(found)
            found |= _part(page, part)
            if len(found) == known or str(page.get("count")) == str(len(found)):
                return found
        raise Unavailable(f"{method}: more than {PAGES_MAX} pages")


def _order(permit: Permit) -> NewOrder:
    """The order of a permit. Raises MalformedInput."""
    order = parse_order(canonical(permit.order))
    if not isinstance(order, NewOrder):
        raise MalformedInput("a permit is about a new order", "order")
    return order


def _part(result: dict[str, Any], name: str) -> dict[str, dict[str, Any]]:
    """The objects of a list. Raises Unavailable when it is none."""
    found = result.get(name)
    if not isinstance(found, dict) or not all(isinstance(one, dict) for one in found.values()):
        raise Unavailable(f"the venue's answer has no list {name!r}")
    return found


def _by_opening(item: tuple[str, dict[str, Any]]) -> tuple[int, str]:
    try:
        return read_seconds(item[1].get("opentm")), item[0]
    except MalformedInput as error:
        raise Unavailable(f"the venue says of {item[0]} what cannot be read: {error}") from error
