# SPDX-License-Identifier: Apache-2.0
r"""A bot that places small limit orders at a steady pace, through its gate, and nothing more.

It shows what a bot does with each answer. It knows no market: price and size are what you tell it.
It ends after the last order, or at SIGTERM and SIGINT after the order under way, and never places
another order while it does not know what became of the last one.

    python examples/steady_bot.py --gate unix:/run/sekisho/gate.sock --token-file bot.token \
        --market EUR/USD --quantity 1000 --price 1.0850 --orders 10

One line of JSON an order, and a last one that sums up. Exit code 0: the fate of every order is
known. 1: it is not, for the id that the last line names. 2: the gate does not take this bot, or an
argument cannot be used.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
from collections import Counter
from collections.abc import Sequence

from sekisho_client import (
    Gate,
    NotAuthenticated,
    OrderError,
    Permitted,
    PossiblyIssued,
    ProtocolError,
    Refused,
    Unavailable,
    Unknown,
    Withdrawn,
    connect,
)
from sekisho_client.answers import Answer
from sekisho_client.failures import ConnectionInvalid
from sekisho_client.orders import LimitOrder

TRIES = 10
"""How often the same order is sent while the gate does not say what became of it."""
REFUSED_IN_A_ROW_MAX = 5
"""A bot that is refused so often in a row is wrong about something: it ends."""


class SteadyBot:
    """Places orders one after the other.

    Attributes:
        counts: answers by their kind.
        in_doubt: id of the order whose fate is not known; empty if there is none.
    """

    def __init__(self, gate: Gate, pause_s: float, stop: threading.Event) -> None:
        self._gate = gate
        self._pause_s = pause_s
        self._stop = stop
        self.counts: Counter[str] = Counter()
        self.in_doubt = ""

    def run(self, orders: Sequence[LimitOrder]) -> None:
        """Place them until the last, a stop, a doubt, or too many refusals in a row."""
        refused = 0
        for order in orders:
            answer = self.place(order)
            refused = refused + 1 if isinstance(answer, Refused) else 0
            if self.in_doubt or refused == REFUSED_IN_A_ROW_MAX or self._stop.wait(self._pause_s):
                break

    def place(self, order: LimitOrder) -> Answer:
        """Send one order until its fate is known, always the same order under the same id."""
        answer = self._submit(order)
        for _ in range(TRIES - 1):
            if isinstance(answer, Unknown):
                self.in_doubt = order.client_order_id
            elif not isinstance(answer, Unavailable):
                break
            # Unavailable after Unknown leaves the doubt: the gate may have taken the first one.
            if self._stop.wait(self._pause_s) and not self.in_doubt:
                break
            answer = self._submit(order)
        if isinstance(answer, Unknown):
            self.in_doubt = order.client_order_id
        elif not isinstance(answer, Unavailable):
            self.in_doubt = ""
        self._tell(order, answer)
        return answer

    def _submit(self, order: LimitOrder) -> Answer:
        try:
            return self._gate.orders.submit(order)
        except ProtocolError as error:  # no answer either
            return Unknown(order.client_order_id, str(error))

    def _tell(self, order: LimitOrder, answer: Answer) -> None:
        kind = type(answer).__name__.lower()
        line: dict[str, object] = {"id": order.client_order_id, "answer": kind}
        match answer:
            case Permitted(order_state=state) | PossiblyIssued(order_state=state):
                line["order_state"] = state
            case Refused(reasons=reasons):
                line["reasons"] = [one.code for one in reasons]
            case Withdrawn(detail=detail) | Unavailable(detail=detail) | Unknown(detail=detail):
                line["detail"] = detail
        self.counts[kind] += 1
        say(line)


def say(line: dict[str, object]) -> None:
    """One line of JSON, at once."""
    sys.stdout.write(json.dumps(line, sort_keys=True) + "\n")
    sys.stdout.flush()


def read_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    """What the bot was told."""
    parser = argparse.ArgumentParser(description="Places small limit orders at a steady pace.")
    parser.add_argument("--gate", required=True, help="unix:PATH or https://HOST:PORT")
    parser.add_argument("--token-file", help="on a Unix socket: file with the token, mode 0600")
    parser.add_argument("--certificate", help="over TCP: PEM file")
    parser.add_argument("--key", help="over TCP: PEM file, mode 0600")
    parser.add_argument("--ca", help="over TCP: PEM file of the CA of the gate")
    parser.add_argument("--market", default="EUR/USD")
    parser.add_argument("--side", default="buy", choices=("buy", "sell"))
    parser.add_argument("--quantity", default="1000")
    parser.add_argument("--currency", help="leg that the quantity counts; else the first")
    parser.add_argument("--price", required=True)
    parser.add_argument("--venue", default="PAPER")
    parser.add_argument("--account", default="main")
    parser.add_argument("--counterparty")
    parser.add_argument("--orders", type=int, default=10, help="how many")
    parser.add_argument("--pause-s", type=float, default=1.0, help="between two orders")
    parser.add_argument("--id-prefix", default="steady", help="ids are PREFIX-00001 and so on")
    return parser.parse_args(arguments)


def make_orders(told: argparse.Namespace) -> list[LimitOrder]:
    """The orders that it is going to place; another run needs another prefix."""
    return [
        LimitOrder(
            client_order_id=f"{told.id_prefix}-{number:05d}",
            market=told.market,
            side=told.side,
            quantity=told.quantity,
            currency=told.currency or told.market.partition("/")[0],
            price=told.price,
            venue=told.venue,
            account=told.account,
            counterparty=told.counterparty,
        )
        for number in range(1, told.orders + 1)
    ]


def open_gate(told: argparse.Namespace) -> Gate:
    """The gate; nothing is sent yet."""
    if told.certificate or told.key:
        return connect(told.gate, certificate=(told.certificate, told.key), ca=told.ca)
    return connect(told.gate, token_file=told.token_file)


def main(arguments: Sequence[str]) -> int:
    """Run; see the top of this file."""
    told = read_arguments(arguments)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        with open_gate(told) as gate:
            bot = SteadyBot(gate, told.pause_s, stop)
            code = attend(bot, make_orders(told))
    except (ConnectionInvalid, OrderError) as error:
        sys.stderr.write(f"steady_bot: {error}\n")
        return 2
    say({"done": dict(bot.counts), "in_doubt": bot.in_doubt})
    return code


def attend(bot: SteadyBot, orders: Sequence[LimitOrder]) -> int:
    """Let the bot run; the exit code of what came of it."""
    try:
        bot.run(orders)
    except NotAuthenticated as error:
        sys.stderr.write(f"steady_bot: {error}\n")
        return 2
    return 1 if bot.in_doubt else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
