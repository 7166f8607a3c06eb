# SPDX-License-Identifier: Apache-2.0
"""The scope extension's DER: one spelling for each content."""

from __future__ import annotations

import pytest

from sekisho.core.encoding import canonical
from sekisho.core.errors import MalformedInput
from sekisho.core.identity.scope_extension import (
    SCOPE_BYTES_MAX,
    SCOPE_MEMBERS,
    decode_scope,
    encode_scope,
    scope_json,
)

_DIGEST = bytes(range(32))
_WHOLE = encode_scope(_DIGEST, b"{}")


def test_scope_extension_is_the_der_of_the_specification() -> None:
    """SEQUENCE of INTEGER 1, OCTET STRING of 32 bytes, UTF8String."""
    assert bytes.fromhex("3029020101" + "0420") + _DIGEST + bytes.fromhex("0c027b7d") == _WHOLE


@pytest.mark.parametrize("size", [1, 80, 127, 128, 255, 256, SCOPE_BYTES_MAX])
def test_scope_extension_of_each_length_reads_back(size: int) -> None:
    """Short and long forms of the length are used where DER wants them."""
    json = b"x" * size
    assert (_DIGEST, json) == tuple(decode_scope(encode_scope(_DIGEST, json)))


@pytest.mark.parametrize(
    ("digest", "json"),
    [(bytes(31), b"{}"), (bytes(33), b"{}"), (_DIGEST, b""), (_DIGEST, b"x" * 32_769)],
)
def test_scope_extension_out_of_bounds_is_not_made(digest: bytes, json: bytes) -> None:
    """A digest is 32 bytes, a scope neither empty nor endless."""
    with pytest.raises(MalformedInput):
        encode_scope(digest, json)


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"0",
        _WHOLE[:-1],
        _WHOLE + b"\0",
        b"\x31" + _WHOLE[1:],
        b"\x30\x81\x29" + _WHOLE[2:],  # a length in the long form, without need
        b"\x30\x80" + _WHOLE[2:] + b"\0\0",  # an indefinite length
        _WHOLE.replace(b"\x02\x01\x01", b"\x02\x01\x02"),  # another version
        b"\x30\x2a" + b"\x02\x02\0\x01" + _WHOLE[5:],  # the version with a leading zero
        b"\x30\x2b" + _WHOLE[2:] + b"\x05\0",  # one element more
        _WHOLE.replace(b"\x0c\x02", b"\x16\x02"),  # another kind of string
        b"\x30\x28" + b"\x02\x01\x01\x04\x1f" + bytes(31) + b"\x0c\x02{}",
        b"\x30\xff" + bytes(127),
    ],
)
def test_scope_extension_in_another_spelling_is_refused(value: bytes) -> None:
    """Whatever the encoder would not write is refused, also when it means the same."""
    with pytest.raises(MalformedInput):
        decode_scope(value)


def test_scope_json_repeats_the_binding_members_only() -> None:
    """The certificate repeats what binds the agent; the rest is behind the policy's digest."""
    policy = dict.fromkeys((*SCOPE_MEMBERS, "governance", "testing"), "x")
    assert canonical(dict.fromkeys(SCOPE_MEMBERS, "x")) == scope_json(policy)
