# SPDX-License-Identifier: Apache-2.0
"""The report's page: what it shows, that it fetches nothing, and that everybody can read it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from importlib import resources
from itertools import pairwise
from typing import Any

import msgspec
import pytest

from sekisho.core.encoding import canonical
from sekisho.core.errors import MalformedInput
from sekisho.core.scope import Scope
from sekisho.core.terms import DAY_S, NS, Code, Reason, format_instant, parse_day
from sekisho.services.report import plots, render
from sekisho.services.report_scales import grouped
from sekisho.services.report_tables import (
    LIMITS,
    limit_lines,
    mix_lines,
    status_words,
    verdict,
    what_to_do,
)
from tests.chronicle_world import (
    HELD,
    SIZE,
    admitted,
    adopted,
    at,
    chronicle,
    decided,
    execution,
    monthly,
    opened,
    policy,
)

VOID = {"meta", "br", "hr", "img", "input", "link"}
HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"


class Page(HTMLParser):
    """A page as a list of elements, their attributes and texts; refuses tags that do not match."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None], list[str]]] = []
        self._open: list[int] = []
        self.inside: list[tuple[str, ...]] = []
        self.feed(html)
        self.close()
        assert [] == self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """An element begins."""
        self.inside.append(tuple(self.elements[number][0] for number in self._open))
        self.elements.append((tag, dict(attrs), []))
        if tag not in VOID:
            self._open.append(len(self.elements) - 1)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """An element that ends at once, as shapes in a legend do."""
        self.inside.append(tuple(self.elements[number][0] for number in self._open))
        self.elements.append((tag, dict(attrs), []))

    def handle_endtag(self, tag: str) -> None:
        """The element that is open must be this one."""
        assert tag == self.elements[self._open.pop()][0]

    def handle_data(self, data: str) -> None:
        """A text counts for all elements around it."""
        for number in self._open:
            self.elements[number][2].append(data)

    def of(self, tag: str, **wanted: str) -> Iterator[tuple[dict[str, str | None], str]]:
        """Attributes and text of the elements of this name with these attributes."""
        for name, attributes, texts in self.elements:
            if name == tag and all(attributes.get(key) == value for key, value in wanted.items()):
                yield attributes, " ".join(" ".join(texts).split())

    def section(self, name: str) -> str:
        """The text of a section."""
        return next(text for _, text in self.of("section", id=name))


@pytest.fixture(scope="module")
def figures() -> dict[str, Any]:
    """The synthetic month."""
    return monthly()


@pytest.fixture(scope="module")
def html(figures: dict[str, Any]) -> str:
    """Its page."""
    return render(figures, title="Agent bot", notes=["A synthetic month."])


@pytest.fixture(scope="module")
def page(html: str) -> Page:
    """The same, parsed."""
    return Page(html)


def page_of(*entries: Any, title: str = "t") -> Page:
    """The page of a gate's log."""
    return Page(render(chronicle(entries).figures(), title=title))


def css() -> str:
    """The style sheet."""
    return (resources.files("sekisho.services") / "report_files/report.css").read_text("utf-8")


def test_page_of_the_same_figures_has_the_same_bytes(figures: dict[str, Any], html: str) -> None:
    """Made anew, and made from report.json as it is read back."""
    again = json.loads(canonical(monthly()))
    assert html == render(again, title="Agent bot", notes=["A synthetic month."])
    assert figures == monthly()


def test_page_of_another_schema_is_refused(figures: dict[str, Any]) -> None:
    """Figures that this version does not know are not drawn half."""
    with pytest.raises(MalformedInput, match="schema"):
        render(figures | {"schema": "sekisho/report/v2"}, title="t")


def test_page_shows_the_counts_of_the_figures(figures: dict[str, Any], page: Page) -> None:
    """The strip at the top, word for word."""
    orders = figures["orders"]
    strip = next(text for attributes, text in page.of("dl", **{"class": "strip"}))
    expected = (
        f"Orders asked {orders['asked']:,} Permitted {orders['permitted']:,}"
        f" Refused {orders['refused']:,} Withdrawn {orders['withdrawn']:,}"
        f" Incidents {figures['incidents']['count']} Status at the end good"
    )
    assert expected == strip[: len(expected)]
    assert verdict(figures) in page.section("summary")
    assert "A synthetic month." in page.section("summary")


