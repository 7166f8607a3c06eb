# SPDX-License-Identifier: Apache-2.0
"""Failures, as exceptions. Refusals are values (``core.gate.decide``), never exceptions.

    SekishoError
    ├── MalformedInput          bytes from outside that are not what the specification says
    ├── VerificationFailed      a signature, hash, proof or certificate that does not hold
    ├── NotAuthorised           the caller may not do this (duties, roster, quorum)
    ├── ConfigurationInvalid    a setting is missing or contradicts another
    ├── Unavailable             a dependency did not answer and certainly had no effect
    │   ├── KeyDisabled         this key signs no more, however long one waits
    │   ├── SignatureLate       a key did not answer in time; perhaps it signs, nobody uses it
    │   └── AnotherWrites       this process follows the log; its writer must be asked
    ├── StorageFailed           certainly not written
    │   ├── DescriptorsSpent    no file could be opened: nothing is wrong with what is stored
    │   └── TermLost            another process writes the log now
    └── OutcomeUnknown          maybe written, maybe sent: read again before anything else

Every message says what is wrong, where, and what to do.
"""

from __future__ import annotations


class SekishoError(Exception):
    """Root of every failure that this package raises on purpose.

    Attributes:
        where: path of the offending part (``"quantity"``, ``"scope.trading_hours.start"``), a file,
            or ``""``.
        do: what whoever reads it can do, where that is more than the kind of failure says, or
            ``""``.
    """

    def __init__(self, message: str = "", where: str = "", do: str = "") -> None:
        super().__init__(message)
        self.where = where
        self.do = do


class MalformedInput(SekishoError):
    """Bytes from outside that the specification does not allow."""


class VerificationFailed(SekishoError):
    """A signature, hash, proof or certificate that does not hold."""


class NotAuthorised(SekishoError):
    """The person or machine may not do this."""


class ConfigurationInvalid(SekishoError):
    """A setting is missing, unknown, or contradicts another."""


class Unavailable(SekishoError):
    """A dependency did not answer; certainly nothing took effect there."""


class AnotherWrites(Unavailable):
    """This process only follows the log: whoever writes it must be asked; nothing was done."""


class KeyDisabled(Unavailable):
    """The key is disabled, gone, or another than it was; waiting for a signature is vain."""


class SignatureLate(Unavailable):
    """A key did not answer within its bound. It may still sign: what comes is destroyed."""


class StorageFailed(SekishoError):
    """Certainly not written."""


class DescriptorsSpent(StorageFailed):
    """No file could be opened, for want of descriptors; what is stored is sound. Try again."""


class TermLost(StorageFailed):
    """Another process is the log's writer now; this one writes nothing more until it takes over."""


class OutcomeUnknown(SekishoError):
    """Maybe written, maybe sent. The caller reads the truth again before it does anything else."""
