# SPDX-License-Identifier: Apache-2.0
"""The one template: what, where, limit and observed, what to do."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from sekisho.apps.cli import cli
from sekisho.apps.messages import failure_text, refusal_line, refusal_text
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
from sekisho.core.explain import EXPLANATIONS
from sekisho.core.terms import Code, Reason
from tests.reason_examples import example

SIZE = Reason(Code.EXCEEDS_SCOPE_SIZE, "25000.00", "180000.00", "EUR")


def test_refusal_in_full_says_what_where_limit_observed_and_what_to_do() -> None:
    """The order of 180,000 euros, word for word."""
    assert refusal_text(SIZE).splitlines() == [
        "exceeds_scope_size: the order's value is above the largest that the policy allows",
        "    where     check 13, scope.order_notional_max",
        "    limit     25,000.00 EUR      observed  180,000.00 EUR",
        "    do        ask for a smaller order; the limit changes by a resolution only",
    ]


def test_refusal_in_one_line_names_the_check() -> None:
    """A line for lists."""
    expected = "exceeds_scope_size: limit 25,000.00 EUR, observed 180,000.00 EUR (check 13)"
    assert expected == refusal_line(SIZE)
    held = Reason(Code.CERTIFICATE_HELD, "", "", "")
    expected = "certificate_held: the agent is on hold: nothing new until people have decided"
    assert f"{expected} (check 1)" == refusal_line(held)


def test_refusal_that_compared_nothing_shows_no_values() -> None:
    """Without limit and observed value there is no line for them; one alone has a dash beside."""
    held = refusal_text(Reason(Code.CERTIFICATE_HELD, "", "", "")).splitlines()
    assert ["where", "do"] == [line.split()[0] for line in held[1:]]
    unknown = refusal_text(Reason(Code.UNKNOWN_ORDER, "", "order-7", ""))
    assert "    limit     –      observed  order-7" in unknown.splitlines()


@pytest.mark.parametrize(
    ("limit", "observed", "unit", "expected"),
    [
        ("60000", "61000", "ms", "limit 60000 ms, observed 61000 ms"),
        ("1.5", "1.51", "EUR", "limit 1.5 EUR, observed 1.51 EUR"),
        ("0.01", "0.013825", "fraction", "limit 0.01 fraction, observed 0.013825 fraction"),
        ("999.99", "1000.00", "EUR", "limit 999.99 EUR, observed 1,000.00 EUR"),
        ("08:00-17:00", "2026-05-16T09:00:00", "UTC",
         "limit 08:00-17:00 UTC, observed 2026-05-16T09:00:00 UTC"),
        ("2026-05-15T09:00:00.000000000Z", "", "instant", "limit 2026-05-15T09:00:00.000000000Z"),
    ],
)  # fmt: skip
def test_values_are_shown_with_their_unit_and_money_grouped(
    limit: str, observed: str, unit: str, expected: str
) -> None:
    """Money has thousands apart; an instant needs no unit; anything else stays as it is."""
    shown = refusal_line(Reason(Code.RATE_STALE, limit, observed, unit))
    assert f"rate_stale: {expected} (check 11)" == shown


@pytest.mark.parametrize("code", list(Code))
def test_refusal_of_every_code_says_where_and_what_to_do(code: Code) -> None:
    """Each real refusal can be told in full and in one line."""
    reason = example(code)
    lines = refusal_text(reason).splitlines()
    assert f"{code}: {EXPLANATIONS[code].means}" == lines[0]
    assert (lines[1][:14], lines[-1][:14]) == ("    where     ", "    do        ")
    assert refusal_line(reason).startswith(f"{code}: ")
    assert "\n" not in refusal_line(reason)


def test_text_of_a_bot_cannot_steer_the_terminal() -> None:
    """Control characters are spelled out, so that no line is written over or begun."""
    reason = Reason(Code.MALFORMED_ORDER, "", "\x1b[2Kfine\r\n    do        nothing\x85", "")
    for text in (refusal_text(reason), refusal_line(reason)):
        assert all(one.isprintable() or one == "\n" for one in text)
    assert 4 == len(refusal_text(reason).splitlines())
    assert 3 == len(failure_text(NotAuthorised("a\x1b[1A", "w\n")).splitlines())


def test_failure_says_its_own_advice_and_place() -> None:
    """What the place that raised knows comes first."""
    assert failure_text(NotAuthorised("no such seat: 'x'", "--seat", "name one of: a")) == (
        "sekisho: no such seat: 'x'\n    where     --seat\n    do        name one of: a"
    )
    many = failure_text(MalformedInput("policy: 2 faults\na: is missing\nb: is missing", "a"))
    expected = ["sekisho: policy: 2 faults", "    a: is missing", "    b: is missing"]
    assert expected == many.splitlines()[:3]


@pytest.mark.parametrize(
    ("error", "word"),
    [
        (MalformedInput("m"), "correct"),
        (VerificationFailed("m"), "copy that you trust"),
        (NotAuthorised("m"), "nothing was done"),
        (ConfigurationInvalid("m"), "correct"),
        (Unavailable("m"), "nothing took effect"),
        (StorageFailed("m"), "nothing was written"),
        (OutcomeUnknown("m"), "perhaps it was done"),
        (SekishoError(), "look at"),
        (OSError(13, "Permission denied", "f"), "look at the path"),
    ],
)
def test_failure_without_advice_gets_that_of_its_kind(
    error: SekishoError | OSError, word: str
) -> None:
    """Every kind of failure ends with what to do."""
    last = failure_text(error).splitlines()[-1]
    assert last.startswith("    do        ")
    assert word in last


def test_failure_of_the_system_names_the_file() -> None:
    """What the system refused, and where."""
    lines = failure_text(OSError(13, "Permission denied", "some/file")).splitlines()
    assert ["sekisho: Permission denied", "    where     some/file"] == lines[:2]


def test_explain_without_code_lists_every_code_in_order() -> None:
    """One line each, in the order of the checks, with the check's number."""
    done = CliRunner().invoke(cli, ["explain"])
    assert 0 == done.exit_code
    lines = [line.split()[:2] for line in done.output.splitlines()]
    assert lines == [[str(known.check or "–"), code] for code, known in EXPLANATIONS.items()]


@pytest.mark.parametrize("code", list(Code))
def test_explain_code_says_the_essence_of_its_page(code: Code) -> None:
    """Meaning, place, advice for both, whether to ask again, and the page."""
    done = CliRunner().invoke(cli, ["explain", code])
    assert 0 == done.exit_code
    known = EXPLANATIONS[code]
    for text in (known.means, known.subject, known.bot, known.people, f"reasons/{code}.md"):
        assert text in done.output
    rows = [line.split()[0] for line in done.output.splitlines()[1:]]
    assert ["where", "bot", "people", "again", "see", "page"] == rows


def test_explain_takes_other_spellings() -> None:
    """Capitals and hyphens are what people type."""
    done = CliRunner().invoke(cli, ["explain", "Rate-Stale"])
    assert (0, True) == (done.exit_code, done.output.startswith("rate_stale: "))


def test_explain_unknown_code_names_the_nearest_and_exits_2() -> None:
    """A slip of the finger is met with what may have been meant."""
    done = CliRunner().invoke(cli, ["explain", "exceeds_size"])
    assert 2 == done.exit_code
    assert "no code 'exceeds_size'; the nearest: exceeds_scope_size" in done.output
