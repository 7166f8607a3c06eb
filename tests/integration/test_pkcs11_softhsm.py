# SPDX-License-Identifier: Apache-2.0
"""pkcs11: what is in the token, and what becomes of a token that errs; on SoftHSM2."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sekisho.adapters.signers import opening
from sekisho.adapters.signers.verified import check_signature
from sekisho.core.errors import ConfigurationInvalid, KeyDisabled, Unavailable
from sekisho.custody import KeyCustody
from sekisho.ports import Signer
from tests import key_places

pkcs11 = pytest.importorskip(
    "pkcs11", reason="sekisho[pkcs11] is not installed: ./dev test --interop"
)
_AGAIN = {"CKR_DEVICE_ERROR": 0x30, "CKR_DEVICE_REMOVED": 0x32, "CKR_SESSION_HANDLE_INVALID": 0xB3}
_AGAIN |= {
    "CKR_KEY_HANDLE_INVALID": 0x60,
    "CKR_USER_NOT_LOGGED_IN": 0x101,
    "CKR_FUNCTION_FAILED": 6,
}


@pytest.fixture
def hsm() -> key_places.Hsm:
    """The tokens."""
    return key_places.softhsm()


@pytest.fixture
def control(hsm: key_places.Hsm) -> Iterator[Path]:
    """What makes the module err; well again afterwards."""
    if hsm.control is None:
        pytest.skip("no C compiler for the module that errs")
    yield hsm.control
    hsm.control.write_text("")


@pytest.fixture
def custody(tmp_path: Path, hsm: key_places.Hsm) -> KeyCustody:
    """Keys of the token "gate"."""
    return opening.open_custody(key_places.hsm_place(), key_places.hsm_settings(tmp_path))


@pytest.fixture
def name(tmp_path: Path) -> str:
    """A label that no other test has."""
    return f"hsm-{tmp_path.name}"[:100]


@pytest.fixture
def signer(custody: KeyCustody, name: str) -> Signer:
    """An open key."""
    return custody.open_blocking(asyncio.run(custody.create(name, "ES256")))


def inside(hsm: key_places.Hsm, label: str, work: Any) -> Any:
    """Do something to the token's objects, past the product, on the module's own thread."""
    from sekisho.adapters.signers.pkcs11_token import open_module

    module = open_module(hsm.module, (hsm.module,))

    def job() -> Any:
        session = module.token("gate", "").writing(hsm.folder / "pin")
        try:
            return work(session, list(session.get_objects({pkcs11.Attribute.LABEL: label})))
        finally:
            session.close()

    return module.desk.call_blocking(job)


def test_create_key_cannot_leave_the_token_and_only_signs(
    hsm: key_places.Hsm, signer: Signer, name: str
) -> None:
    """The attributes of the specification, as the token has them, not as they were asked for."""
    wanted = {"TOKEN": True, "PRIVATE": True, "SENSITIVE": True, "EXTRACTABLE": False}
    wanted |= {"SIGN": True, "DECRYPT": False, "UNWRAP": False, "DERIVE": False}
    wanted |= {"SIGN_RECOVER": False, "ALWAYS_SENSITIVE": True, "NEVER_EXTRACTABLE": True}

    def look(_: Any, objects: list[Any]) -> tuple[dict[str, bool], int]:
        key = next(one for one in objects if isinstance(one, pkcs11.PrivateKey))
        with pytest.raises(pkcs11.AttributeSensitive):
            _ = key[pkcs11.Attribute.VALUE]
        found = {attribute: key[pkcs11.Attribute[attribute]] for attribute in wanted}
        return found, len(objects)

    assert inside(hsm, name, look) == (wanted, 2)


def test_open_of_a_key_that_could_leave_is_refused(
    hsm: key_places.Hsm, custody: KeyCustody, name: str
) -> None:
    """A key that somebody made extractable is not used, whatever it signs."""

    def make(session: Any, _: Any) -> None:
        params = {pkcs11.Attribute.EC_PARAMS: bytes.fromhex("06082a8648ce3d030107")}
        session.create_domain_parameters(pkcs11.KeyType.EC, params, local=True).generate_keypair(
            store=True,
            label=name,
            id=b"\x01" + name.encode()[-8:],
            private_template={pkcs11.Attribute.EXTRACTABLE: True},
        )

    inside(hsm, name, make)
    with pytest.raises(ConfigurationInvalid, match="can be taken out"):
        custody.open_blocking(f"pkcs11:token=gate;object={name}?pin-source={hsm.folder}/pin")


def test_open_of_two_keys_that_fit_is_refused(
    hsm: key_places.Hsm, signer: Signer, custody: KeyCustody, name: str
) -> None:
    """Which key is meant is not guessed; the id tells."""

    def double(session: Any, _: Any) -> None:
        params = {pkcs11.Attribute.EC_PARAMS: bytes.fromhex("06082a8648ce3d030107")}
        session.create_domain_parameters(pkcs11.KeyType.EC, params, local=True).generate_keypair(
            store=True, label=name, id=b"\x02" + name.encode()[-8:]
        )

    inside(hsm, name, double)
    with pytest.raises(ConfigurationInvalid, match="2 keys fit"):
        custody.open_blocking(f"pkcs11:token=gate;object={name}?pin-source={hsm.folder}/pin")
    assert custody.open_blocking(signer.uri).public_key == signer.public_key


@pytest.mark.parametrize("error", list(_AGAIN))
def test_sign_after_a_reset_goes_on_in_a_new_session(
    signer: Signer, control: Path, error: str
) -> None:
    """A session, login or device that went away once costs one repetition, not the gate."""
    control.write_text(f"error {_AGAIN[error]}")
    check_signature(signer, b"x", signer.sign_blocking(b"x"))
    assert control.read_text() == ""  # the module did err
    check_signature(signer, b"y", asyncio.run(signer.sign(b"y")))


def test_sign_after_the_key_was_exchanged_is_refused(
    hsm: key_places.Hsm, signer: Signer, control: Path, name: str
) -> None:
    """In the new session another key has label and id: it is not used."""

    def exchange(session: Any, objects: list[Any]) -> None:
        key_id = objects[0][pkcs11.Attribute.ID]
        for one in objects:
            one.destroy()
        params = {pkcs11.Attribute.EC_PARAMS: bytes.fromhex("06082a8648ce3d030107")}
        session.create_domain_parameters(pkcs11.KeyType.EC, params, local=True).generate_keypair(
            store=True, label=name, id=key_id
        )

    inside(hsm, name, exchange)
    control.write_text("error 0x32")
    with pytest.raises(KeyDisabled, match="another key"):
        signer.sign_blocking(b"x")


def test_sign_of_a_key_that_is_gone_is_refused(
    hsm: key_places.Hsm, signer: Signer, name: str
) -> None:
    """A destroyed key signs nothing, and the signer says that waiting is vain."""
    inside(hsm, name, lambda _, objects: [one.destroy() for one in objects])
    with pytest.raises(KeyDisabled, match="no such key"):
        signer.sign_blocking(b"x")


def test_sign_that_is_wrong_does_not_leave(signer: Signer, control: Path) -> None:
    """A token that errs in one bit gives no signature."""
    control.write_text("wrong")
    with pytest.raises(KeyDisabled, match="no signature of the key"):
        asyncio.run(signer.sign(b"x"))


def test_sign_in_a_token_that_hangs_blocks_nobody_and_is_not_made_later(
    signer: Signer, control: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loop goes on, callers hear Unavailable, and what nobody waits for is never signed."""
    desk = signer._place.module.desk  # type: ignore[attr-defined] # the adapter's
    monkeypatch.setattr(desk, "_wait_s", 0.3)
    control.write_text("hang")
    turns = 0

    async def all_of_it() -> list[object]:
        nonlocal turns
        calls = [asyncio.create_task(signer.sign(b"x")) for _ in range(3)]
        while not all(one.done() for one in calls):
            await asyncio.sleep(0.01)
            turns += 1
        return list(await asyncio.gather(*calls, return_exceptions=True))

    found = asyncio.run(all_of_it())
    assert [type(one) for one in found] == [Unavailable] * 3
    assert turns > 2
    with pytest.raises(Unavailable, match="in time"):
        signer.sign_blocking(b"x")
    used: list[bytes] = []
    monkeypatch.setattr(signer, "_use", lambda *_: used.append(b"late"))
    control.write_text("")
    monkeypatch.setattr(desk, "_wait_s", 10.0)
    desk.call_blocking(lambda: None)  # the desk has come to the end of what waited
    assert used == []


