# SPDX-License-Identifier: Apache-2.0
"""Running a gate: its listeners, its signals, its end (docs/spec/processes.md section 2)."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sekisho.adapters.descriptors import secure_descriptors
from sekisho.adapters.entropy import SystemEntropy
from sekisho.adapters.fix.acceptor import FIX_CONNECTIONS_MAX
from sekisho.adapters.json_log import log_to
from sekisho.adapters.signers.opening import open_signer, read_passphrase
from sekisho.adapters.venues.fix_tls import venue_context
from sekisho.adapters.web.listening import Listener, Tls, server_context
from sekisho.adapters.web.serving import Bounds, Serving, loop_factory, serve
from sekisho.compose.fix_gate import FixGate, fix_tls, open_fix_front
from sekisho.compose.gate_config import Located, TlsSettings, read_gate_config
from sekisho.compose.gate_keys import KeyFolder
from sekisho.compose.gate_process import GateProcess
from sekisho.compose.gate_trust import certificate_in
from sekisho.core.encoding import b64url
from sekisho.core.errors import ConfigurationInvalid

__all__ = ["GateFaces", "GateProcess", "check_gate", "loop_for", "new_token", "run_gate"]


@dataclass(frozen=True)
class GateFaces:
    """The applications of a gate, made for its process."""

    api: Callable[[GateProcess], Any]
    operations: Callable[[GateProcess], Any]
    kraken: Callable[[GateProcess], Any]


SWITCH_S = 0.0002
"""So long a thread that could run waits for the one that runs."""
COLLECT_AFTER = (20_000, 20, 50)
"""The collector's thresholds: an order makes and drops some hundred objects, none in a cycle."""


async def run_gate(path: Path, faces: GateFaces, told: Callable[[list[str]], None]) -> int:
    """Run a gate until SIGTERM or SIGINT, then drain; a second signal ends the process at once.

    Args:
        path: of ``gate.toml``.
        faces: what answers its callers.
        told: hears the addresses once they take connections.

    Raises:
        ConfigurationInvalid, StorageFailed, VerificationFailed: it cannot start; see
            :meth:`GateProcess.open`.
    """
    located = read_gate_config(path)
    log_to(sys.stderr)
    ended = asyncio.Event()
    _on_signals(ended)
    async with AsyncExitStack() as stack:
        process = await GateProcess.open(located, stack)
        stack.push_async_callback(process.stop_tasks)
        servings = await _listen(process, faces, stack)
        _settle_in()
        addresses = [address for serving in servings for address in serving.addresses]
        process.teller.tell("listening", addresses=addresses)
        told(addresses)
        waiting = [asyncio.create_task(one.wait()) for one in (ended, process.died)]
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for task in waiting:
            task.cancel()
        await process.drain()
        for serving in servings:
            await serving.close()
    return 1 if process.died.is_set() else 0


def _settle_in() -> None:
    """Keep what is not the order path from holding it up.

    The thread that writes the log has to get its turn back after each call of the kernel; by
    default it waits up to 5 ms for it while orders keep the loop busy, and each flush with it.
    """
    sys.setswitchinterval(SWITCH_S)
    gc.collect()
    gc.freeze()  # what is here stays: the collector need not look at it with every order
    gc.set_threshold(*COLLECT_AFTER)


def check_gate(path: Path) -> list[str]:
    """What a configuration says, line by line, after everything in it was looked at.

    Raises:
        ConfigurationInvalid: with what is wrong.
    """
    located = read_gate_config(path)
    config = located.config
    passphrase = located.file(config.passphrase_file)
    custody = located.custody()
    open_signer(located.uri(config.log_key), passphrase_file=passphrase, settings=custody)
    KeyFolder(located.file(config.agent_keys), read_passphrase(passphrase)).read()
    for uri in config.keys.agents:
        open_signer(located.uri(uri), passphrase_file=passphrase, settings=custody)
    for name in (config.root, config.issuing, config.responder):
        certificate_in(located.file(name))
    for venue in config.venues:
        located.secret(venue.credential_file)
        if venue.tls is not None:
            venue_context(fix_tls(located, venue.tls))
    for listener in _api_listeners(located):
        if listener.tls is not None:
            server_context(listener.tls)
    agents = ", ".join(one.name for one in config.agents)
    venues = ", ".join(one.name for one in config.venues) or "none: nothing can be permitted"
    rates = ", ".join(one.source for one in config.rates) or "none: nothing can be valued"
    return [
        f"{path}: gate {config.gate} in {config.region}, environment {config.environment}",
        f"agents: {agents}",
        f"venues: {venues}",
        f"rates: {rates}",
    ]


def loop_for(path: Path) -> Any:
    """The event loop of a gate: uvloop where it is installed, unless the gate speaks TLS.

    Connections are bounded before TLS on the standard loop alone (``adapters.web.places``).
    """
    try:
        config = read_gate_config(path).config
    except ConfigurationInvalid:
        return asyncio.new_event_loop  # running it says what is wrong
    fronts = (config.api, config.fix, config.kraken)
    with_tls = any(one is not None and one.tls is not None for one in fronts)
    return asyncio.new_event_loop if with_tls else loop_factory()


def new_token() -> str:
    """256 bits, as a bot presents them."""
    return b64url(SystemEntropy().bytes(32))


def _on_signals(ended: asyncio.Event) -> None:
    def end() -> None:
        if ended.is_set():
            os._exit(1)
        ended.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, end)


async def _listen(process: GateProcess, faces: GateFaces, stack: AsyncExitStack) -> list[Serving]:
    located, config = process.located, process.located.config
    bounds = Bounds(connections=config.limits.connections)
    api = _api_listeners(located)
    operations = config.operations
    where = operations.listen or located.address(f"unix:{operations.socket}")
    faced = [(faces.api(process), api), (faces.operations(process), [Listener(where)])]
    if config.kraken is not None:
        where, tls = located.address(config.kraken.listen), _tls(located, config.kraken.tls)
        faced.append((faces.kraken(process), [Listener(where, tls=tls)]))
    servings = []
    web = sum(len(listeners) for _, listeners in faced) * bounds.connections
    secure_descriptors(web + (0 if config.fix is None else FIX_CONNECTIONS_MAX))
    for app, listeners in faced:
        serving = await serve(app, listeners, bounds, process.turned_away)
        stack.push_async_callback(serving.close)
        servings.append(serving)
    if config.fix is not None:
        gate = FixGate(process.log, process.intake.submit, process.inquiry)
        fix = await open_fix_front(
            config.fix,
            located.address(config.fix.listen),
            _tls(located, config.fix.tls),
            gate,
            process.callers,
            process.sessions,
            process.clock,
            lambda uid: process.doors.refused("fix", "unauthenticated", uid),
        )
        stack.push_async_callback(fix.close)
    return servings


def _api_listeners(located: Located) -> list[Listener]:
    settings = located.config.api
    found: list[Listener] = []
    if settings.socket:
        mode = 0o660 if settings.socket_group else 0o600
        path = located.address(f"unix:{settings.socket}")
        found.append(Listener(path, mode, settings.socket_group))
    if settings.listen:
        found.append(Listener(settings.listen, tls=_tls(located, settings.tls)))
    return found


def _tls(located: Located, settings: TlsSettings | None) -> Tls | None:
    if settings is None:
        return None
    names = (settings.certificate, settings.key, settings.client_ca)
    return Tls(*(located.file(name) for name in names))
