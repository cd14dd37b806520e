"""Untrusted text cannot steer the terminal, and what is printed fits it."""

from __future__ import annotations

import io
import unicodedata

from rich.console import Console

from lope_data.report.terminal import change, has_colours, safe, say


def test_nothing_that_steers_is_left() -> None:
    everything = "".join(map(chr, (*range(0xD800), *range(0xE000, 0x110000))))
    left = {char for char in safe(everything) if unicodedata.category(char) in ("Cc", "Zl", "Zp")}
    assert left == set()
    assert not set(safe(everything)) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c")


def test_ordinary_text_is_kept() -> None:
    text = "Grüße, 你好, שלום 🧑‍🚀 [red]x[/red]"
    assert safe(text) == text
    assert safe("a\nb\tc\x1b[2J") == "a⏎b⇥c␛[2J"


def test_a_change_can_be_seen() -> None:
    assert change("  ") == "··"
    assert change("a b") == "a b"
    assert change("\u200b") == "⟨U+200B⟩"
    assert change("\u202e") != change("\u202d")


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