@pytest.mark.parametrize(
    ("answer", "said"), [("0x10", "destroy"), ("0", "went on")], ids=["read-only", "lies"]
)
def test_disable_that_the_token_refuses_is_failed(
    custody: KeyCustody, signer: Signer, control: Path, answer: str, said: str
) -> None:
    """A token whose keys cannot be changed, or that says so and does not: no success is told."""
    control.write_text(f"attribute {answer}")
    report = asyncio.run(custody.disable(signer.uri))
    assert (report.outcome, said in report.detail) == ("failed", True)
    assert asyncio.run(custody.state(signer.uri)) == "enabled"
    with pytest.raises(KeyDisabled):
        signer.sign_blocking(b"x")


def test_disable_reaches_signers_of_other_custodies(
    custody: KeyCustody, signer: Signer, tmp_path: Path
) -> None:
    """The token itself refuses: the signer that another object opened finds out when it signs."""
    settings = key_places.hsm_settings(tmp_path)
    other = opening.open_custody(signer.uri, settings).open_blocking(signer.uri)
    assert asyncio.run(custody.disable(signer.uri)).outcome == "disabled"
    with pytest.raises(KeyDisabled):
        other.sign_blocking(b"x")


def test_pin_that_is_refused_is_not_tried_again(
    hsm: key_places.Hsm, control: Path, tmp_path: Path
) -> None:
    """Three uses of a wrong PIN are one login; the right one in the file heals it."""
    pin = tmp_path / "pin"
    pin.touch(mode=0o600)
    pin.write_text("9999")
    place = f"pkcs11:token=spare-1?pin-source={pin}"
    custody = opening.open_custody(place, key_places.hsm_settings(tmp_path))
    logins = Path(f"{control}.logins")
    before = len(logins.read_text()) if logins.exists() else 0
    for _ in range(3):
        with pytest.raises(Unavailable, match="refused its PIN") as told:
            asyncio.run(custody.create("x", "ES256"))
        assert "9999" not in str(told.value)
    assert len(logins.read_text()) == before + 1
    pin.write_text(key_places.PIN)
    uri = asyncio.run(custody.create("x", "ES256"))
    assert asyncio.run(custody.state(uri)) == "enabled"