def test_page_tables_hold_every_row_of_the_figures(figures: dict[str, Any], page: Page) -> None:
    """Days, reasons, incidents' steps, limits and refused orders: each text stands on the page."""
    volume = page.section("volume")
    for row in figures["days"]["rows"]:
        gross = grouped(row["gross_permitted"])
        assert f"{row['day']} {gross} 200,000.00 {row['permitted']}" in volume
    reasons = page.section("reasons")
    for row in figures["refusals"]["by_code"]:
        assert f"{row['code']} {row['orders']} {row['first_at'][:10]}" in reasons
    incidents = page.section("incidents")
    steps = [step for one in figures["incidents"]["told"] for step in one["steps"]]
    timeline = "".join(text for _, text in page.of("ol", **{"class": "timeline"}))
    assert len(steps) == timeline.count("log, entry")
    for step in steps:
        assert f"{step['detail']}" in incidents
        assert ", ".join(step["seats"]) in incidents
    refused = page.section("refusals")
    for row in figures["refusals"]["listed"]:
        assert f"entry {row['index']:,} {row['client_order_id']}" in refused
    limits = page.section("limits")
    for row in figures["limits"]:
        assert f"order {row['client_order_id']}" in limits
    for row in figures["baseline"]["factors"]:
        assert f"{row['factor']} {row['n']} {'yes' if row['established'] else 'no'}" in (
            page.section("baseline")
        )


def test_page_draws_every_point_of_the_figures(figures: dict[str, Any]) -> None:
    """A dot for each permitted order, a mark for each other, a ring for each that opened one."""
    drawn = plots(figures)["orders"].shapes
    rows = figures["points"]["rows"]
    dots = next(shape for shape in drawn if shape.attributes["class"] == "permitted")
    count = {
        ending: sum(row["ending"] == ending for row in rows)
        for ending in ("permitted", "refused", "withdrawn")
    }
    assert count["permitted"] == dots.attributes["d"].count("h0")
    for ending in ("refused", "withdrawn"):
        marks = [shape for shape in drawn if shape.attributes["class"] == ending]
        assert count[ending] == len(marks)
        # Shape, not colour alone: the paths themselves differ.
        assert {ending == "withdrawn"} == {shape.attributes["d"].endswith("z") for shape in marks}
    assert 2 == sum(shape.attributes["class"] == "ring" for shape in drawn)


def test_page_bars_and_discs_are_those_of_the_figures(figures: dict[str, Any]) -> None:
    """One bar a day with orders, as high as its volume; one disc for each reason of a day."""
    rows = figures["days"]["rows"]
    made = plots(figures)
    bars = [shape for shape in made["volume"].shapes if shape.attributes["class"] == "bar"]
    assert [row["day"] for row in rows] == [bar.title.split(":")[0] for bar in bars]
    heights = [float(bar.attributes["height"]) for bar in bars]
    volumes = [float(row["gross_permitted"]) for row in rows]
    assert sorted(range(len(rows)), key=volumes.__getitem__) == sorted(
        range(len(rows)), key=lambda number: (heights[number], volumes[number])
    )
    discs = [shape for shape in made["reasons"].shapes if shape.attributes["class"] == "disc"]
    assert sum(len(row["codes"]) for row in rows) == len(discs)


@pytest.mark.parametrize(("largest", "decades"), [("125000.00", False), ("125000.01", True)])
def test_plot_of_orders_is_by_decades_when_one_is_far_above(largest: str, decades: bool) -> None:
    """Five times the limit still fits a plain scale; a cent more does not."""
    figures = chronicle(
        [admitted(at(1, 7)), decided(at(2, 9), "a", "100.00"), decided(at(2, 10), "b", largest)]
    ).figures()
    assert decades == ("powers of ten" in plots(figures)["orders"].description)


