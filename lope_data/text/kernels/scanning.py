"""The fast reader of JSON: objects of texts with the same keys in the same order, straight into Arrow's buffers.

It is strict: what it does not know it leaves to the careful reader, whole. So it need not know much, but what it takes
must be what that one would give.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import boolean, int32, int64, types, uint64

from lope_data.text.kernels.compiling import (
    HIGH,
    I64,
    I64_IN,
    ONES,
    U8_IN,
    U8_OUT,
    WORDS_IN,
    WORDS_OUT,
    Bytes,
    kernel,
    part_of_kernels,
)

_QUOTES = np.uint64(0x2222222222222222)
_SLASHES = np.uint64(0x5C5C5C5C5C5C5C5C)
_SPACES = np.uint64(0x2020202020202020)
_OFFSETS_OUT = types.Array(int32, 2, "C")

PADDING = 16
"""Zero bytes that must follow what is scanned: the kernels look ahead, and nothing that they take holds a zero."""


@part_of_kernels
def is_utf8(data: Any, low: int, high: int) -> bool:
    """Whether data[low:high] is valid UTF-8."""
    i = low
    while i < high:
        c = data[i]
        if c < 0x80:
            i += 1
        elif 0xC2 <= c <= 0xDF:
            if i + 1 >= high or data[i + 1] & 0xC0 != 0x80:
                return False
            i += 2
        elif c & 0xF0 == 0xE0:
            if i + 2 >= high or data[i + 1] & 0xC0 != 0x80 or data[i + 2] & 0xC0 != 0x80:
                return False
            if (c == 0xE0 and data[i + 1] < 0xA0) or (c == 0xED and data[i + 1] >= 0xA0):
                return False
            i += 3
        elif 0xF0 <= c <= 0xF4:
            if i + 3 >= high or data[i + 1] & 0xC0 != 0x80 or data[i + 2] & 0xC0 != 0x80 or data[i + 3] & 0xC0 != 0x80:
                return False
            if (c == 0xF0 and data[i + 1] < 0x90) or (c == 0xF4 and data[i + 1] >= 0x90):
                return False
            i += 4
        else:
            return False
    return True


@part_of_kernels
def _escaped(data: Bytes, place: int) -> int:
    """The 16 bits that four hexadecimal digits stand for; negative where they are no such digits."""
    value = 0
    for i in range(4):
        c = int64(data[place + i])
        if 48 <= c <= 57:
            value = value * 16 + c - 48
        elif 65 <= c <= 70:
            value = value * 16 + c - 55
        elif 97 <= c <= 102:
            value = value * 16 + c - 87
        else:
            return -1
    return value


@part_of_kernels
def _text(data: Bytes, words: Any, place: int, fin: int, out: Bytes, out_words: Any, at: int) -> tuple[int, int]:
    """Takes the text that begins after a quote at `place`, to `out` from `at` on: the places after the closing quote
    and after the text, or negative ones.
    """
    first = at
    high = uint64(0)  # of any byte in the text, whether its first bit is set
    while True:
        while place + 8 <= fin:  # eight bytes at a time, to the first that is a quote, a backslash or a control
            word = words[place]
            out_words[at] = word
            quote, slash = word ^ _QUOTES, word ^ _SLASHES
            marks = (((quote - ONES) & ~quote) | ((slash - ONES) & ~slash) | ((word - _SPACES) & ~word)) & HIGH
            if marks:
                below = ((marks & (~marks + uint64(1))) - uint64(1)) >> uint64(7)
                plain = int64(((below & ONES) * ONES) >> uint64(56))  # bytes before the first mark
                if plain:
                    high |= word << uint64(64 - 8 * plain)
                place += plain
                at += plain
                break
            high |= word
            place += 8
            at += 8
        if place >= fin:
            return -1, -1
        c = data[place]
        if c == 34:
            break
        if c < 32:
            return -1, -1
        if c != 92:  # in the last bytes
            out[at] = c
            high |= uint64(c) << uint64(56)
            place += 1
            at += 1
            continue
        c = data[place + 1]
        place += 2
        if c == 110:
            out[at] = 10
        elif c == 34 or c == 92 or c == 47:
            out[at] = c
        elif c == 116:
            out[at] = 9
        elif c == 114:
            out[at] = 13
        elif c == 98:
            out[at] = 8
        elif c == 102:
            out[at] = 12
        elif c == 117:
            point = _escaped(data, place)
            place += 4
            if point < 0 or 0xDC00 <= point <= 0xDFFF:
                return -1, -1
            if 0xD800 <= point <= 0xDBFF:  # half of a pair, and the other half must follow
                if data[place] != 92 or data[place + 1] != 117:
                    return -1, -1
                low = _escaped(data, place + 2)
                place += 6
                if low < 0xDC00 or low > 0xDFFF:
                    return -1, -1
                point = 0x10000 + ((point - 0xD800) << 10) + (low - 0xDC00)
                out[at] = 0xF0 | (point >> 18)
                out[at + 1] = 0x80 | ((point >> 12) & 0x3F)
                out[at + 2] = 0x80 | ((point >> 6) & 0x3F)
                at += 3
                out[at] = 0x80 | (point & 0x3F)
            elif point >= 0x800:
                out[at] = 0xE0 | (point >> 12)
                out[at + 1] = 0x80 | ((point >> 6) & 0x3F)
                at += 2
                out[at] = 0x80 | (point & 0x3F)
            elif point >= 0x80:
                out[at] = 0xC0 | (point >> 6)
                at += 1
                out[at] = 0x80 | (point & 0x3F)
            else:
                out[at] = point
        else:
            return -1, -1
        at += 1
    if high & HIGH and not is_utf8(out, first, at):
        return -1, -1
    return place + 1, at


@part_of_kernels
def _after_space(data: Bytes, place: int, fin: int, lines: bool) -> int:
    """The first place from `place` on that is no white space; of line ends only where `lines`."""
    while place < fin and (
        data[place] == 32 or data[place] == 9 or (lines and (data[place] == 10 or data[place] == 13))
    ):
        place += 1
    return place


@kernel(U8_IN, WORDS_IN, int64, U8_IN, I64_IN, boolean, U8_OUT, WORDS_OUT, int64, _OFFSETS_OUT)
def scanned(
    data: Bytes,
    words: Any,
    fin: int,
    keys: Bytes,
    first: I64,
    listed: bool,
    out: Bytes,
    out_words: Any,
    stride: int,
    offsets: Any,
) -> int:
    """The number of rows in data[:fin], or -1 where something in it is not plain.

    Args:
        data: objects, `PADDING` bytes after them; `words` are its eight bytes from each place on.
        keys: of every object, in their order, without quotes; `first` says where each begins, and where the last ends.
        listed: whether there are commas between the objects, and they may run over lines; else each is a line.
        out: the texts of column k, from k * stride on; `stride` is at least fin + 8.
        offsets: shape (columns, rows + 1 or more): where the texts of a column begin, from k * stride on.
    """
    count = len(first) - 1
    at = np.zeros(count, np.int64)
    row = 0
    place = _after_space(data, 0, fin, listed)
    while place < fin:
        if not listed and data[place] == 10:  # a blank line
            place = _after_space(data, place + 1, fin, False)
            continue
        if data[place] != 123:
            return -1
        if row + 1 >= offsets.shape[1]:
            return -1
        place += 1
        for k in range(count):
            place = _after_space(data, place, fin, listed)
            size = first[k + 1] - first[k]
            if place + size + 2 > fin or data[place] != 34 or data[place + size + 1] != 34:
                return -1
            for i in range(size):
                if data[place + 1 + i] != keys[first[k] + i]:
                    return -1
            place = _after_space(data, place + size + 2, fin, listed)
            if data[place] != 58:
                return -1
            place = _after_space(data, place + 1, fin, listed)
            if data[place] != 34:
                return -1
            place, end = _text(data, words, place + 1, fin, out, out_words, k * stride + at[k])
            if place < 0:
                return -1
            at[k] = end - k * stride
            offsets[k, row + 1] = at[k]
            place = _after_space(data, place, fin, listed)
            if data[place] != (44 if k < count - 1 else 125):
                return -1
            place += 1
        row += 1
        place = _after_space(data, place, fin, listed)
        if place >= fin:
            break
        if listed:
            if data[place] != 44:
                return -1
            place = _after_space(data, place + 1, fin, True)
            if place >= fin:  # a comma, and nothing after it
                return -1
        else:
            if data[place] == 13:
                place += 1
            if place >= fin or data[place] != 10:
                return -1
            place = _after_space(data, place + 1, fin, False)
    return row


@kernel(U8_IN, types.Array(int64, 1, "C"))
def top_level(data: Bytes, state: I64) -> int:
    """Looks through a part of a JSON array's inside, for the last comma between two of its items.

    Args:
        state: how deep the place before it is nested, whether in a text, whether behind a backslash there; it
            is moved on. The depth is -1 behind the array's own bracket, where nothing more is looked at.

    Returns:
        The place of that comma, or of the array's closing bracket; -1 where there is neither.
    """
    depth, quoted, behind = state[0], state[1], state[2]
    found = -1
    for i in range(len(data)):
        c = data[i]
        if quoted:
            if behind:
                behind = 0
            elif c == 92:
                behind = 1
            elif c == 34:
                quoted = 0
        elif c == 34:
            quoted = 1
        elif c == 91 or c == 123:
            depth += 1
        elif c == 93 or c == 125:
            depth -= 1
            if depth < 0:
                found = i
                break
        elif c == 44 and depth == 0:
            found = i
    state[0], state[1], state[2] = depth, quoted, behind
    return found
