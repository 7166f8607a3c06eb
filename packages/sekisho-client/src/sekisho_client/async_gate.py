# SPDX-License-Identifier: Apache-2.0
"""A gate as a program with asyncio calls it. The same shape as ``gate``, with ``await``.

Refusals, and that nobody answered, are values (``answers``); exceptions are for mistakes of the
program and for answers that break the protocol (``failures``). No threads, no waiting between
attempts, no attempt that was not asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Self

from sekisho_client import calls
from sekisho_client.answers import Answer, Unavailable, Unknown
from sekisho_client.calls import PAGE_MAX
from sekisho_client.endpoint import ANSWER_S, CONNECT_S, File, read_endpoint
from sekisho_client.exchange import AsyncLink
from sekisho_client.orders import Amendment, Amount, Cancellation, MarketOrder, Order
from sekisho_client.reports import (
    Advice,
    AgentScore,
    AgentStatus,
    Alive,
    BaselineSummary,
    CancelledAll,
    OpenOrders,
    OrderStatus,
    Positions,
    Readiness,
    Volume,
)


class AsyncOrders:
    """``gate.orders``."""

    def __init__(self, link: AsyncLink) -> None:
        self._link = link

    async def submit(self, order: Order | bytes, *, attempts: int = 1) -> Answer:
        """Send an order and take its answer.

        Args:
            order: an order of ``sekisho_client.orders``, or its bytes.
            attempts: how often the same bytes are sent at most, at once one after the other, as
                long as no answer comes. An answer, a refusal too, is never asked for twice.

        Raises:
            OrderError, NotAuthenticated, ProtocolError.
        """
        return await self._link.run(calls.submit(order, attempts))

    async def new(
        self,
        client_order_id: str,
        *,
        market: str,
        side: str,
        quantity: Amount,
        currency: str,
        venue: str,
        account: str,
        price: Amount | None = None,
        time_in_force: str = "day",
        counterparty: str | None = None,
        attempts: int = 1,
    ) -> Answer:
        """Submit a new order; with a price a limit order, without one a market order."""
        plain = MarketOrder(
            client_order_id=client_order_id,
            market=market,
            side=side,
            quantity=quantity,
            currency=currency,
            venue=venue,
            account=account,
            time_in_force=time_in_force,
            counterparty=counterparty,
        )
        return await self.submit(plain if price is None else plain.at(price), attempts=attempts)

    async def amend(
        self,
        client_order_id: str,
        orig_client_order_id: str,
        *,
        quantity: Amount,
        price: Amount | None = None,
        attempts: int = 1,
    ) -> Answer:
        """Submit an amendment: a new total quantity, and for a limit order perhaps a price."""
        amendment = Amendment(
            client_order_id=client_order_id,
            orig_client_order_id=orig_client_order_id,
            quantity=quantity,
            price=price,
        )
        return await self.submit(amendment, attempts=attempts)

    async def cancel(
        self, client_order_id: str, orig_client_order_id: str, *, attempts: int = 1
    ) -> Answer:
        """Submit a cancellation."""
        cancellation = Cancellation(
            client_order_id=client_order_id, orig_client_order_id=orig_client_order_id
        )
        return await self.submit(cancellation, attempts=attempts)

    async def cancel_all(
        self, client_order_id: str, *, attempts: int = 1
    ) -> CancelledAll | Unavailable | Unknown:
        """Cancel everything that can still be executed. Repeated under the same id it cancels
        what is left, and nothing twice.
        """
        return await self._link.run(calls.cancel_all(client_order_id, attempts))

    async def check(self, order: Order | bytes) -> Advice | Unavailable:
        """Would this pass the scope's checks? Costs a message, has no effect, binds nobody."""
        return await self._link.run(calls.check(order))

    async def get(self, client_order_id: str) -> OrderStatus | Unavailable | None:
        """What became of a request; None: the gate does not have it. After an ``Unknown`` the
        request may still be on its way: submit it again, under its own id.
        """
        return await self._link.run(calls.get(client_order_id))

    async def open(self, *, after: str = "", limit: int = PAGE_MAX) -> OpenOrders | Unavailable:
        """Orders that can still be executed, by id, a page of at most 500."""
        return await self._link.run(calls.open_orders(after, limit))


class AsyncAgent:
    """``gate.agent``."""

    def __init__(self, link: AsyncLink) -> None:
        self._link = link

    async def status(self) -> AgentStatus | Unavailable:
        """Status, certificate and lease of the caller."""
        return await self._link.run(calls.agent_status())


class AsyncGovernance:
    """``gate.governance``."""

    def __init__(self, link: AsyncLink) -> None:
        self._link = link

    async def get_scope(self) -> Mapping[str, object] | Unavailable:
        """The scope in force, its fields as in docs/spec/policy.md."""
        return await self._link.run(calls.scope())


class AsyncMonitoring:
    """``gate.monitoring``: for callers whose role is monitor, but for one's own volume."""

    def __init__(self, link: AsyncLink) -> None:
        self._link = link

    async def get_baseline(self, agent: str) -> BaselineSummary | Unavailable:
        """Summary of an agent's baseline."""
        return await self._link.run(calls.baseline(agent))

    async def get_today_volume(self, agent: str | None = None) -> Volume | Unavailable:
        """What was permitted in the present policy day; without a name: to the caller."""
        return await self._link.run(calls.volume(agent))

    async def get_current_anomaly_score(self, agent: str) -> AgentScore | Unavailable:
        """The anomaly score of the agent's last permitted order."""
        return await self._link.run(calls.anomaly(agent))

    async def get_risk_score(self, agent: str) -> AgentScore | Unavailable:
        """The agent's risk score over 30 days."""
        return await self._link.run(calls.risk(agent))


class AsyncGate:
    """A gate; made by :func:`connect_async`. For one event loop; an async context manager.

    A call that is cancelled is cut: an order under way then is ``Unknown`` to its caller.
    """

    def __init__(self, link: AsyncLink) -> None:
        self._link = link
        self.orders = AsyncOrders(link)
        self.agent = AsyncAgent(link)
        self.governance = AsyncGovernance(link)
        self.monitoring = AsyncMonitoring(link)

    async def positions(self) -> Positions | Unavailable:
        """The caller's positions by pair."""
        return await self._link.run(calls.positions())

    async def health(self) -> Alive | Unavailable:
        """Whether the gate's process answers."""
        return await self._link.run(calls.health())

    async def ready(self) -> Readiness | Unavailable:
        """Whether the gate may permit, and what is missing."""
        return await self._link.run(calls.ready())

    async def close(self) -> None:
        """Close all connections."""
        await self._link.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()


def connect_async(
    address: str,
    *,
    token: str | None = None,
    token_file: File | None = None,
    certificate: tuple[File, File] | None = None,
    ca: File | None = None,
    answer_s: float = ANSWER_S,
    connect_s: float = CONNECT_S,
) -> AsyncGate:
    """A gate at an address; nothing is sent yet. Arguments as for ``endpoint.read_endpoint``.

    Raises:
        ConnectionInvalid: the arguments do not fit each other, or a file cannot be used.
    """
    endpoint = read_endpoint(
        address,
        token=token,
        token_file=token_file,
        certificate=certificate,
        ca=ca,
        answer_s=answer_s,
        connect_s=connect_s,
    )
    return AsyncGate(AsyncLink(endpoint))