def test_page_texts_from_outside_are_escaped() -> None:
    """An order's name, a reason, a market, a title: none becomes an element or an attribute."""
    order = decided(at(2, 9), "x").order or {}
    hostile = order | {"client_order_id": HOSTILE, "side": HOSTILE, "market": "EUR/USD"}
    reason = Reason(Code.MALFORMED_ORDER, HOSTILE, HOSTILE, HOSTILE)
    trap = policy(venues=[HOSTILE])
    trap["operator"]["name"] = HOSTILE
    entries = [
        msgspec.structs.replace(admitted(at(1, 7)), policy=trap),
        decided(at(2, 9), "x", "500000.00", order=hostile, reasons=(reason,)),
        msgspec.structs.replace(opened(1, at(2, 9), trigger=1), factor=HOSTILE),
    ]
    figures = chronicle(entries).figures()
    html = render(figures, title=HOSTILE, notes=[HOSTILE])
    page = Page(html)
    assert [] == [tag for tag, _, _ in page.elements if tag in ("script", "img")]
    assert [] == [
        name for _, attributes, _ in page.elements for name in attributes if name.startswith("on")
    ]
    assert "<script" not in html
    assert html.count("&lt;script&gt;") >= 8


def test_page_signs_that_cannot_be_seen_are_spelled_out() -> None:
    """A text that turns the reading direction, or hides a character, shows that it does."""
    reason = Reason(Code.MALFORMED_ORDER, "", "abc\u202edef\x00\n", "un\u200bit")
    page = page_of(decided(at(2, 9), "x", "", order=None, reasons=(reason,)), title="a\u202eb")
    assert "abc\\u202edef\\u0000\\u000a un\\u200bit" in page.section("refusals")
    assert ["a\\u202eb"] == [text for _, text in page.of("h1")]


def rehearsal(environment: str = "rehearsal", gate: str = "rehearsal") -> Page:
    """The page of a month at a gate of this name and environment."""
    figures = monthly()
    figures["standing"] |= {"environment": environment, "gate": gate}
    return Page(render(figures, title="t"))


def test_page_of_a_rehearsal_does_not_read_as_fact() -> None:
    """At the top, with the approvals, at each outcome and with the check it says what it is."""
    page = rehearsal()
    (_, banner), *more = page.of("aside", **{"class": "rehearsed"})
    assert ([], True) == (more, "nobody approved this, and nothing was traded" in banner)
    assert "nobody: signed by keys made for this run (" in page.section("summary")
    assert "would have been permitted" in page.section("summary")
    assert "by the rehearsal" in page.section("incidents")
    assert "keys made for this run: " in page.section("incidents")
    assert "there is no bundle of a rehearsal" in page.section("check")
    assert "sekisho-verify" not in page.section("check")


@pytest.mark.parametrize(("environment", "gate"), [("test", "gate-1"), ("rehearsal", "gate-1")])
def test_page_of_a_gate_in_earnest_is_not_called_a_rehearsal(environment: str, gate: str) -> None:
    """A gate may run in the environment of this name: there people did approve."""
    page = rehearsal(environment, gate)
    assert [] == list(page.of("aside", **{"class": "rehearsed"}))
    assert "made for this run" not in page.section("summary")
    assert "by the rehearsal" not in page.section("incidents")
    assert "sekisho-verify" in page.section("check")


def test_page_order_that_is_called_order_is_not_called_so_twice() -> None:
    """An id that says the word stands alone; another one has it before it."""
    for name, shown in (("order-7", ", order-7"), ("x", ", order x")):
        text = page_of(admitted(at(1, 7)), decided(at(2, 9), name)).section("limits")
        assert shown in text


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("message_rate", {"count_max": 1000, "window_s": 60}, "1,000 in 60 s"),
        ("price_collar", {"deviation_max": "0.05", "range_max": "0.1", "window_s": 300},
         "5 % from the reference rate; 10 % between prices within 300 s"),
        ("concentration", {"share_max": "0.6", "window_s": 86400, "notional_min": "10000"},
         "60 % in 86,400 s, from 10,000 EUR on"),
        ("market_stress",
         {"action": "refuse", "spread_max": "0.005", "move_max": "0.03", "window_s": 3600},
         "spread above 0.5 %, or a move above 3 % in 3,600 s: refused"),
    ],
)  # fmt: skip
def test_limits_of_several_parts_are_said_in_words(field: str, value: Any, expected: str) -> None:
    """A reader need not know what the parts are called in the policy."""
    figures = chronicle([admitted(at(1, 7))]).figures()
    figures["standing"]["scope"][field] = value
    assert expected == {line.field: line.limit for line in limit_lines(figures)}[field]


