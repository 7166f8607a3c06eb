# SPDX-License-Identifier: Apache-2.0
"""Writing DER (ITU-T X.690): the few elements that this product writes by itself.

Certificates and CRLs are written by a library; this is for the scope extension, which no library
knows, and for OCSP responses, into which the library would write the time of the machine.
"""

from __future__ import annotations

from typing import Final

from sekisho.core.terms import format_instant

INTEGER: Final = 0x02
BIT_STRING: Final = 0x03
OCTET_STRING: Final = 0x04
ENUMERATED: Final = 0x0A
UTF8_STRING: Final = 0x0C
GENERALIZED_TIME: Final = 0x18
SEQUENCE: Final = 0x30


def element(tag: int, *contents: bytes) -> bytes:
    """Tag, length in its shortest form, and the contents one after the other."""
    content = b"".join(contents)
    size = len(content)
    if size < 0x80:
        return bytes([tag, size]) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + content


def explicit(number: int, *contents: bytes) -> bytes:
    """A context tag around elements."""
    return element(0xA0 | number, *contents)


def integer(value: int) -> bytes:
    """A number from 0 on."""
    return element(INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def generalized_time(ns: int) -> bytes:
    """An instant in whole seconds, rounded down."""
    digits = "".join(one for one in format_instant(ns)[:19] if one.isdigit())
    return element(GENERALIZED_TIME, f"{digits}Z".encode("ascii"))
