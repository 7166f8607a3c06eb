# SPDX-License-Identifier: Apache-2.0
"""The client over real sockets: Unix and TLS, gates that misbehave, and the example bot."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from sekisho.adapters.web.listening import Listener, Tls
from sekisho.adapters.web.serving import serve
from sekisho_client import (
    Gate,
    NotAuthenticated,
    Permitted,
    ProtocolError,
    Refused,
    Unavailable,
    Unknown,
    connect,
    connect_async,
)
from tests.client_wire import ORDER, TOKEN
from tests.gate_stub import StubGate
from tests.integration.test_sockets import Authority

BOT = Path(__file__).parents[2] / "examples/steady_bot.py"


@contextlib.asynccontextmanager
async def served(app: Any, *listeners: Listener) -> AsyncIterator[list[str]]:
    """The application on these sockets; where it listens."""
    serving = await serve(app, listeners)
    try:
        yield serving.addresses
    finally:
        await serving.close(0.2)


def unix(tmp_path: Path) -> str:
    """An address in this folder."""
    return f"unix:{tmp_path}/gate.sock"


def test_unix_both_gates_speak_to_one_gate(tmp_path: Path) -> None:
    """The same order over both is one order; refusals, states and lists come as values."""

    def ask(gate: Gate) -> list[Any]:
        with gate:
            return [
                gate.health(),
                gate.orders.submit(ORDER),
                gate.orders.get("order-1"),
                gate.orders.get("order-2"),
                gate.orders.new("big", market="EUR/USD", side="buy", quantity=25_000,
                                currency="EUR", venue="PAPER", account="main", price="1.1"),
                gate.orders.open(),
            ]  # fmt: skip

    async def run() -> None:
        stub = StubGate()
        async with served(stub, Listener(unix(tmp_path))):
            found = await asyncio.to_thread(ask, connect(unix(tmp_path), token=TOKEN))
            assert ["Alive", "Permitted", "OrderStatus", "NoneType", "Refused", "OpenOrders"] == [
                type(one).__name__ for one in found
            ]
            async with connect_async(unix(tmp_path), token=TOKEN) as gate:
                again = await gate.orders.submit(ORDER)
            assert found[1] == again
            assert ["order-1", "big"] == list(stub.orders)

    asyncio.run(run())


def test_unix_wrong_token_and_no_gate(tmp_path: Path) -> None:
    """A token of nobody raises; a socket that is not there is unavailable."""

    async def run() -> None:
        async with connect_async(unix(tmp_path), token="x" * 40) as gate:
            assert isinstance(await gate.orders.submit(ORDER), Unavailable)
            async with served(StubGate(), Listener(unix(tmp_path))):
                with pytest.raises(NotAuthenticated):
                    await gate.orders.submit(ORDER)

    asyncio.run(run())


def test_proxies_of_the_environment_are_not_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the environment says of proxies and certificates changes nothing."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
        monkeypatch.setenv(name.lower(), "http://127.0.0.1:9")

    async def run() -> None:
        async with (
            served(StubGate(), Listener(unix(tmp_path))),
            connect_async(unix(tmp_path), token=TOKEN) as gate,
        ):
            assert isinstance(await gate.orders.submit(ORDER), Permitted)

    asyncio.run(run())


def test_connection_that_the_gate_closed_is_made_anew(tmp_path: Path) -> None:
    """A connection that ended while it was idle costs no answer: the gate was restarted."""

    async def run() -> None:
        stub = StubGate()
        gate = connect_async(unix(tmp_path), token=TOKEN)
        for _ in range(2):
            async with served(stub, Listener(unix(tmp_path))):
                assert isinstance(await gate.orders.submit(ORDER), Permitted)
        await gate.close()
        assert 2 == stub.received

    asyncio.run(run())


# -- TLS -------------------------------------------------------------------------------------------


def local(*names: str) -> list[x509.GeneralName]:
    """Alternative names of a server."""
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    return [x509.DNSName(name) for name in names] or [address]


def test_tls_both_sides_show_certificates(tmp_path: Path) -> None:
    """Certificates of the named CAs on both sides; without a token."""
    ca = Authority(tmp_path, "ca")
    certificate, key = ca.issue("gate", *local())
    bot = closed(ca.issue("bot", x509.UniformResourceIdentifier("urn:agent:bot")))
    stub = StubGate(token="")

    def ask(address: str) -> Any:
        with connect(f"https://{address}", certificate=bot, ca=ca.path) as gate:
            return gate.orders.submit(ORDER)

    async def run() -> None:
        listener = Listener("127.0.0.1:0", tls=Tls(certificate, key, ca.path))
        async with served(stub, listener) as (address,):
            assert isinstance(await asyncio.to_thread(ask, address), Permitted)
            made = connect_async(f"https://{address}", certificate=bot, ca=ca.path)
            async with made as gate:
                assert isinstance(await gate.orders.submit(ORDER), Permitted)

    asyncio.run(run())


def closed(files: tuple[Path, Path]) -> tuple[Path, Path]:
    """The key is its user's alone."""
    files[1].chmod(0o600)
    return files