def test_style_shows_plots_whole_and_leaves_no_empty_tile_on_a_narrow_screen() -> None:
    """A plot shrinks with the page; tiles fill their row; a wide table says that it goes on."""
    plot = css().split(".plot svg:not(.key) {")[1].split("}")[0]
    assert (True, False) == ("max-width: 100%" in plot, "min-width" in plot)
    strip = css().split(".strip {")[1].split("}")[0]
    assert ("display: flex" in strip, "grid" in strip) == (True, False)
    assert "goes on to the right" in css()[css().index("max-width: 40rem") :]


def test_page_fetches_nothing(html: str) -> None:
    """No address, no import, no script, no form; links lead inside the page."""
    assert [] == re.findall(r"https?:|//[a-z]|@import|@font-face|url\(|<script|\bsrc\s*=", html)
    links = re.findall(r'href="([^"]*)"', html)
    assert links
    assert [] == [link for link in links if not link.startswith("#")]


def test_page_policy_of_its_head_forbids_what_it_does_not_need(page: Page) -> None:
    """Nothing but its own style may be loaded or run."""
    (attributes, _), *_ = page.of("meta", **{"http-equiv": "Content-Security-Policy"})
    assert (
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none';"
        " form-action 'none'" == attributes["content"]
    )


def test_page_headings_are_in_order_and_landmarks_there(page: Page) -> None:
    """One h1, no level left out, and header, nav, main, footer once each; a language."""
    levels = [int(tag[1]) for tag, _, _ in page.elements if re.fullmatch(r"h[1-6]", tag)]
    assert (1, 1) == (levels[0], levels.count(1))
    assert [] == [pair for pair in pairwise(levels) if pair[1] > pair[0] + 1]
    tags = [tag for tag, _, _ in page.elements]
    assert [1, 1, 1, 1] == [tags.count(tag) for tag in ("header", "nav", "main", "footer")]
    assert "en" == page.elements[0][1]["lang"]