def test_token_that_is_not_there_is_unavailable_and_two_are_refused(tmp_path: Path) -> None:
    """A token may come back; two of one label are never guessed between."""
    for label, failure in (("nowhere", Unavailable), ("twin", ConfigurationInvalid)):
        place = key_places.hsm_place(label)
        custody = opening.open_custody(place, key_places.hsm_settings(tmp_path))
        with pytest.raises(failure):
            asyncio.run(custody.state(place.replace("?", ";object=x?")))


def test_pin_file_that_others_can_read_is_refused(hsm: key_places.Hsm, tmp_path: Path) -> None:
    """The PIN's file is a secret's file."""
    pin = tmp_path / "pin"
    pin.touch(mode=0o644)
    pin.write_text(key_places.PIN)
    place = f"pkcs11:token=spare-2;object=x?pin-source={pin}"
    custody = opening.open_custody(place, key_places.hsm_settings(tmp_path))
    with pytest.raises(ConfigurationInvalid, match="others can read the PIN"):
        asyncio.run(custody.state(place))


@pytest.mark.parametrize("modules", [(), ("/somewhere/else.so",), ("a", "b")])
def test_module_that_is_not_allowed_is_not_loaded(
    hsm: key_places.Hsm, tmp_path: Path, modules: tuple[str, ...]
) -> None:
    """A URI alone loads no code into the gate."""
    uri = f"pkcs11:token=gate;object=x?module-path={hsm.module}&pin-source={hsm.folder}/pin"
    with pytest.raises(ConfigurationInvalid, match="not among those"):
        opening.open_custody(uri, key_places.settings(tmp_path, modules=modules))


def test_module_that_is_no_module_is_refused(tmp_path: Path, hsm: key_places.Hsm) -> None:
    """A file that is not a PKCS#11 library is named, and the process lives."""
    module = tmp_path / "module.so"
    module.write_bytes(b"no library")
    uri = f"pkcs11:token=gate;object=x?pin-source={hsm.folder}/pin"
    settings = key_places.settings(tmp_path, modules=(str(module),))
    with pytest.raises(ConfigurationInvalid, match="not loaded as a PKCS#11 module"):
        opening.open_custody(uri, settings).open_blocking(uri)


def test_create_ids_differ_and_are_not_the_label_alone(custody: KeyCustody, name: str) -> None:
    """Two keys never share a CKA_ID, by which public and private part are matched."""
    uris = [asyncio.run(custody.create(f"{name[:90]}-{n}", "ES256")) for n in range(2)]
    ids = {uri.partition(";id=")[2].partition("?")[0] for uri in uris}
    plain = hashlib.sha256(f"{name[:90]}-0".encode()).hexdigest()[:32].upper()
    assert len(ids) == 2
    assert plain not in {one.replace("%", "") for one in ids}