@pytest.mark.parametrize("wrong", ["ca", "name", "client"])
def test_tls_stranger_gets_no_order_and_no_permission(tmp_path: Path, wrong: str) -> None:
    """A gate of another CA or name is not sent anything; a gate that does not know us permits
    nothing.
    """
    ca, other = Authority(tmp_path, "ca"), Authority(tmp_path, "other")
    names = local("gate.example") if wrong == "name" else local()
    certificate, key = (other if wrong == "ca" else ca).issue("gate", *names)
    uri = x509.UniformResourceIdentifier("urn:agent:bot")
    bot = closed((other if wrong == "client" else ca).issue("bot", uri))
    stub = StubGate(token="")

    def ask(address: str) -> Any:
        with connect(f"https://{address}", certificate=bot, ca=ca.path) as gate:
            return gate.orders.submit(ORDER)

    async def run() -> None:
        listener = Listener("127.0.0.1:0", tls=Tls(certificate, key, ca.path))
        async with served(stub, listener) as (address,):
            answer = await asyncio.to_thread(ask, address)
            made = connect_async(f"https://{address}", certificate=bot, ca=ca.path)
            async with made as gate:
                answers = [answer, await gate.orders.submit(ORDER)]
        # In TLS 1.3 a client learns only after sending that its certificate is not taken.
        expected = Unknown if wrong == "client" else Unavailable
        assert [expected, expected] == [type(one) for one in answers]
        assert 0 == stub.received

    asyncio.run(run())


# -- gates that misbehave ------------------------------------------------------------------------


async def elsewhere(_scope: Any, _receive: Any, send: Any) -> None:
    """A redirect to another path of the same gate."""
    headers = [(b"location", b"http://gate/v1/orders"), (b"content-length", b"0")]
    await send({"type": "http.response.start", "status": 307, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


async def half(_scope: Any, _receive: Any, send: Any) -> None:
    """An answer that is announced longer than it is."""
    headers = [(b"content-type", b"application/json"), (b"content-length", b"5000")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b'{"kind":"permitted"', "more_body": True})


async def endless(_scope: Any, _receive: Any, send: Any) -> None:
    """An answer that does not end."""
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    with contextlib.suppress(OSError):
        for _ in range(100):
            part = {"type": "http.response.body", "body": b" " * 65_536, "more_body": True}
            await send(part)


def test_redirect_is_not_followed(tmp_path: Path) -> None:
    """Where a gate says to go, nobody goes."""

    async def run() -> None:
        stub = StubGate()
        stub.instead = [elsewhere]
        async with (
            served(stub, Listener(unix(tmp_path))),
            connect_async(unix(tmp_path), token=TOKEN) as gate,
        ):
            with pytest.raises(ProtocolError, match="307"):
                await gate.orders.submit(ORDER)
        assert 1 == stub.received

    asyncio.run(run())


@pytest.mark.parametrize("misbehaviour", [half, endless])
def test_answer_cut_after_the_order_was_taken_is_found_by_asking_again(
    tmp_path: Path, misbehaviour: Any
) -> None:
    """Unknown; then the same order gets its first answer, and there is one order."""

    def ask(address: str) -> list[Any]:
        with connect(address, token=TOKEN) as gate:
            return [gate.orders.submit(ORDER) for _ in range(2)]

    async def run() -> None:
        stub = StubGate()
        stub.instead, stub.taking = [misbehaviour], True
        async with served(stub, Listener(unix(tmp_path))):
            answers = await asyncio.to_thread(ask, unix(tmp_path))
        assert [Unknown, Permitted] == [type(one) for one in answers]
        assert ["order-1"] == list(stub.orders)

    asyncio.run(run())


Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any]


