"""Untrusted text made fit to be seen, on a terminal or a page: nothing in it steers, reorders or hides.

Characters that show nothing are Unicode's Default_Ignorable_Code_Point (zero widths, bidirectional controls, tags,
fillers) and a few like them. They are shown by their number. Joiners and variation selectors stay as they are inside a
grapheme cluster, where emoji and Persian words need them, unless they are what an edit changed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
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
_CLUSTER = regex.compile(r"\X")
_ZERO_WIDTH_JOINERS = "\u200c\u200d"
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


def _fit(text: str, layout: Mapping[str, str]) -> str:
    if not _NOTHING.search(text):
        return text
    return "".join(_cluster(cluster, layout) for cluster in _CLUSTER.findall(text))


def _edit(text: str, other: str, layout: Mapping[str, str]) -> str:
    inner = text.strip(" ")
    left = len(text) - len(text.lstrip(" ")) if inner else len(text)
    plain, clusters = _JOINER.sub("", other), []
    for cluster in _CLUSTER.findall(inner):
        bare = _JOINER.sub("", cluster)
        hidden = bare != cluster and cluster not in other and bare in plain  # then joiners are what changed
        clusters.append(_cluster(cluster, layout, keep_joiners=not hidden))
    seen: str = _SPACE.sub(lambda space: _sign(space[0]), "".join(clusters))
    return "·" * left + seen + "·" * (len(text) - left - len(inner))


def _cluster(cluster: str, layout: Mapping[str, str], *, keep_joiners: bool = True) -> str:
    """A grapheme cluster with signs for what shows nothing.

    A joiner or selector is kept behind what is seen, and a joiner behind a selector too, as emoji have it. Longer runs
    are in no script; they can carry hidden text.
    """
    done, before = [], ""  # the character before, if it was kept
    for char in cluster:
        if char in layout:
            done.append(layout[char])
            before = ""
        elif not _NOTHING.match(char) or (keep_joiners and _may_stand(char, before)):
            done.append(char)
            before = char
        else:
            done.append(_sign(char))
            before = ""
    return "".join(done)


def _may_stand(char: str, before: str) -> bool:
    if not _JOINER.match(char) or not before or before.isspace():
        return False
    return not _JOINER.match(before) or (char in _ZERO_WIDTH_JOINERS and before not in _ZERO_WIDTH_JOINERS)


def _sign(char: str) -> str:
    return _SIGNS.get(char) or (chr(0x2400 + ord(char)) if char < " " else f"⟨U+{ord(char):04X}⟩")


class SafeConsole(Console):
    """A console on which no text can steer the terminal, whoever made it: the last line of defence of every verb."""

    def __init__(self, *, stderr: bool = False, **options: Any) -> None:
        super().__init__(stderr=stderr, highlight=False, **options)

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
