"""Multiple choice whose answer follows from the question: numbers, order, time and grammar."""

from __future__ import annotations

from lope_data.sources.sample_data.choices import CHOICES, choice_row
from lope_data.sources.sample_data.draw import Draw, Row
from lope_data.sources.sample_data.tables import listing, table, with_article, words


def next_number(draw: Draw) -> Row:
    """The next term of a series that rises or falls by a constant step."""
    step = draw.between(2, 12)
    start = draw.between(1, 30)
    terms = [start + step * i for i in range(5)]
    if draw.below(2):
        terms.reverse()
    *shown, right = terms
    series = ", ".join(map(str, shown))
    question = draw.pick(
        [
            f"Which number comes next in the series {series}?",
            f"{draw.pick(words('names'))} counts {series}. Which number follows?",
            f"A row of houses has the numbers {series}. What is the number of the next house?",
        ]
    )
    return choice_row(draw, question, str(right), _near(right))


def part_of_speech(draw: Draw) -> Row:
    """The noun, verb, adjective or adverb of a sentence."""
    grammar = table("multiple_choice")["grammar"]
    noun, verb, adjective, adverb = (draw.own(grammar[key]) for key in ("nouns", "verbs", "adjectives", "adverbs"))
    parts = {"noun": noun, "verb": verb, "adjective": adjective, "adverb": adverb}
    sentence = f"The {adjective} {noun} {adverb} {verb} {draw.pick(grammar['objects'])}."
    part = draw.pick(list(parts))
    question = draw.pick(
        [
            f"Which word is {with_article(part)} in '{sentence}'?",
            f"Read the sentence '{sentence}' Which of its words is {with_article(part)}?",
        ]
    )
    return choice_row(draw, question, parts[part], parts.values())


def alphabet(draw: Draw) -> Row:
    """The word that a dictionary lists first, or last, of four with different initials."""
    nouns = [noun for category in words("categories") for noun in draw.share(category["nouns"]) if noun.islower()]
    initials = draw.sample(sorted({noun[0] for noun in nouns}), CHOICES)
    options = [draw.pick([noun for noun in nouns if noun[0] == initial]) for initial in initials]
    place, right = draw.pick([("first", min(options)), ("last", max(options))])
    question = draw.pick(
        [
            f"Which word comes {place} in a dictionary: {listing(options, 'or')}?",
            f"Sorted by the alphabet, which of these words is {place}: {listing(options, 'or')}?",
        ]
    )
    return choice_row(draw, question, right, options)


def calendar(draw: Draw) -> Row:
    """The day or month some steps after or before another."""
    unit, on, names = draw.pick([("day", "on", words("days")), ("month", "in", words("months"))])
    start, steps = draw.below(len(names)), draw.between(1, 4)
    direction, moved, sign = draw.pick([("after", "later", 1), ("before", "earlier", -1)])
    distance = f"one {unit}" if steps == 1 else f"{words('numbers')[steps - 2]} {unit}s"
    name = draw.pick(words("names"))
    question = draw.pick(
        [
            f"Which {unit} comes {distance} {direction} {names[start]}?",
            f"The party was planned for {names[start]} but is {distance} {moved}. Which {unit} is that?",
            f"{name} came {on} {names[start]}, the others {distance} {moved}. Which {unit} was that?",
        ]
    )
    return choice_row(draw, question, names[(start + sign * steps) % len(names)], names)


def _near(right: int) -> list[str]:
    return [str(right + shift) for shift in (-10, -2, -1, 1, 2, 10) if right + shift > 0]


KINDS = (next_number, part_of_speech, alphabet, calendar)
