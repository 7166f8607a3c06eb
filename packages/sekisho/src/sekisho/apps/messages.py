# SPDX-License-Identifier: Apache-2.0
"""The one template of everything that went wrong: what, where, limit and observed, what to do.

Texts for people. Programs read a reason's four fields, never these lines. What came from outside is
shown with its control characters spelled out, so that it cannot write over what stands above it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from sekisho.core.errors import (
    ConfigurationInvalid,
    MalformedInput,
    NotAuthorised,
    OutcomeUnknown,
    SekishoError,
    StorageFailed,
    Unavailable,
    VerificationFailed,
)
from sekisho.core.explain import EXPLANATIONS, Explanation
from sekisho.core.terms import Code, Reason

AGAIN: Final = {
    "changed": "not with the same content: change the order, and use a new id",
    "later": "can pass later by itself, under a new id; the same id gets this answer again",
    "person": "not before a person has acted",
    "same": "with the same id and content, for nothing was decided",
}
"""Whether to ask again, by the explanation's ``again``."""
_PLAIN_UNITS: Final = ("", "instant")
"""Units that would only repeat what the value shows."""
_ADVICE: Final[tuple[tuple[type[SekishoError], str], ...]] = (
    (MalformedInput, "correct what is named here and run the command again"),
    (VerificationFailed, "change nothing; compare the files with a copy that you trust"),
    (NotAuthorised, "nothing was done; ask the people whom docs/spec/policy.md, 8 names"),
    (ConfigurationInvalid, "correct what is named here and run the command again"),
    (Unavailable, "nothing took effect; run the command again when it answers"),
    (StorageFailed, "nothing was written; look at the disk, then run the command again"),
    (OutcomeUnknown, "perhaps it was done: look at what is there before you repeat it"),
)
"""What to do where the failure itself does not say."""


def refusal_text(reason: Reason) -> str:
    """A refusal in full: two to four lines, without a newline at the end."""
    known = EXPLANATIONS[reason.code]
    lines = [f"{reason.code}: {known.means}", _row("where", where_of(known))]
    compared = _compared(reason)
    if compared:
        (_, limit), (_, observed) = compared
        lines.append(_row("limit", f"{limit}      observed  {observed}"))
    lines.append(_row("do", f"{known.bot}; {known.people}"))
    return "\n".join(lines)


def refusal_line(reason: Reason) -> str:
    """A refusal in one line: ``code: limit …, observed … (check 13)``."""
    known = EXPLANATIONS[reason.code]
    compared = [f"{name} {value}" for name, value in _compared(reason) if value != "–"]
    check = f" (check {known.check})" if known.check else ""
    return f"{reason.code}: {', '.join(compared) or known.means}{check}"


def failure_text(error: SekishoError | OSError) -> str:
    """A failure of a command: what, where if that is known, what to do."""
    if isinstance(error, OSError):
        what, where, do = error.strerror or str(error), error.filename, ""
    else:
        what, where, do = str(error), error.where, error.do
    first, *more = [printable(line) for line in what.splitlines()] or [type(error).__name__]
    lines = [f"sekisho: {first}", *(f"    {line}" for line in more)]
    if where:
        lines.append(_row("where", printable(str(where))))
    lines.append(_row("do", printable(do or _advice(error))))
    return "\n".join(lines)


def explanation_text(code: Code) -> str:
    """What ``sekisho explain CODE`` says: the essence of the code's page."""
    known = EXPLANATIONS[code]
    return "\n".join(
        (
            f"{code}: {known.means}",
            _row("where", where_of(known)),
            _row("bot", known.bot),
            _row("people", known.people),
            _row("again", AGAIN[known.again]),
            _row("see", ", ".join(known.related)),
            _row("page", page_of(code)),
        )
    )


def overview_lines() -> Iterable[str]:
    """What ``sekisho explain`` says: every code in the order of the checks."""
    width = max(len(code) for code in Code)
    for code, known in EXPLANATIONS.items():
        yield f"{known.check or '–':>2}  {code:<{width}}  {known.means}"


def where_of(known: Explanation) -> str:
    """``check 13, scope.order_notional_max``."""
    return f"check {known.check}, {known.subject}" if known.check else known.subject


def page_of(code: Code) -> str:
    """The code's page, from the root of the repository."""
    return f"docs/reference/reasons/{code}.md"


def printable(text: str) -> str:
    """The text on one line, with what is not printable spelled out."""
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape").decode() for one in text
    )


def value_text(text: str, unit: str) -> str:
    """A limit or an observed value as people read it: money grouped, with its unit."""
    if not text:
        return "–"
    shown = _grouped(printable(text))
    return shown if unit in _PLAIN_UNITS else f"{shown} {printable(unit)}"


def _compared(reason: Reason) -> list[tuple[str, str]]:
    """Limit and observed value; nothing where nothing was compared."""
    if not reason.limit and not reason.observed:
        return []
    return [
        ("limit", value_text(reason.limit, reason.unit)),
        ("observed", value_text(reason.observed, reason.unit)),
    ]


def _grouped(text: str) -> str:
    """Money (two decimals): ``25000.00`` as ``25,000.00``; anything else as it is."""
    whole, _, cents = text.partition(".")
    money = len(cents) == 2 and (whole + cents).isdecimal()
    return f"{int(whole):,}.{cents}" if money else text


def _row(name: str, text: str) -> str:
    return f"    {name:<10}{text}"


def _advice(error: SekishoError | OSError) -> str:
    for kind, text in _ADVICE:
        if isinstance(error, kind):
            return text
    return "look at the path and its rights, then run the command again"
