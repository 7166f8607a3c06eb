# SPDX-License-Identifier: Apache-2.0
"""The control plane of a home that is being served, as the authority's own user asks it.

Over the Unix socket of the home: the kernel says who asks, so no key is wanted.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import msgspec

from sekisho.adapters.authority.http_link import HttpLink
from sekisho.adapters.entropy import SystemEntropy
from sekisho.config import read_config
from sekisho.core.errors import (
    ConfigurationInvalid,
    MalformedInput,
    NotAuthorised,
    OutcomeUnknown,
    SekishoError,
    Unavailable,
)

WAIT_S = 20.0
_T = TypeVar("_T")


class _Told(msgspec.Struct, frozen=True, kw_only=True):
    """What a problem says."""

    detail: str = ""
    where: str = ""
    do: str = ""
    effect: str = ""


class RunningControl:
    """Made by :func:`running_control`."""

    def __init__(self, link: HttpLink) -> None:
        self._link = link

    async def ask(self, method: str, path: str, body: object, form: type[_T]) -> _T:
        """Ask once; what was answered.

        Args:
            method: ``GET`` or ``POST``.
            path: with its query.
            body: written as JSON; None: none.
            form: of the answer.

        Raises:
            MalformedInput, NotAuthorised, ConfigurationInvalid: refused, nothing was done.
            Unavailable: nothing was done.
            OutcomeUnknown: perhaps something was.
        """
        headers = {"idempotency-key": SystemEntropy().bytes(16).hex()}
        data = b""
        if body is not None:
            data, headers["content-type"] = msgspec.json.encode(body), "application/json"
        status, _, answer = await self._link.pass_on(method, path, data, headers, wait_s=WAIT_S)
        if status >= 400:
            raise _failure(status, answer)
        try:
            return msgspec.json.decode(answer, type=form)
        except (msgspec.DecodeError, msgspec.ValidationError) as error:
            raise OutcomeUnknown(f"the answer is not understood: {error}") from error


@asynccontextmanager
async def running_control(home: Path) -> AsyncGenerator[RunningControl, None]:
    """The control plane of the process that serves a home.

    Raises:
        ConfigurationInvalid: no home there, or nobody serves it.
    """
    for settings in read_config(home).serve.listen:
        name = settings.address.removeprefix("unix:")
        if name == settings.address or not (home / name).is_socket():
            continue
        link = HttpLink(f"unix:{home / name}")
        try:
            yield RunningControl(link)
        finally:
            await link.close()
        return
    raise ConfigurationInvalid(
        f"{home}: nobody serves this home",
        str(home),
        f"start the authority: sekisho serve --home {home}",
    )


def _failure(status: int, answer: bytes) -> SekishoError:
    """What an answer of this status is to whoever asked."""
    try:
        told = msgspec.json.decode(answer, type=_Told)
    except (msgspec.DecodeError, msgspec.ValidationError):
        told = _Told(detail=f"the authority answered {status} without a reason")
    if told.effect:
        return OutcomeUnknown(told.detail, told.where, told.do)
    kinds: dict[int, type[SekishoError]] = {
        400: MalformedInput,
        401: NotAuthorised,
        403: NotAuthorised,
        404: NotAuthorised,
        409: ConfigurationInvalid,
    }
    return kinds.get(status, Unavailable)(told.detail, told.where, told.do)
