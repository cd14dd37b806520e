"""Random recipes for the fuzzer: TOML texts, sound ones and broken ones, and options typed beside them.

A recipe is a pure function of a `random.Random`. Most are sound, or wrong in one place only, as far behind the checks
before it as may be; some are no TOML at all.
"""

from __future__ import annotations

import collections.abc
import datetime
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin

from broken_toml import garbled, toml

from lope_data.guard import PATTERNS
from lope_data.presets import PRESETS
from lope_data.registry import LEVELS, get_op, ops

WORDNET = str(Path(__file__).parents[1] / "tests" / "lope_data" / "wordnet")
SOURCES = ("mixed.jsonl", "parts.jsonl", "one_class.csv", "columns.json", "plain.txt", "one_row.jsonl", "bare.jsonl")
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


@dataclass(frozen=True)
class Trial:
    """A recipe's bytes, what is typed beside it (option -> text), the source's name, and how it is built."""

    recipe: bytes
    typed: dict[str, str]
    source: str
    allow_shortfall: bool
    shard_rows: int


def random_trial(random: Random) -> Trial:
    """A recipe, and the options that go with it."""
    source = random.choices(SOURCES, (12, 4, 2, 3, 2, 1, 1))[0]
    return Trial(
        random_recipe(random, source),
        _typed(random) if random.random() < 0.2 else {},
        source,
        random.random() < 0.6,
        random.choice((7, 30, 10_000)),
    )


def random_recipe(random: Random, source: str) -> bytes:
    """A recipe for a source as TOML, or as something that is none."""
    recipe = _recipe(random, source)
    kind = random.random()
    for _ in range(random.randint(1, 3) if 0.62 <= kind < 0.84 else 0):
        _spoil(recipe, random)
    text = toml(recipe, random)
    return garbled(text, random) if kind >= 0.84 else text.encode("utf-8", "replace")


def _share(random: Random) -> float | int:
    return random.choice(
        (0.0, 1.0, 0, 1, 1e-9, 5e-324, 0.05, 0.1, 0.3, 0.5, 0.999999, random.random(), random.random())
    )


def _recipe(random: Random, source: str) -> dict[str, Any]:
    recipe: dict[str, Any] = {}
    if random.random() < 0.7:
        recipe["name"] = random.choice(NAMES)
    if random.random() < 0.7:
        recipe["seed"] = random.choice((0, 1, 614, 2**63 - 1, 2**53 + 1, random.getrandbits(63)))
    if random.random() < 0.03:
        recipe["shape"] = random.choice(("instruction", "multiple_choice", "classification", "chat"))
    if random.random() < (0.95 if source == "columns.json" else 0.02):
        recipe["columns"] = _columns(random)
    if source == "plain.txt" and random.random() < 0.95:
        recipe["source"] = {"pattern": LINE if random.random() < 0.8 else random.choice(BAD_LINES)}
    if random.random() < 0.04:
        recipe.setdefault("source", {})["encoding"] = random.choice(ENCODINGS)
    if random.random() < 0.95:
        recipe["steps"] = [_step(random, number) for number in range(random.choices((1, 2, 3, 4), (6, 3, 2, 1))[0])]
    if random.random() < 0.35:
        recipe["protect"] = [_protect(random) for _ in range(random.randint(1, 3))]
    if random.random() < 0.25:
        recipe["constraints"] = {}
        if random.random() < 0.7:
            recipe["constraints"]["min_word_length"] = random.choice((1, 2, 4, 8, 1000))
        if random.random() < 0.7:
            recipe["constraints"]["max_modification"] = random.choice((1.0, 0.5, 0.1, 1e-9, 1, random.random()))
    if random.random() < 0.2:
        recipe["embedding"] = {"alpha": random.choice((0.0, 0.05, 1e308, 3, random.random()))}
    return recipe


def _columns(random: Random) -> dict[str, Any]:
    """As the source `columns.json` names them, now and then otherwise."""
    columns = {"id": "key", "question": "ask", "choices": ["A", "B", "C"], "answer": "right"}
    for key in random.sample(list(columns), random.choice((0, 0, 0, 0, 0, 1, 2))):
        columns[key] = random.choice(
            ("text", "instruction", "ask", "key", "", "🙂", ["A", "A"], ["ask", "B"], "choices")
        )
    if random.random() < 0.1:
        columns[random.choice(("text", "label", "messages", "input"))] = random.choice(("A", "ask", "text"))
    return columns


def _step(random: Random, number: int) -> dict[str, Any]:
    step: dict[str, Any] = {"name": f"s{number}" if random.random() < 0.95 else random.choice(NAMES)}
    if random.random() < 0.9:
        step["ratio"] = _share(random)
    if random.random() < 0.7:
        step["level"] = _share(random)
    if random.random() < 0.2:
        step["stratify"] = random.random() < 0.8
    if random.random() < 0.9:
        step["mix"] = _mix(random)
    mixed = step["mix"] if isinstance(step.get("mix"), dict) else {}
    drawn = {name: _params(name, random) for name in mixed if name in ops() and random.random() < 0.6}
    if drawn := {name: params for name, params in drawn.items() if params}:
        step["params"] = drawn
    return step


def _mix(random: Random) -> Any:
    if random.random() < 0.25:
        return random.choice((*PRESETS, *LEVELS[:4], *(name for name in ops() if not get_op(name).named)))
    plain = [name for name in ops() if not get_op(name).named]
    known = [*LEVELS[:4], *plain, *plain, "word.synonym"]
    mix = {name: _weight(random) for name in random.sample(known, random.randint(1, 5))}
    return mix | {"nlpaug": 1} if random.random() < 0.006 else mix


