"""Random recipes for the fuzzer: TOML texts, sound ones and broken ones, and options typed beside them.

A recipe is a pure function of a `random.Random`. Most are sound, or wrong in one place only, as far behind the checks
before it as may be; some are no TOML at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Any

from benchmarks.soak.broken_toml import garbled, toml
from benchmarks.soak.random_values import (
    AUGMENTERS,
    BAD_LINES,
    BAD_RE2,
    CLASSES,
    ENCODINGS,
    KEYS,
    LINE,
    NAMES,
    RE2,
    odd,
    of_type,
)
from lope_data.noise import LEVELS, all_ops, get_op, newest_edition
from lope_data.recipe import PATTERNS

WORDNET = "@wordnet@"  # stands for the folder of a small WordNet, which is not the same on every machine
SOURCES = ("mixed.jsonl", "parts.jsonl", "one_class.csv", "columns.json", "plain.txt", "one_row.jsonl", "bare.jsonl")


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
    drawn = {name: _params(name, random) for name in mixed if name in all_ops() and random.random() < 0.6}
    if drawn := {name: params for name, params in drawn.items() if params}:
        step["params"] = drawn
    return step


def _mix(random: Random) -> Any:
    if random.random() < 0.25:
        return random.choice((*newest_edition().presets, *LEVELS[:4], *sorted(newest_edition().ops)))
    plain = sorted(newest_edition().ops)
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
            found[field] = of_type(info.annotation, random)
    if name == "nlpaug":
        found["augmenter"] = random.choice(list(AUGMENTERS))
        found["options"] = AUGMENTERS[found["augmenter"]] if random.random() < 0.7 else {"aug_p": 0.1}
    if name == "word.synonym":
        found.setdefault("wordnet", WORDNET)
    return {key: value for key, value in found.items() if value is not None}


def _protect(random: Random) -> dict[str, str]:
    found = random.random()
    if found < 0.4:
        return {"name": random.choice(list(PATTERNS))}
    return {"pattern": random.choice(RE2 if found < 0.96 else BAD_RE2)}


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
        place[random.randrange(len(place))] = odd(random)
        return
    what = random.random()
    if what < 0.2:
        place[random.choice(KEYS)] = odd(random)
    elif what < 0.3:
        known = ("name", "seed", "shape", "columns", "source", "steps", "protect", "constraints", "embedding", "mix")
        place[random.choice(known)] = odd(random)
    elif what < 0.4 and place:
        old = random.choice(list(place))
        place[random.choice((old + "s", old[1:], old.upper(), "lope"))] = place.pop(old)
    elif place:
        place[random.choice(list(place))] = odd(random)


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