def test_page_names_within_it_are_unique_and_lead_somewhere(page: Page) -> None:
    """Every link, and every label that an element names, exists once."""
    ids = [str(attributes["id"]) for _, attributes, _ in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    named = [
        name
        for _, attributes, _ in page.elements
        for name in (attributes.get("aria-labelledby") or "").split()
    ]
    links = [str(attributes["href"])[1:] for attributes, _ in page.of("a")]
    assert set() == {*named, *links} - set(ids)


def test_page_tables_have_captions_and_scoped_headers(page: Page) -> None:
    """Whoever hears a table is told what it is, and of what each cell speaks."""
    tables = list(page.of("table"))
    assert len(tables) == len(list(page.of("caption")))
    scopes = {str(attributes.get("scope")) for attributes, _ in page.of("th")}
    assert {"col", "row", "rowgroup"} == scopes


def test_page_plots_are_described_and_told_in_figures(page: Page) -> None:
    """Each picture has a role, a title and a description, and a table that opens by keyboard."""
    pictures = list(page.of("svg", role="img"))
    assert (5, 5) == (len(pictures), len(list(page.of("details"))))
    for attributes, _ in pictures:
        title, text = str(attributes["aria-labelledby"]).split()
        assert all(
            words for tag in ("title", "desc") for _, words in page.of(tag, id=title or text)
        )
        assert 1 == len(list(page.of("title", id=title)))
        assert 1 == len(list(page.of("desc", id=text)))
    inside = [
        around
        for (tag, _, _), around in zip(page.elements, page.inside, strict=True)
        if tag == "table"
    ]
    assert 5 == sum("details" in around for around in inside)
    scrolled = [attributes for attributes, _ in page.of("div", **{"class": "scroll"})]
    assert {"0"} == {attributes["tabindex"] for attributes in scrolled}


def _luminance(colour: str) -> float:
    """WCAG 2.2, relative luminance."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(one: str, other: str) -> float:
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


def palettes() -> list[dict[str, str]]:
    """The colours of light, dark and print."""
    roots = re.findall(r":root \{(.*?)\}", css(), re.DOTALL)
    return [dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", root)) for root in roots]


@pytest.mark.parametrize("number", [0, 1, 2])
def test_palette_contrast_is_that_of_wcag_aa(number: int) -> None:
    """4.5 for every text on what it stands on, 3 for every line and mark."""
    colours = palettes()[number]
    texts = [
        (text, ground)
        for text in ("ink", "quiet", "link", "amber")
        for ground in ("page", "surface")
    ]
    texts += [(f"on-{step}", f"shade-{step}") for step in range(1, 5)]
    marks = [(mark, "page") for mark in ("blue", "red", "amber", "violet", "ink")]
    marks += [(f"foot-{step}", f"shade-{step}") for step in range(1, 5)]
    marks += [("blue", "rule")]
    poor = [pair for pair in texts if _contrast(*(colours[name] for name in pair)) < 4.5]
    poor += [pair for pair in marks if _contrast(*(colours[name] for name in pair)) < 3]
    assert [] == poor


def test_palette_of_print_is_the_light_one_and_every_colour_is_in_a_palette() -> None:
    """Paper is white also for who reads in the dark; no colour stands outside a palette."""
    light, dark, paper = palettes()
    assert (light, set(light)) == (paper, set(dark))
    outside = re.sub(r":root \{.*?\}", "", css(), flags=re.DOTALL)
    assert [] == re.findall(r"#[0-9a-f]{3,6}\b(?![^{]*\{)", outside.replace("#incidents", ""))
    assert set() == set(re.findall(r"var\(--([\w-]+)\)", css())) - set(light)


def test_style_of_print_opens_tables_and_leaves_out_what_paper_cannot_use() -> None:
    """A4, tables of the plots expanded, headings kept with what follows."""
    paper = css()[css().index("@media print") :]
    for wanted in (
        "size: A4",
        "details::details-content { content-visibility: visible;",
        "break-after: avoid",
        "thead { display: table-header-group; }",
        "nav, .skip, summary { display: none; }",
    ):
        assert wanted in paper


def test_page_without_anything_says_so() -> None:
    """No entries, no policy: every section is there and none is broken."""
    page = page_of()
    assert "No order was asked in this period." in page.section("summary")
    assert "No incident was opened" in page.section("incidents")
    assert "No order was refused." in page.section("refusals")
    assert "every order that has a value" in page.section("check")
    assert "no limits are known here" in page.section("limits")


def test_page_before_a_policy_is_known_is_whole() -> None:
    """A refusal and a baseline of an agent whose admission is not in this part of the log."""
    page = page_of(decided(at(2, 9), "a", reasons=(SIZE,)), adopted(at(3, 9)))
    assert "exceeds_scope_size" in page.section("refusals")


def test_page_of_years_groups_days_and_cuts_its_tables() -> None:
    """Three years: several days share a bar, the newest rows are shown, the rest is named."""
    first = parse_day("2026-05-01")
    entries = [
        decided(format_instant((first + day) * DAY_S * NS + 9 * 3600 * NS), f"d{day}", "5.00")
        for day in range(1100)
    ]
    figures = chronicle([admitted(at(1, 7)), *entries]).figures()
    volume = plots(figures)["volume"]
    bars = [shape for shape in volume.shapes if shape.attributes["class"] == "bar"]
    assert (275, 400, 700) == (len(bars), len(volume.rows), volume.left_out)
    assert "the highest of 4 days" in volume.description
    page = Page(render(figures, title="t"))
    assert "700 earlier rows are in report.json" in page.section("volume")


def test_plot_of_orders_has_six_decades_at_most() -> None:
    """One cent beside a hundred million: what is smaller lies on the lowest line."""
    entries = [decided(at(2, 9), "a", "0.01"), decided(at(2, 10), "b", "100000000.00")]
    shapes = plots(chronicle([admitted(at(1, 7)), *entries]).figures())["orders"].shapes
    texts = {shape.text for shape in shapes if shape.attributes["class"] == "tick"}
    assert ({"100"}, True) == (texts & {"0.01", "0.1", "1", "10", "100"}, "1,000,000,000" in texts)


def test_plot_of_reasons_draws_the_most_frequent_and_lists_all() -> None:
    """Twelve rows are drawn; the table and the sentence account for the rest."""
    reasons = [Reason(code, "", "", "") for code in list(Code)[:14]]
    plot = plots(chronicle([decided(at(2, 9), "a", reasons=tuple(reasons))]).figures())["reasons"]
    drawn = [shape for shape in plot.shapes if shape.attributes["class"] == "tick code"]
    assert (12, 14) == (len(drawn), len(plot.rows))
    assert "The 12 most frequent of 14 reasons are drawn." in plot.description


def test_mix_beyond_its_rows_is_summed_up() -> None:
    """Twenty counterparties by name, the others in one row, and the sum of all."""
    trades = [execution(at(2, 9), f"o{number}", f"B{number:02d}") for number in range(25)]
    lines = mix_lines(chronicle(trades).figures()["mix"]["counterparty"])
    assert (20, "5", "25") == (
        len(lines["rows"]),
        lines["others"]["before"],
        lines["sums"]["before"],
    )
    assert {} == mix_lines(chronicle(trades[:20]).figures()["mix"]["counterparty"])["others"]


def test_limit_bar_ends_where_its_box_ends() -> None:
    """A use that is above its limit is told in figures; the bar stays inside."""
    figures = chronicle([admitted(at(1, 7)), decided(at(2, 9), "a", "50000.00")]).figures()
    uses = {line.field: line.uses for line in limit_lines(figures)}
    assert ("200 %", "100.0") == (
        uses["order_notional_max"][0].share,
        uses["order_notional_max"][0].width,
    )


def test_limits_every_field_of_the_scope_has_a_line() -> None:
    """A limit that is added to the scope cannot be left out of the report."""
    elsewhere = {"currency", "time_zone", "zone_offsets"}
    fields = {field.name for field in msgspec.structs.fields(Scope)}
    assert fields - elsewhere == {words.field for words in LIMITS}
    lines = limit_lines(chronicle([admitted(at(1, 7))]).figures())
    assert len(LIMITS) == len(lines)
    values = {line.field: line.limit for line in lines}
    assert ("25,000.00 EUR", "none") == (values["order_notional_max"], values["price_collar"])
    assert "08:00–17:00 UTC, Monday to Friday, 1 holiday left out" == values["trading_hours"]


def test_limits_count_the_orders_refused_by_them() -> None:
    """Every code of the scope's checks belongs to one limit."""
    codes = [code for words in LIMITS for code in words.codes]
    assert len(codes) == len(set(codes))
    figures = chronicle([admitted(at(1, 7)), decided(at(2, 9), "a", reasons=(SIZE,))]).figures()
    lines = {line.field: line.refused for line in limit_lines(figures)}
    assert (1, 0) == (lines["order_notional_max"], lines["markets"])


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ((), "not admitted"),
        ((admitted(at(1, 7)),), "good"),
        ((admitted(at(1, 7)), opened(1, at(2, 9))), "on hold"),
        ((admitted(at(1, 7)), opened(1, at(2, 9), "breaker")), "breaker latched"),
    ],
)
def test_status_words_say_what_the_agent_may_do(entries: Any, expected: str) -> None:
    """A latched breaker is told although the certificate is good."""
    assert expected == status_words(chronicle(entries).figures())[0]


def test_verdict_tells_incidents_that_are_not_closed() -> None:
    """Grammar and numbers of one and of none."""
    entries = [admitted(at(1, 7)), decided(at(2, 9), "a", reasons=(HELD,)), opened(2, at(2, 9))]
    assert verdict(chronicle(entries).figures()) == (
        "Of 1 order asked, 0 were permitted and 1 refused; 0 of the permitted were withdrawn before"
        " anything was sent. 1 incident was opened; 1 not closed here."
    )
    assert "No incident was opened." in verdict(chronicle(entries[:2]).figures())


def test_every_reason_says_what_to_do() -> None:
    """No code of the vocabulary leaves the reader alone."""
    texts = [what_to_do(str(code)) for code in Code]
    assert [] == [text for text in texts if not re.fullmatch(r"[A-Za-z].+\. [A-Za-z].+\.", text)]