def _weight(random: Random) -> Any:
    if random.random() < 0.02:  # so far from the others that shares come out too small, or too long
        return random.choice((1e-6, 1e6, "999999999999/1000000", "1/999999999999", "9" * 12))
    return random.choice((1, 1.0, 0.5, 3, "1/27", "2/3", "7", 0, 0.1, random.random()))


def _params(name: str, random: Random) -> dict[str, Any]:
    """Parameters drawn from the op's model, mostly sound ones."""
    fields = get_op(name).params.model_fields
    sound: dict[str, Any] = {
        "alphabet": lambda: random.choice(("abc", "xyz0", "äöü", "日本語", "🙂🤝", "ab" * 200)),
        "wordnet": lambda: WORDNET,
        "keep": lambda: sorted((random.random(), random.random())),
        "transition": lambda: random.choice(("uniform", "pairwise", {"joy": {"anger": 1, CLASSES[2]: 0.5}})),
    }
    found = {}
    for field, info in fields.items():
        if field in sound and random.random() < 0.75:
            found[field] = sound[field]()
        elif name != "nlpaug" and random.random() < 0.4:
            found[field] = _of_type(info.annotation, random)
    if name == "nlpaug":
        found["augmenter"] = random.choice(list(AUGMENTERS))
        found["options"] = AUGMENTERS[found["augmenter"]] if random.random() < 0.7 else {"aug_p": 0.1}
    if name == "word.synonym":
        found.setdefault("wordnet", WORDNET)
    return {key: value for key, value in found.items() if value is not None}


def _of_type(kind: Any, random: Random) -> Any:
    """A value of a type, as a parameter's annotation says it."""
    origin, args = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return _of_type(random.choice(args), random)
    if origin is tuple:
        return [_of_type(arg, random) for arg in args]
    if origin is list:
        return [_of_type(args[0], random) for _ in range(random.randint(0, 3))]
    if origin is collections.abc.Mapping:
        some = [random.choice((*CLASSES, *TEXTS)) for _ in range(random.randint(0, 3))]
        return {key: _of_type(args[1], random) for key in some}
    plain: dict[Any, Callable[[], Any]] = {
        str: lambda: random.choice(TEXTS),
        float: lambda: random.choice((0.0, 0.5, 1.0, 2.5, -1.0, 1e300, math.nan, 5e-324)),
        int: lambda: random.choice((0, 1, -1, 2**70)),
        bool: lambda: random.random() < 0.5,
        NoneType: lambda: None,
    }
    return plain[kind]()


def _protect(random: Random) -> dict[str, str]:
    found = random.random()
    if found < 0.4:
        return {"name": random.choice(list(PATTERNS))}
    return {"pattern": random.choice(RE2 if found < 0.96 else BAD_RE2)}


def _odd(random: Random) -> Any:
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


def _spoil(recipe: dict[str, Any], random: Random) -> None:
    """Puts something odd in one place of a recipe, at any depth."""
    place: Any = recipe
    while True:
        values = place.values() if isinstance(place, dict) else place
        inside = [value for value in values if isinstance(value, dict | list) and value]
        if not inside or random.random() < 0.3:
            break
        place = random.choice(inside)
    if isinstance(place, list):
        place[random.randrange(len(place))] = _odd(random)
        return
    what = random.random()
    if what < 0.2:
        place[random.choice(KEYS)] = _odd(random)
    elif what < 0.3:
        known = ("name", "seed", "shape", "columns", "source", "steps", "protect", "constraints", "embedding", "mix")
        place[random.choice(known)] = _odd(random)
    elif what < 0.4 and place:
        old = random.choice(list(place))
        place[random.choice((old + "s", old[1:], old.upper(), "lope"))] = place.pop(old)
    elif place:
        place[random.choice(list(place))] = _odd(random)


def _typed(random: Random) -> dict[str, str]:
    """Options of the command line, as texts."""
    share = (
        "0",
        "1",
        "0.5",
        "0.05",
        "nan",
        "inf",
        "-inf",
        "-1",
        "1.5",
        "1e-400",
        "1e400",
        "½",
        "",
        "0x1",
        "٠.٥",
        "a",
        "1_0",
    )
    offered = {
        "ratio": share,
        "level": share,
        "seed": ("0", "614", "-1", str(2**63), str(2**63 - 1), "1.5", "", "x", "9" * 5000, "１２", " 7 ", "1_000"),
        "mix": (
            *(
                "human",
                "paper",
                "char",
                "word.shuffle",
                "char=1,word=1",
                "char=1,char=2",
                "char=",
                "=1",
                ",",
                "",
                "humam",
            ),
            *(
                "char=nan",
                "char=inf",
                "char=-1",
                "char=1/27",
                "char=1e-9",
                "🙂=1",
                "char=1,",
                "char==1",
                "char=1e6",
                "a=1,b",
            ),
            *("nlpaug.x=1", "word.synonym=1", "x" * 5000, "char = 1 , word = 2", "label=0", "char=0,word=1", "\x1b[2J"),
        ),
    }
    sound = {
        "ratio": ("0.1", "1", "0"),
        "level": ("0.2", "1", "0"),
        "seed": ("7", "0"),
        "mix": ("char=1,word=2", "human"),
    }
    some = random.sample(list(offered), random.choice((1, 1, 2, 3)))
    return {name: random.choice((sound if random.random() < 0.5 else offered)[name]) for name in some}
