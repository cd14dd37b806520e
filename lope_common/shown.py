"""Untrusted text made fit to be seen, on a terminal or a page: nothing in it steers, reorders or hides.

Characters that show nothing are Unicode's Default_Ignorable_Code_Point (zero widths, bidirectional controls, tags,
fillers) and a few like them. They are shown by their number. Joiners and variation selectors stay as they are inside a
grapheme cluster, where emoji and Persian words need them, unless they are what an edit changed.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import regex
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

# Controls, what breaks a line, annotation marks, lone surrogates, and all that is ignorable by default.
_NOTHING = regex.compile(r"[\p{Cc}\p{Zl}\p{Zp}\p{Cs}\uFFF9-\uFFFB\p{Default_Ignorable_Code_Point}]")
_SPACE = regex.compile(r"[[\p{Zs}\u2800]--[ ]]", regex.VERSION1)  # not told from a plain one, but in an edit
_JOINER = regex.compile(r"[\u200C\u200D\p{Variation_Selector}]")
_VARIES = regex.compile(r"[\p{Emoji}\p{Han}\p{Mongolian}\p{Myanmar}\p{Phags_Pa}\p{Sm}]")  # has forms to choose from
_ZERO_WIDTH_JOINERS = "\u200c\u200d"
MayStand = Callable[[str, str, str], bool]
"""Of a joiner or selector, the character before it and the one after: whether it may stay as it is."""

_LAYOUT = {"\n": "\n", "\t": "\t"}
_LAYOUT_SIGNS = {"\n": "⏎\n", "\t": "⇥\t"}
_SIGNS = {"\t": "⇥", "\n": "⏎", "\x7f": "␡"}  # of the other controls Unicode has pictures from U+2400 on


def safe(text: str) -> str:
    """The text on one line: line breaks and tabs are signs too. Not free of rich's markup: print it as `Text`."""
    return _fit(text, {})


def neutral(text: str) -> str:
    """The text with its line breaks and tabs."""
    return _fit(text, _LAYOUT)


def one_line(message: str) -> str:
    """A message on one line, white space of any kind and length being one space."""
    return safe(" ".join(message.split()))


def markdown(text: str) -> str:
    """Text that Markdown, and HTML in it, shows as it is, on one line."""
    return re.sub(r"([\\`*_{}\[\]()<>#!|~$&])", r"\\\1", safe(text))


def changed(before: str, after: str, *, lines: bool = False) -> tuple[str, str]:
    """What an edit took and put there, with signs for all that could not be seen.

    Args:
        lines: line breaks and tabs have signs and stay, for a page; else all is on one line.
    """
    layout = _LAYOUT_SIGNS if lines else {}
    return _edit(before, after, layout), _edit(after, before, layout)


def brief(text: str, most: int) -> str:
    """The text, or its first `most` characters and an ellipsis."""
    return text if len(text) <= most else text[:most] + "…"


def _stands(char: str, before: str, after: str) -> bool:  # noqa: ARG001
    """Behind what is seen, and a joiner behind a selector too, as emoji have it.

    Longer runs are in no script; they can carry hidden text.
    """
    return not _JOINER.match(before) or (char in _ZERO_WIDTH_JOINERS and before not in _ZERO_WIDTH_JOINERS)


def _stands_in_edit(char: str, before: str, after: str) -> bool:
    """And doing what it is for: joining what follows, or choosing a form of what has several."""
    if not _stands(char, before, after):
        return False
    if char in _ZERO_WIDTH_JOINERS:
        return bool(after.strip() and not _NOTHING.match(after))
    return bool(_VARIES.match(before))


def _never(char: str, before: str, after: str) -> bool:  # noqa: ARG001
    return False


def _fit(text: str, layout: Mapping[str, str], may_stand: MayStand = _stands) -> str:
    """The text with signs for what shows nothing; a joiner or selector is kept where it may stand."""
    kept = -1  # the place of the last one that was kept

    def sign(match: regex.Match[str]) -> str:
        nonlocal kept
        char: str = match[0]
        place = match.start()
        if char in layout:
            return layout[char]
        before = text[place - 1 : place] if place else ""
        if _NOTHING.match(before) and kept != place - 1:
            before = ""
        if _JOINER.match(char) and before.strip() and may_stand(char, before, text[place + 1 : place + 2]):
            kept = place
            return char
        return _sign(char)

    fit: str = _NOTHING.sub(sign, text)
    return fit


def _edit(text: str, other: str, layout: Mapping[str, str]) -> str:
    inner = text.strip(" ")
    left = len(text) - len(text.lstrip(" ")) if inner else len(text)
    there = Counter(other.split())
    plain = {_JOINER.sub("", word) for word in there}
    seen = []
    for word in re.split(r"(\s+)", inner):
        hidden = False
        if _JOINER.search(word):
            if there[word]:
                there[word] -= 1
            else:
                hidden = _JOINER.sub("", word) in plain  # then joiners are what changed
        seen.append(_fit(word, layout, _never if hidden else _stands_in_edit))
    signs: str = _SPACE.sub(lambda space: _sign(space[0]), "".join(seen))
    return "·" * left + signs + "·" * (len(text) - left - len(inner))


def _sign(char: str) -> str:
    return _SIGNS.get(char) or (chr(0x2400 + ord(char)) if char < " " else f"⟨U+{ord(char):04X}⟩")


class SafeConsole(Console):
    """A console on which no text can steer the terminal, whoever made it: the last line of defence of every verb.

    Signs that are put in here come after the layout: cells of tables are made safe before, or their signs may be cut.
    """

    def __init__(self, *, stderr: bool = False, **options: Any) -> None:
        super().__init__(stderr=stderr, highlight=False, emoji=False, **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
        """As in rich, each piece of text made fit to be seen."""
        for segment in super().render(renderable, options):
            fit = segment.text if segment.control else neutral(segment.text)
            yield segment if fit == segment.text else segment._replace(text=fit)


def has_colours(console: Console) -> bool:
    """Whether colours say anything on this console; if not, marks must."""
    return console.color_system is not None and not console.no_color


def say(console: Console, text: Text | str, indent: int = 0, style: str = "") -> None:
    """Prints a paragraph wrapped at spaces; a longer word, such as a reference or a path, stays whole to be copied."""
    line = Text(text, style=style) if isinstance(text, str) else text
    for wrapped in line.divide(_breaks(line.plain, max(console.width - indent, 20))):
        whole = Text(" " * indent).append_text(wrapped)
        whole.rstrip()
        console.print(whole, overflow="ignore", crop=False, no_wrap=True, highlight=False)


def _breaks(text: str, width: int) -> list[int]:
    """Where to break a line: before the words that would stand beyond the width."""
    breaks, used = [], 0
    for word in re.finditer(r"\S+\s*|\s+", text):
        cells = cell_len(word[0].rstrip())
        if used and used + cells > width:
            breaks.append(word.start())
            used = 0
        used += cell_len(word[0])
    return breaks
