# SPDX-License-Identifier: Apache-2.0
"""The object identifiers of this product (docs/spec/certificate.md, section 1).

One arc is configured; every identifier lies below it. The text that teaches ``openssl`` their names
is made here too, so that a bundle can carry it.
"""

from __future__ import annotations

import re

import msgspec
from cryptography import x509

from sekisho.core.errors import MalformedInput

DOCUMENTATION_ARC = "1.3.6.1.4.1.32473"
"""RFC 5612; stands until an operator configures a registered arc."""

_ARC = re.compile(r"[0-2](\.(0|[1-9][0-9]{0,9})){1,30}")


class Arc(msgspec.Struct, frozen=True):
    """Our object identifiers, below one configurable arc."""

    base: str = DOCUMENTATION_ARC

    def scope(self) -> x509.ObjectIdentifier:
        """The scope extension."""
        return x509.ObjectIdentifier(f"{self.base}.1.1")

    def order_signing(self) -> x509.ObjectIdentifier:
        """Extended key usage: signs orders."""
        return x509.ObjectIdentifier(f"{self.base}.2.1")

    def checkpoint_signing(self) -> x509.ObjectIdentifier:
        """Extended key usage: signs checkpoints of a log."""
        return x509.ObjectIdentifier(f"{self.base}.2.2")

    def check(self) -> None:
        """Refuse arcs that stock tools cannot read.

        Raises:
            MalformedInput: not dotted numbers, or a component is 2^31 or above.
        """
        if _ARC.fullmatch(self.base) is None or any(
            int(part) >= 2**31 for part in self.base.split(".")
        ):
            raise MalformedInput(
                f"arc {self.base[:80]!r}: dotted numbers, each component below 2^31", "arc"
            )
        try:
            self.scope()
        except ValueError as error:
            raise MalformedInput(f"arc {self.base!r} is no object identifier", "arc") from error


def openssl_names(arc: Arc) -> str:
    """An OpenSSL configuration that knows our identifiers by name (``oid.cnf`` of a bundle).

    With it, ``openssl x509 -in agent.pem -noout -ext sekishoAgentScope`` prints the scope alone;
    the variable ``OPENSSL_CONF`` names the file.
    """
    return (
        "openssl_conf = openssl_init\n"
        "[openssl_init]\n"
        "oid_section = sekisho\n"
        "[sekisho]\n"
        f"sekishoAgentScope = {arc.scope().dotted_string}\n"
        f"sekishoOrderSigning = {arc.order_signing().dotted_string}\n"
        f"sekishoCheckpointSigning = {arc.checkpoint_signing().dotted_string}\n"
    )
