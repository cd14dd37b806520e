"""Values for the keys of random recipes: sound ones, wrong ones, and ones that hardly any key can have."""

from __future__ import annotations

import collections.abc
import datetime
import math
from collections.abc import Callable
from random import Random
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin

CLASSES = ("joy", "anger", "tie 🤝")

TEXTS = [
    *("a", "abc", "äöü", "🙂👩‍👧", "0123", " ", "\t", "é", "́", "‍", "ab", "日本語", "ﬀ", "\U0001f3fb", "ᄀ"),
    *("", "x" * 300, "שלום", "line\nbreak", "nul\0", "\r\n", "\x1b[31mred", "<b>", "../..", "/etc", "%s", "{}", "None"),
]
RE2 = [
    *(r"\d+", r"[A-Z]\w+", r"\bthe\b", r"(?i)noise", r"\p{L}+", r"\p{Greek}", r"[\p{Han}\p{Hiragana}]+", r"(?s).+"),
    *(r"(a|aa)+$", r"(a*)*b", r"(x+x+)+y", r"^\s*\S+", r"\C", r"[^\x00-\x7f]", r"a{1000}", r"(?:ab){2,5}", r"\Q.*\E"),
    *(r"((((a))))", "🙂", r"\x{1F642}", r".", r"\w", r"(?P<x>a)", r"[[:alpha:]]{3}", r"\z.", r"(?U)a+", "(?m)^.$"),
    r"([a-z]{1,50}){1,20}!",
]
BAD_RE2 = [
    *(
        "",
        "x*",
        "(",
        "[",
        "a{1001}",
        "(?=a)",
        r"(?<!a)b",
        r"\1",
        "((a{100}){100}){100}",
        "(?P<x",
        r"\p{Klingon}",
        "a**",
    ),
    *(r"\xZZ", "*", "(?z)", "^", "$", r"\b", "a|", "(" * 1500 + "a" + ")" * 1500, "\\", "[z-a]", r"(a?){50}", "()"),
]
LINE = r"(?P<label>\w+)\t(?P<text>.*)"
BAD_LINES = [
    "(?P<text>.+)",
    "(.*)",
    "(?P<text>a",
    "",
    "(?P<a>.)(?P<a>.)",
    r"(?P<text>\w+)",
    r"(?P<lope_row_id>\w+)\t(?P<text>.*)",
]
ENCODINGS = [
    "utf-8",
    "latin-1",
    "UTF8",
    "utf_8_sig",
    "cp1252",
    "utf-16",
    "utf-7",
    "ascii",
    "rot13",
    "hex",
    "nope",
    "idna",
]
NAMES = ["hynoise", "one", "two", "A.b-c_9", "n" * 100]
BAD_NAMES = ["", "a b", "../x", "-x", "n" * 101, "é", "x\n", "🙂"]
KEYS = [
    "",
    "x",
    "🙂",
    "a.b",
    "ratios",
    "levle",
    "__class__",
    "model_config",
    "steps",
    "0",
    "k" * 5000,
    "\x1b[2J",
    "mixx",
]
AUGMENTERS = {  # nlpaug's are slow, so few
    "char.KeyboardAug": {"aug_char_min": 1},
    "char.RandomCharAug": {"action": "swap"},
    "word.ReservedAug": {"reserved_tokens": [["a", "b"]]},
}


def of_type(kind: Any, random: Random) -> Any:
    """A value of a type, as a parameter's annotation says it."""
    origin, args = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return of_type(random.choice(args), random)
    if origin is tuple:
        return [of_type(arg, random) for arg in args]
    if origin is list:
        return [of_type(args[0], random) for _ in range(random.randint(0, 3))]
    if origin is collections.abc.Mapping:
        some = [random.choice((*CLASSES, *TEXTS)) for _ in range(random.randint(0, 3))]
        return {key: of_type(args[1], random) for key in some}
    plain: dict[Any, Callable[[], Any]] = {
        str: lambda: random.choice(TEXTS),
        float: lambda: random.choice((0.0, 0.5, 1.0, 2.5, -1.0, 1e300, math.nan, 5e-324)),
        int: lambda: random.choice((0, 1, -1, 2**70)),
        bool: lambda: random.random() < 0.5,
        NoneType: lambda: None,
    }
    return plain[kind]()


def odd(random: Random) -> Any:
    """A value that hardly any key can have."""
    deep: Any = 1
    for _ in range(random.choice((1, 3, 30, 60))):
        deep = [deep] if random.random() < 0.5 else {"x": deep}
    return random.choice(
        (
            *(
                math.nan,
                math.inf,
                -math.inf,
                -1,
                -0.0,
                0,
                1.0000001,
                2**63,
                -(2**63),
                2**200,
                1e400,
                1e308,
                True,
                False,
            ),
            *(
                "",
                "0.5",
                "nan",
                "1/0",
                "1/3",
                "/",
                "-1/2",
                "1" * 5000,
                "🙂",
                "char",
                "humam",
                "x" * 100_000,
                "\0",
                "\n",
            ),
            *([], {}, [[]], [1, "a", 2.5, True], [{}], {"": 1}, {"x": math.nan}, deep, datetime.date(2024, 2, 29)),
            *(datetime.time(1, 2), random.choice(BAD_NAMES), random.choice(TEXTS), random.choice(BAD_RE2)),
        )
    )
