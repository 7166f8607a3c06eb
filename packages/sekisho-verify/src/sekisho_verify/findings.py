# SPDX-License-Identifier: Apache-2.0
"""What a verifier finds: one failure that names the first bad thing, and safe text for people.

Nothing is repaired, skipped or guessed here: a thing is shown to be good, or the first bad file or
entry is named (docs/spec/bundle.md, "What a verifier checks").
"""

from __future__ import annotations

_SHOWN_MAX = 200


class VerificationFailed(Exception):
    """Something is not as the specification says.

    Attributes:
        place: file, or log and index; "" where the caller knows it better.
        what: one line for people; never holds control characters.
        concern: the step that it belongs to, where that is not the one that found it; else "".
    """

    def __init__(self, what: str, place: str = "", concern: str = "") -> None:
        super().__init__(f"{place}: {what}" if place else what)
        self.place = shown(place)
        self.what = shown(what)
        self.concern = concern

    def at(self, place: str) -> VerificationFailed:
        """The same failure, with its place named if it had none yet."""
        return self if self.place else VerificationFailed(self.what, place, self.concern)


def shown(text: str) -> str:
    """Printable ASCII for a terminal: bundles are written by the party that is being examined."""
    # A name or a value in the bundle may hold escape sequences, or bytes that are not UTF-8.
    cut = text if len(text) <= _SHOWN_MAX else text[: _SHOWN_MAX - 3] + "..."
    return "".join(c if " " <= c <= "~" else f"\\u{ord(c):04x}" for c in cut)


def require(condition: bool, what: str, place: str = "", concern: str = "") -> None:
    """Raise VerificationFailed(what, place, concern) unless the condition holds."""
    if not condition:
        raise VerificationFailed(what, place, concern)