async def silent(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    """Says nothing."""
    await asyncio.Event().wait()


async def drip(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A head that comes byte by byte and never ends."""
    writer.write(b"HTTP/1.1 200 OK\r\n")
    with contextlib.suppress(OSError):
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("talk", [silent, drip])
def test_gate_that_never_answers_is_left_in_time(tmp_path: Path, talk: Talk) -> None:
    """Both gates come back, although bytes keep coming: the order's fate is unknown."""

    def ask(address: str) -> Any:
        with connect(address, token=TOKEN, answer_s=0.3) as gate:
            return gate.orders.submit(ORDER)

    async def run() -> None:
        async def attended(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            tasks.append(task)
            with contextlib.suppress(asyncio.CancelledError):
                await talk(reader, writer)
            writer.close()

        tasks: list[asyncio.Task[Any]] = []
        server = await asyncio.start_unix_server(attended, unix(tmp_path).removeprefix("unix:"))
        answers = [await asyncio.to_thread(ask, unix(tmp_path))]
        async with connect_async(unix(tmp_path), token=TOKEN, answer_s=0.3) as gate:
            answers.append(await gate.orders.submit(ORDER))
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks)
        assert [Unknown("order-1", "no whole answer in time")] * 2 == answers

    asyncio.run(run())


# -- the example bot -------------------------------------------------------------------------------


async def started(tmp_path: Path, *more: str) -> asyncio.subprocess.Process:
    """The example bot against the gate in this folder."""
    token = tmp_path / "token"
    token.write_text(TOKEN + "\n")
    token.chmod(0o600)
    given = ["--gate", unix(tmp_path), "--token-file", str(token), "--price", "1.0850"]
    return await asyncio.create_subprocess_exec(
        sys.executable, str(BOT), *given, "--pause-s", "0.01", *more,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env={"PATH": os.defpath},
    )  # fmt: skip


async def ended(process: asyncio.subprocess.Process) -> tuple[int | None, list[Any]]:
    """Exit code and lines."""
    output, errors = await process.communicate()
    assert b"Traceback" not in errors, errors.decode()
    return process.returncode, [json.loads(line) for line in output.splitlines()]


def test_steady_bot_places_its_orders_and_ends(tmp_path: Path) -> None:
    """Each order once, one answer cut and found again, a sum at the end, exit code 0."""

    async def run() -> None:
        stub = StubGate()
        stub.instead, stub.taking = [half], True
        async with served(stub, Listener(unix(tmp_path))):
            code, lines = await ended(await started(tmp_path, "--orders", "3"))
        assert (0, {"done": {"permitted": 3}, "in_doubt": ""}) == (code, lines[-1])
        names = [f"steady-{number:05d}" for number in (1, 2, 3)]
        assert names == list(stub.orders) == [line["id"] for line in lines[:-1]]

    asyncio.run(run())


def test_steady_bot_refused_again_and_again_ends(tmp_path: Path) -> None:
    """Five refusals in a row end it; it never asks for a refused order again."""

    async def run() -> None:
        stub = StubGate()
        async with served(stub, Listener(unix(tmp_path))):
            code, lines = await ended(await started(tmp_path, "--quantity", "25000"))
        assert (0, {"refused": 5}, 5) == (code, lines[-1]["done"], stub.received)
        assert ["exceeds_scope_size"] == lines[0]["reasons"]

    asyncio.run(run())


def test_steady_bot_in_doubt_places_no_other_order(tmp_path: Path) -> None:
    """A gate that cuts every answer: one order, its id in the last line, exit code 1."""

    async def run() -> None:
        stub = StubGate()
        stub.instead, stub.taking = [half] * 100, True
        async with served(stub, Listener(unix(tmp_path))):
            code, lines = await ended(await started(tmp_path))
        assert (1, "steady-00001") == (code, lines[-1]["in_doubt"])
        assert ["steady-00001"] == list(stub.orders)

    asyncio.run(run())


def test_steady_bot_told_to_end_does_so_cleanly(tmp_path: Path) -> None:
    """SIGTERM lets the order under way end and sums up."""

    async def run() -> None:
        stub = StubGate()
        async with served(stub, Listener(unix(tmp_path))):
            process = await started(tmp_path, "--orders", "100000", "--pause-s", "60")
            assert process.stdout is not None
            first = json.loads(await process.stdout.readline())
            process.send_signal(signal.SIGTERM)
            code, lines = await ended(process)
        assert ("permitted", 0, 1) == (first["answer"], code, len(lines))
        assert {"permitted": 1} == lines[0]["done"]

    asyncio.run(run())


def test_steady_bot_that_nobody_knows_says_so(tmp_path: Path) -> None:
    """A token of nobody, and an argument that cannot be used: exit code 2."""

    async def run() -> None:
        async with served(StubGate(token="y" * 40), Listener(unix(tmp_path))):
            code, lines = await ended(await started(tmp_path))
            assert (2, 0, "") == (code, len(lines[0]["done"]), lines[0]["in_doubt"])
            assert (2, []) == await ended(await started(tmp_path, "--quantity", "1e3"))

    asyncio.run(run())


def test_refused_is_a_value_with_reasons(tmp_path: Path) -> None:
    """Other content under a used id: a refusal with its code."""

    async def run() -> None:
        async with (
            served(StubGate(), Listener(unix(tmp_path))),
            connect_async(unix(tmp_path), token=TOKEN) as gate,
        ):
            await gate.orders.submit(ORDER)
            answer = await gate.orders.cancel("order-1", "order-0")
        assert isinstance(answer, Refused)
        assert ["duplicate_order_id"] == [reason.code for reason in answer.reasons]

    asyncio.run(run())
