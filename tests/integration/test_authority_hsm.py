# SPDX-License-Identifier: Apache-2.0
"""An authority whose keys are in a token: founded, opened again, and nothing of them in files."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest

from sekisho.adapters.signers.opening import open_custody
from sekisho.adapters.simulated_clock import SteppedClock
from sekisho.compose import COMPLIANCE_SEAT
from sekisho.compose import home as homes
from sekisho.config import Config, OwnKeySettings, read_config, write_config
from sekisho.core.errors import ConfigurationInvalid
from sekisho.core.identity.crl import read_crl
from sekisho.core.identity.ocsp import verify_ocsp
from sekisho.core.terms import NS
from tests import embedded_world
from tests.embedded_world import AGENT, MORNING, POLICY, EmbeddedWorld, make, order
from tests.key_places import hsm_place, hsm_settings, softhsm

NAMES = ("root", "issuing", "responder")


def play(story: Coroutine[Any, Any, None]) -> None:
    asyncio.run(story)


async def in_token(folder: Path) -> OwnKeySettings:
    """Three P-256 keys in a token, named after the folder."""
    custody = open_custody(hsm_place(), hsm_settings(folder))
    made = {name: await custody.create(f"{folder.name}-{name}", "ES256") for name in NAMES}
    return OwnKeySettings(**made, pkcs11_modules=(softhsm().module,))


def test_authority_with_keys_in_a_token_issues_answers_and_leases(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Certificates, status, CRL and leases by the token; a home without these key files."""

    async def story() -> None:
        keys = await in_token(tmp_path)
        monkeypatch.setattr(embedded_world, "Config", lambda **all_: Config(**all_, keys=keys))
        clock = SteppedClock(MORNING)
        await make(tmp_path / "home", POLICY, clock)
        assert keys == read_config(tmp_path / "home").keys
        for name in NAMES:
            assert not (tmp_path / "home" / "keys" / f"{name}.key").exists()
        world = EmbeddedWorld(tmp_path / "home", clock)
        await world.open()
        await world.gate.admit(AGENT)
        assert (await world.ask(order("one"))).kind == "permitted"
        authority = world.home.authority
        record, issuing = authority.certificates(AGENT)[0], authority.state.issuing_certificate
        now = clock.now_ns()
        response = await authority.ocsp(record.sha256, next_update_ns=now + 15 * NS)
        found = verify_ocsp(response, issuing, record.certificate, now)
        assert "good" == found.status.status
        await world.command("hold", COMPLIANCE_SEAT)
        assert [int(record.serial_number, 16)] == list(
            read_crl(await authority.crl(), issuing).listed
        )
        assert (await world.ask(order("two"))).kind == "refused"
        await world.close()

    play(story())


def test_authority_opened_with_another_key_in_the_token_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log says which keys it certifies; a key of another algorithm does not sign for it."""

    async def story() -> None:
        keys = await in_token(tmp_path)
        monkeypatch.setattr(embedded_world, "Config", lambda **all_: Config(**all_, keys=keys))
        home = tmp_path / "home"
        await make(home, POLICY, SteppedClock(MORNING))
        config = read_config(home)
        other = OwnKeySettings(
            issuing=keys.responder,
            responder=keys.issuing,
            root=keys.root,
            pkcs11_modules=keys.pkcs11_modules,
        )
        write_config(home, Config(issuer_name=config.issuer_name, keys=other))
        with pytest.raises(ConfigurationInvalid, match="not the key that this log certifies"):
            await homes.Home.open(home)

    play(story())
