"""Untrusted text cannot steer the terminal or hide in it, and what is printed fits it."""

from __future__ import annotations

import io
import unicodedata

import pytest
import regex
from rich.console import Console
from rich.table import Table

from lope_common.shown import SafeConsole, changed, has_colours, neutral, one_line, safe, say

EVERYTHING = "".join(map(chr, (*range(0xD800), *range(0xE000, 0x110000))))
IGNORABLE = regex.findall(r"\p{Default_Ignorable_Code_Point}", EVERYTHING)
IN_USE = ["🧑‍🚀", "🏳️‍🌈", "❤️", "می‌خواهم", "क्‍ष", "葛󠄀"]  # with joiners and variation selectors where they belong


def test_nothing_that_steers_is_left() -> None:
    left = {char for char in safe(EVERYTHING) if unicodedata.category(char) in ("Cc", "Zl", "Zp")}
    assert left == set()
    assert not set(safe(EVERYTHING)) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c")


def test_ordinary_text_is_kept() -> None:
    text = "Grüße, 你好, שלום 🧑‍🚀 [red]x[/red]"
    assert safe(text) == text
    assert safe("a\nb\tc\x1b[2J") == "a⏎b⇥c␛[2J"
    assert neutral("a\nb\tc\x1b[2J") == "a\nb\tc␛[2J"


def test_what_shows_nothing_is_shown_by_its_number() -> None:
    for char in [*IGNORABLE, "\ufff9", "\u2028", "\x85"]:
        number = f"⟨U+{ord(char):04X}⟩"
        assert safe(char) == neutral(char) == number
        assert safe(f"a {char} b") == f"a {number} b"
        assert changed("a b", f"a{char} b")[1] == f"a{number} b"


def test_the_known_ways_to_hide_are_among_them() -> None:
    assert len(IGNORABLE) > 4000
    assert {"\u3164", "\u115f", "\u2064", "\u00ad", "\ufeff", "\U000e0041", "\u034f"} <= set(IGNORABLE)


@pytest.mark.parametrize("text", IN_USE)
def test_joiners_and_selectors_stay_where_scripts_and_emoji_need_them(text: str) -> None:
    assert safe(text) == neutral(text) == text
    assert changed(text, "x") == (text, "x")


@pytest.mark.parametrize("hidden", ["\u200c\u200d", "\ufe0f\ufe0e", "\U000e0101\U000e0102\U000e0103", "\u200d\ufe0f"])
def test_a_row_of_them_carries_no_hidden_text(hidden: str) -> None:
    shown = safe(f"a{hidden}b")
    assert shown.count("⟨") == len(hidden) - 1
    assert f"⟨U+{ord(hidden[-1]):04X}⟩" in shown


@pytest.mark.parametrize(
    ("before", "after", "seen"),
    [
        ("می‌خواهم", "میخواهم", ("می⟨U+200C⟩خواهم", "میخواهم")),
        ("🧑🚀", "🧑‍🚀", ("🧑🚀", "🧑⟨U+200D⟩🚀")),
        ("❤", "❤️", ("❤", "❤⟨U+FE0F⟩")),
        ("🧑‍🚀 flew", "dog", ("🧑‍🚀 flew", "dog")),
        ("cat", "cub\u200d", ("cat", "cub⟨U+200D⟩")),
        ("the cat", "the cub\ufe0f", ("the cat", "the cub⟨U+FE0F⟩")),
        ("می‌خواهم می‌روم", "می‌خواهم میروم", ("می‌خواهم می⟨U+200C⟩روم", "می‌خواهم میروم")),
    ],
)
def test_an_edit_shows_a_joiner_that_it_changed(before: str, after: str, seen: tuple[str, str]) -> None:
    assert changed(before, after) == seen


def test_a_change_can_be_seen() -> None:
    assert changed("  ", "a b") == ("··", "a b")
    assert changed(" a", "a ") == ("·a", "a·")
    assert changed("\u200b", "\u00a0\u3000\u2800") == ("⟨U+200B⟩", "⟨U+00A0⟩⟨U+3000⟩⟨U+2800⟩")
    assert changed("\u202e", "") != changed("\u202d", "")
    assert changed("a\nb", "a\tb") == ("a⏎b", "a⇥b")
    assert changed("a\nb", "a\tb", lines=True) == ("a⏎\nb", "a⇥\tb")


@pytest.mark.parametrize("unit", ["\U0001f1e6", "a\u200cb", "\ufe0f", "👩\u200d"])
def test_long_hostile_text_takes_no_longer_for_each_character(unit: str) -> None:
    text = unit * 200_000 + "\0"  # a quadratic way would not come back
    assert safe(text).endswith("␀")
    assert changed(text, text[len(unit) :])[1].endswith("␀")


def test_a_message_is_one_line() -> None:
    assert one_line(" a\r\n  b\u2028c\x1b[2J\u202e ") == "a b c␛[2J⟨U+202E⟩"


def test_a_console_lets_nothing_through() -> None:
    console = SafeConsole(file=io.StringIO(), force_terminal=True, color_system="standard", width=80)
    table = Table("a\x1b[2J")
    table.add_row("[bold]b\u202e[/bold]")
    console.print("[red]x[/red]\x1b]0;title\x07", table, "\u3164")
    console.print(f"plain \x9b {IN_USE[0]}", markup=False)
    assert isinstance(console.file, io.StringIO)
    out = console.file.getvalue()
    assert "\x1b[31mx\x1b[0m" in out  # its own colours
    assert not {"\x07", "\x9b", "\u202e", "\u3164"} & set(out)
    assert "\x1b[2J" not in out
    assert "\x1b]" not in out
    assert IN_USE[0] in out


def printed(text: str, width: int, indent: int = 0, **options: object) -> str:
    console = Console(file=io.StringIO(), width=width, **options)  # type: ignore[arg-type]
    say(console, text, indent)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_long_word_is_not_cut() -> None:
    long = "n" * 90 + "@0123456789abcdef"
    lines = printed(f"made from {long} and more words of ordinary length than fit", 40, 2).splitlines()
    assert lines[0] == "  made from"
    assert lines[1] == f"  {long}"
    assert all(len(line) <= 40 for line in (*lines[:1], *lines[2:]))


def test_markup_is_text() -> None:
    assert printed("[red]x[/red] :smile: [link=a]", 80, force_terminal=True) == "[red]x[/red] :smile: [link=a]\n"


def test_colours_are_known_to_be_off() -> None:
    assert not has_colours(Console(file=io.StringIO()))
    assert has_colours(Console(file=io.StringIO(), force_terminal=True, color_system="standard", no_color=False))
    assert not has_colours(Console(file=io.StringIO(), force_terminal=True, color_system="standard", no_color=True))
