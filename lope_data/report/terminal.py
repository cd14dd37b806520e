"""What may be printed: untrusted text without what could steer a terminal, and lines whose long words stay whole."""

from __future__ import annotations

import re

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

_BIDI = (0x061C, 0x200E, 0x200F, *range(0x2028, 0x202F), *range(0x2066, 0x206A))  # would reorder or break the line
_HIDDEN = (0xA0, 0xAD, 0x1680, *range(0x2000, 0x200E), 0x202F, 0x205F, 0x2060, 0x3000, 0xFEFF)  # spaces, zero widths
_CONTROL = (
    {code: chr(0x2400 + code) for code in range(32)}
    | {9: "⇥", 10: "⏎", 127: "␡"}
    | {code: f"⟨U+{code:04X}⟩" for code in (*range(128, 160), *_BIDI)}
)
_UNSEEN = _CONTROL | {code: f"⟨U+{code:04X}⟩" for code in _HIDDEN}


def safe(text: str) -> str:
    """Text from a dataset or a manifest, on one line, without what could steer a terminal. Not free of rich's markup:
    print it as `Text`, or with `markup=False`.
    """
    return text.translate(_CONTROL)


def change(text: str) -> str:
    """What an edit took or put there: safe, and with signs for what could not be seen."""
    return text.translate(_UNSEEN).replace(" ", "·") if text.isspace() else text.translate(_UNSEEN)


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
