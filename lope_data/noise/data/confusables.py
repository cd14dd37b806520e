"""Letters that look the same as a Latin one: well-known pairs of Unicode's confusables (UTS #39)."""

from __future__ import annotations

# Latin letter -> Cyrillic, Greek and other letters that are drawn alike in most fonts.
HOMOGLYPHS: dict[str, str] = {
    "A": "\u0410\u0391",
    "B": "\u0412\u0392",
    "C": "\u0421\u03f9",
    "E": "\u0415\u0395",
    "G": "\u050c",
    "H": "\u041d\u0397",
    "I": "\u0406\u0399",
    "J": "\u0408\u037f",
    "K": "\u041a\u039a",
    "M": "\u041c\u039c",
    "N": "\u039d",
    "O": "\u041e\u039f",
    "P": "\u0420\u03a1",
    "Q": "\u051a",
    "S": "\u0405",
    "T": "\u0422\u03a4",
    "W": "\u051c",
    "X": "\u0425\u03a7",
    "Y": "\u04ae\u03a5",
    "Z": "\u0396",
    "a": "\u0430",
    "c": "\u0441\u03f2",
    "d": "\u0501",
    "e": "\u0435",
    "g": "\u0261",
    "h": "\u04bb",
    "i": "\u0456",
    "j": "\u0458\u03f3",
    "l": "\u04cf",
    "o": "\u043e\u03bf",
    "p": "\u0440",
    "q": "\u051b",
    "s": "\u0455",
    "v": "\u03bd\u0475",
    "w": "\u051d",
    "x": "\u0445",
    "y": "\u0443",
}


def homoglyph_bytes() -> bytes:
    """The table as bytes, for the version of the op that reads it."""
    return "\n".join(f"{letter} {alike}" for letter, alike in HOMOGLYPHS.items()).encode()
