# SPDX-License-Identifier: Apache-2.0
"""Reading and writing the URIs of keys (docs/spec/keys.md section 1). Nothing is opened here.

Closed: what is not listed there is refused, so that a misspelt attribute never widens a search.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NoReturn

import msgspec

from sekisho.core.errors import ConfigurationInvalid

DO = "write the URI as docs/spec/keys.md section 1 says"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")
_PATH_VALUE = re.compile(r"(?:[A-Za-z0-9\-._~:\[\]@!$'()*+,=&]|%[0-9A-Fa-f]{2})+")
_QUERY_VALUE = re.compile(r"(?:[A-Za-z0-9\-._~:\[\]@!$'()*+,=/?|]|%[0-9A-Fa-f]{2})+")
_ESCAPE = re.compile(rb"%([0-9A-Fa-f]{2})")
_PLAIN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_REGION = re.compile(r"[a-z]{2}(?:-[a-z]{2,16}){1,3}-[0-9]{1,2}")
_UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_ID = rf"(?:{_UUID}|mrk-[0-9a-f]{{32}})"
_ALIAS = r"alias/(?!aws/)[A-Za-z0-9/_-]{1,250}"
_KEY_ID = re.compile(rf"{_ID}|{_ALIAS}")
_ARN = re.compile(rf"arn:aws[a-z-]*:kms:([a-z0-9-]+):[0-9]{{12}}:(?:key/{_ID}|{_ALIAS})")


class Pkcs11Uri(msgspec.Struct, frozen=True, kw_only=True):
    """A token, and a key in it; ``label`` and ``key_id`` are empty for the token alone."""

    token: str = ""
    serial: str = ""
    label: str = ""
    key_id: bytes = b""
    module: str = ""
    pin_source: str = ""

    def text(self) -> str:
        """The URI."""
        path = [("token", self.token), ("serial", self.serial), ("object", self.label)]
        parts = [f"{name}={_escaped(value.encode())}" for name, value in path if value]
        if self.key_id:
            parts.append("id=" + "".join(f"%{byte:02X}" for byte in self.key_id))
        query = [("module-path", self.module), ("pin-source", self.pin_source)]
        asked = [f"{name}={_escaped(value.encode(), b'/:')}" for name, value in query if value]
        return "pkcs11:" + ";".join(parts) + ("?" + "&".join(asked) if asked else "")


class AwsKmsUri(msgspec.Struct, frozen=True, kw_only=True):
    """A region, and a key in it; ``key_id`` is empty for the region alone."""

    region: str
    key_id: str = ""

    def text(self) -> str:
        """The URI."""
        return f"awskms:region={self.region}" + (f";key-id={self.key_id}" if self.key_id else "")


def scheme_of(uri: str) -> str:
    """What stands before the first colon; empty without one."""
    scheme, colon, _ = uri.partition(":")
    return scheme if colon else ""


def file_path(uri: str) -> Path:
    """The path of a ``file:`` URI. Raises ConfigurationInvalid."""
    path = uri.removeprefix("file:")
    if path == uri or not path or "\0" in path or path.startswith("//"):
        _refuse(uri, "not file:PATH")
    return Path(path)


def read_pkcs11(uri: str, *, key: bool = True) -> Pkcs11Uri:
    """Read a ``pkcs11:`` URI.

    Args:
        uri: the text.
        key: whether it names a key in the token, or the token alone.

    Raises:
        ConfigurationInvalid: an attribute that is not of the specification, doubled or empty, a
            secret, or something that is missing.
    """
    path, _, query = uri.removeprefix("pkcs11:").partition("?")
    if not uri.startswith("pkcs11:"):
        _refuse(uri, "not pkcs11:…")
    found = _attributes(uri, path, ";", _PATH_VALUE)
    asked = _attributes(uri, query, "&", _QUERY_VALUE) if query else {}
    if "pin-value" in found or "pin-value" in asked:
        # The URI itself is not repeated: it holds the PIN.
        raise ConfigurationInvalid(
            "a pkcs11: URI holds a PIN", "pin-value", "put the PIN into a file of mode 0600, and "
            "name that file as pin-source; then change the PIN",
        )  # fmt: skip
    allowed = {"token", "serial", "object", "id", "type"}
    unknown = [*(found.keys() - allowed), *(asked.keys() - {"module-path", "pin-source"})]
    if unknown:
        _refuse(uri, f"{min(unknown)[:40]!r} is no attribute that is taken here")
    if found.pop("type", b"private") != b"private":
        _refuse(uri, "type is private, or left out")
    result = Pkcs11Uri(
        token=_text(uri, found.get("token", b"")),
        serial=_text(uri, found.get("serial", b"")),
        label=_text(uri, found.get("object", b"")),
        key_id=found.get("id", b""),
        module=_text(uri, asked.get("module-path", b"")),
        pin_source=_text(uri, asked.get("pin-source", b"")).removeprefix("file:"),
    )
    if not (result.token or result.serial):
        _refuse(uri, "which token? token or serial is wanted")
    if not result.pin_source:
        _refuse(uri, "pin-source is wanted: the file with the token's PIN")
    if key != bool(result.label or result.key_id):
        _refuse(uri, "object or id names a key, and a token alone has neither")
    return result


def read_awskms(uri: str, *, key: bool = True) -> AwsKmsUri:
    """Read an ``awskms:`` URI; arguments and errors as :func:`read_pkcs11`."""
    if not uri.startswith("awskms:"):
        _refuse(uri, "not awskms:…")
    parts = [part.partition("=") for part in uri.removeprefix("awskms:").split(";")]
    found = {name: value for name, _, value in parts}
    wanted = {"region", "key-id"} if key else {"region"}
    if len(parts) != len(wanted) or found.keys() != wanted:
        _refuse(
            uri, "awskms:region=REGION;key-id=ID is wanted" if key else "region alone is wanted"
        )
    region, key_id = found["region"], found.get("key-id", "")
    if _REGION.fullmatch(region) is None:
        _refuse(uri, "region is no region, such as eu-west-1")
    arn = _ARN.fullmatch(key_id)
    if key and arn is None and _KEY_ID.fullmatch(key_id) is None:
        _refuse(uri, "key-id is no key's id, ARN or alias/NAME")
    if arn is not None and arn.group(1) != region:
        _refuse(uri, "the ARN is of another region")
    return AwsKmsUri(region=region, key_id=key_id)


def check_name(name: str) -> None:
    """Raises ConfigurationInvalid: not a name for a new key."""
    if NAME.fullmatch(name) is None:
        raise ConfigurationInvalid(
            f"{name[:64]!r}: not a name for a key",
            "name",
            "1 to 100 of A-Z a-z 0-9 _ -, a letter or digit first",
        )


def _attributes(uri: str, text: str, separator: str, allowed: re.Pattern[str]) -> dict[str, bytes]:
    """Attributes by name, their values decoded."""
    found: dict[str, bytes] = {}
    for part in text.split(separator):
        name, equals, value = part.partition("=")
        if not equals or name in found or allowed.fullmatch(value) is None:
            # Of a part that may be a misspelt PIN the name alone is shown.
            _refuse(uri.partition("?")[0], f"{name[:40]!r} is doubled, empty, or not well written")
        found[name] = _ESCAPE.sub(lambda one: bytes([int(one.group(1), 16)]), value.encode())
    return found


def _text(uri: str, value: bytes) -> str:
    try:
        text = value.decode("utf-8")
    except UnicodeDecodeError:
        _refuse(uri, "not UTF-8")
    if "\0" in text:
        _refuse(uri, "a zero byte")
    return text


def _escaped(value: bytes, also: bytes = b"") -> str:
    return "".join(
        chr(byte) if byte in _PLAIN or byte in also else f"%{byte:02X}" for byte in value
    )


def _refuse(uri: str, why: str) -> NoReturn:
    raise ConfigurationInvalid(f"key {uri[:300]!r}: {why}", "uri", DO)
