"""Whether a text has what an op needs: the first that is found ends the look, or a look at its head."""

from __future__ import annotations

import numpy as np
from numba import int64

from lope_data.text.kernels.compiling import I64, I64_IN, U8_IN, Bytes, kernel

HAS, UNSURE = 1, 2
"""What is said of a text, else 0; of one that is `UNSURE` only who knows Unicode can tell."""


@kernel(U8_IN, I64_IN, U8_IN)
def two_words(data: Bytes, offsets: I64, ink: Bytes) -> Bytes:
    """Whether each data[offsets[i]:offsets[i + 1]] has two words; `ink` marks bytes that are no white space of ASCII.

    White space between two characters of ASCII is white space, whatever stands elsewhere.
    """
    out = np.zeros(len(offsets) - 1, np.uint8)
    for text in range(len(out)):
        word = False  # a character of ASCII in a word was seen, and white space alone since
        gap = False
        for i in range(offsets[text], offsets[text + 1]):
            byte = data[i]
            if byte >= 0x80:
                out[text] = UNSURE  # unless the rest is certain
                word = gap = False
            elif not ink[byte]:
                gap = word
            elif gap:
                out[text] = HAS
                break
            else:
                word = True
    return out


@kernel(U8_IN, I64_IN, int64)
def numbers(data: Bytes, offsets: I64, most: int) -> Bytes:
    """Whether each data[offsets[i]:offsets[i + 1]] has a number, of at most `most` characters, that begins in no word.

    A run of digits, commas and points has one where it begins in no word, or has a digit after a comma or a point. What
    is unsure are longer runs, and those after a character that is not of ASCII.
    """
    out = np.zeros(len(offsets) - 1, np.uint8)
    for text in range(len(out)):
        end = offsets[text + 1]
        before = 0x20
        i = offsets[text]
        while i < end:
            if not 0x30 <= data[i] <= 0x39:
                before = data[i]
                i += 1
                continue
            low = i
            begins = before < 0x80 and not (0x61 <= before | 0x20 <= 0x7A or before == 0x5F)
            while i < end and (0x30 <= data[i] <= 0x39 or data[i] == 0x2C or data[i] == 0x2E):
                begins |= i > low and data[i] >= 0x30 and data[i - 1] < 0x30
                i += 1
            if begins and i - low <= most:
                out[text] = HAS
                break
            if begins or before >= 0x80:
                out[text] = UNSURE
    return out


@kernel(U8_IN, I64_IN, I64_IN, U8_IN, int64)
def heads(data: Bytes, start: I64, end: I64, ink: Bytes, most: int) -> I64:
    """Where the head of each data[start[i]:end[i]] ends. Of a text of more than `most` bytes that is after these at the
    latest, between white space of ASCII and another character of it, so that no character and no word is cut; else it
    is the end of the text.
    """
    out = end.copy()
    for i in range(len(out)):
        for at in range(start[i] + most if end[i] - start[i] > most else 0, start[i], -1):
            if data[at] < 0x80 and ink[data[at]] and not ink[data[at - 1]]:
                out[i] = at
                break
    return out
