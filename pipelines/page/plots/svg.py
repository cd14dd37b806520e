"""Figures as SVG to stand in a page: text is text, the ink is the page's, and no two share an id."""

from __future__ import annotations

import io
import itertools
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import matplotlib as mpl
from markupsafe import Markup, escape
from matplotlib.figure import Figure

from lope_common.shown import brief, one_line

WIDTH = 4.1
"""Inches of a panel, whatever the screen: 8.5 points of 295 are some 10 pixels on a phone."""
INK = "#010203"
"""Stands for the page's text colour, which differs by day and night."""
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""Okabe and Ito's, but black and yellow, of which one cannot be seen by night and one not by day."""
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
_DASHES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (1.5, 1.2)), (0, (5, 1.2, 1.2, 1.2)))
_STYLE: Any = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.size": 8.5,
    "axes.labelsize": 8.5,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "axes.unicode_minus": True,
    "figure.constrained_layout.use": True,
    "savefig.transparent": True,
    **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), INK),
}


class Look(NamedTuple):
    """How one series is drawn: colour, marker and dashes all differ, so that none of them is needed."""

    colour: str
    marker: str
    dashes: Any


@dataclass(frozen=True)
class Panel:
    """One picture, and what it shows in words; `paper` where the numbers are not ours."""

    title: str
    svg: Markup
    says: str
    paper: bool = False


@dataclass(frozen=True)
class Drawing:
    """A figure of the page. `missing` are sentences on what it does not show."""

    title: str
    caption: str
    panels: list[Panel] = field(default_factory=list)
    legend: list[tuple[Markup, str]] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


def look(place: int) -> Look:
    """The look of the series of that number; the first 42 differ."""
    return Look(_COLOURS[place % 6], _MARKERS[place % 7], _DASHES[place % 4])


def shown(text: str, most: int = 40) -> str:
    """A label fit for a picture: one line, cut short, nothing in it that reorders the text around it."""
    return brief(one_line(text), most)


class Draughtsman:
    """Makes the SVGs of one page."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)

    @contextmanager
    def drawing(self, height: float, width: float = WIDTH) -> Iterator[tuple[Figure, list[Markup]]]:
        """A figure to draw on, in inches; the list holds its SVG afterwards."""
        made: list[Markup] = []
        with mpl.rc_context(_STYLE), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Glyph .* missing from")  # the reader's font has it
            figure = Figure(figsize=(width, height))
            yield figure, made
            text = io.StringIO()
            figure.savefig(text, format="svg", dpi=200)  # of pictures in it
        made.append(self._embedded(text.getvalue()))

    def swatch(self, style: Look) -> Markup:
        """A piece of a line with its marker, for a legend in HTML."""
        with self.drawing(0.16, 0.5) as (figure, made):
            figure.set_layout_engine("none")
            axes = figure.add_axes((0, 0, 1, 1))
            axes.axis("off")
            axes.set(xlim=(0, 1), ylim=(-1, 1))
            axes.plot([0.04, 0.96], [0, 0], color=style.colour, linestyle=style.dashes, linewidth=1.4)
            axes.plot([0.5], [0], color=style.colour, marker=style.marker, markersize=5)
        return made[0]

    def _embedded(self, svg: str) -> Markup:
        """What matplotlib wrote without its head, metadata, size, fonts and rules for the whole page."""
        prefix = f"p{next(self._numbers)}-"
        svg = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", svg[svg.index("<svg") :], flags=re.DOTALL)

        def tag(match: re.Match[str]) -> str:
            text = re.sub(r' (width|height)="[^"]*"', "", match[0]) if match[0].startswith("<svg") else match[0]
            text = re.sub(r' id="|url\(#|href="#', lambda start: start[0] + prefix, text)
            text = re.sub(r'font-family: [^;"]+', "font-family: system-ui, sans-serif", text)
            return text.replace(INK, "currentColor")

        return Markup(re.sub(r"<[^>]+>", tag, svg).strip())  # noqa: S704  # matplotlib escaped the texts


def labelled(panel: Panel) -> Markup:
    """The SVG with its words for those who do not see it."""
    words = f'<svg role="img" aria-label="{escape(panel.says)}" '
    return Markup(str(panel.svg).replace("<svg ", words, 1))  # noqa: S704  # a Markup's own replace would escape the tag
