# SPDX-License-Identifier: Apache-2.0
"""Durable appends per second: the journal against the bare floor, on the same disk, alternating.

The floor is append + fdatasync of the same frames in the same batches, called directly in one
thread: what the medium allows. With one writer a batch is one entry, with n writers n.

    python benchmarks/journal.py [--quick] [--folder DIR]
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import tempfile
import time
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from sekisho.adapters.disk import FolderDisk
from sekisho.core.ledger.frames import encode_frame
from sekisho.services.journal import Journal

ENTRY = bytes(1024).replace(b"\x00", b"x")
WRITERS = (1, 16, 64)


class _Signer:
    uri = "test:ed25519"
    algorithm = "Ed25519"

    def __init__(self) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes((1).to_bytes(32, "big"))
        self.public_key = self._key.public_key().public_bytes(
            Encoding.DER, PublicFormat.SubjectPublicKeyInfo
        )

    async def sign(self, message: bytes) -> bytes:
        return self._key.sign(message)

    def sign_blocking(self, message: bytes) -> bytes:
        return self._key.sign(message)


class _Clock:
    def now_ns(self) -> int:
        return time.time_ns()

    def monotonic_ns(self) -> int:
        return time.monotonic_ns()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def floor(folder: Path, batch: int, seconds: float) -> float:
    """Entries per second of the bare calls."""
    frame = encode_frame(0, 0, ENTRY)
    path = folder / f"floor-{time.monotonic_ns()}"
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    begin = time.perf_counter()
    count = 0
    while (elapsed := time.perf_counter() - begin) < seconds:
        os.write(descriptor, frame * batch)
        os.fdatasync(descriptor)
        count += batch
    os.close(descriptor)
    path.unlink()
    return count / elapsed


async def journal(
    folder: Path, writers: int, seconds: float, *, publishing: bool
) -> tuple[float, list[float]]:
    """Entries per second and their latencies in seconds, all writers waiting for durability."""
    disk = FolderDisk(folder / f"log-{time.monotonic_ns()}")
    log = await Journal.open(disk, origin="log.example/bench", signer=_Signer(), clock=_Clock())
    background = asyncio.create_task(log.run()) if publishing else None
    latencies: list[float] = []
    begin = time.perf_counter()

    async def write() -> None:
        now = time.perf_counter()
        while now - begin < seconds:
            await log.flushed(log.append(ENTRY))
            later = time.perf_counter()
            latencies.append(later - now)
            now = later

    await asyncio.gather(*(write() for _ in range(writers)))
    elapsed = time.perf_counter() - begin
    if background is not None:
        background.cancel()
    disk.close()
    return len(latencies) / elapsed, latencies


def main() -> None:
    """Print one line for each number of writers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the time")
    parser.add_argument("--folder", type=Path, default=None, help="where to write")
    arguments = parser.parse_args()
    seconds = 0.2 if arguments.quick else 2.0
    rounds = 2 if arguments.quick else 3
    print("writers  floor/s  journal/s  ratio  p50 ms  p99 ms  publishing/s")
    for writers in WRITERS:
        floors, rates, published, latencies = [], [], [], []
        for _ in range(rounds):
            with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
                folder = Path(name)
                floors.append(floor(folder, writers, seconds))
                rate, waited = asyncio.run(journal(folder, writers, seconds, publishing=False))
                rates.append(rate)
                latencies += waited
                published.append(asyncio.run(journal(folder, writers, seconds, publishing=True))[0])
        latencies.sort()
        bare, rate = statistics.median(floors), statistics.median(rates)
        p50, p99 = (latencies[int(len(latencies) * part)] * 1000 for part in (0.5, 0.99))
        print(
            f"{writers:7} {bare:8.0f} {rate:10.0f} {bare / rate:6.2f} {p50:7.2f} {p99:7.2f}"
            f" {statistics.median(published):13.0f}"
        )


if __name__ == "__main__":
    main()
