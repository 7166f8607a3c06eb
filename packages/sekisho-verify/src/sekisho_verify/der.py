# SPDX-License-Identifier: Apache-2.0
"""The few DER forms that are read by hand: INTEGER, OCTET STRING, UTF8String, SEQUENCE.

Strict: definite lengths in their shortest form, no bytes left over. Everything else of X.509 is
read by `cryptography`.
"""

from __future__ import annotations

from sekisho_verify.findings import VerificationFailed, require

INTEGER = 0x02
OCTET_STRING = 0x04
UTF8_STRING = 0x0C
SEQUENCE = 0x30


def element(data: bytes, tag: int) -> tuple[bytes, bytes]:
    """Content of the first element, which must have this tag, and the bytes after it.

    Raises:
        VerificationFailed: another tag, an indefinite, long-winded or too great length.
    """
    require(len(data) >= 2 and data[0] == tag, f"DER element with tag {tag:#04x} expected")
    length, start = data[1], 2
    if length >= 0x80:
        count = length & 0x7F
        require(1 <= count <= 4 and len(data) >= 2 + count, "DER length is malformed")
        length, start = int.from_bytes(data[2 : 2 + count], "big"), 2 + count
        require(length >= 0x80 and length >> (8 * (count - 1)) > 0, "DER length is not shortest")
    require(len(data) >= start + length, "DER element is cut off")
    return data[start : start + length], data[start + length :]


def small_integer(content: bytes) -> int:
    """A non-negative INTEGER of at most eight bytes, in its shortest form."""
    require(1 <= len(content) <= 8 and content[0] < 0x80, "DER integer is out of range")
    require(len(content) == 1 or content[0] > 0 or content[1] >= 0x80, "DER integer not shortest")
    return int.from_bytes(content, "big")


def scope_extension(value: bytes) -> tuple[int, bytes, str]:
    """`SEQUENCE { version INTEGER, policy OCTET STRING, scope UTF8String }`: its three parts.

    Raises:
        VerificationFailed: any other form.
    """
    content, rest = element(value, SEQUENCE)
    require(not rest, "DER has bytes after the scope extension")
    version, content = element(content, INTEGER)
    digest, content = element(content, OCTET_STRING)
    scope, content = element(content, UTF8_STRING)
    require(not content, "scope extension has more than three elements")
    require(len(digest) == 32, "scope extension has no SHA-256 digest")
    try:
        text = scope.decode()
    except UnicodeDecodeError as error:
        raise VerificationFailed("scope extension is not UTF-8") from error
    return small_integer(version), digest, text
