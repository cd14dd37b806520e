"""Multiple choice whose answer follows from the question: numbers, order, time and grammar."""

from __future__ import annotations

from lope_data.samples.choices import CHOICES, choice_row
from lope_data.samples.draw import Draw, Row
from lope_data.samples.tables import listing, table, with_article, words


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


def extreme_number(draw: Draw) -> Row:
    """The largest or smallest of four numbers."""
    numbers = draw.sample(range(10, 1000), CHOICES)
    asked, right = draw.pick([("largest", max(numbers)), ("smallest", min(numbers))])
    options = [str(number) for number in numbers]
    question = draw.pick(
        [
            f"Which of these numbers is the {asked}: {listing(options, 'or')}?",
            f"{draw.pick(words('names'))} wrote down {listing(options)}. Which is the {asked} of them?",
        ]
    )
    return choice_row(draw, question, str(right), options)


def word_problem(draw: Draw) -> Row:
    """A sum or difference of things that somebody has."""
    have, change = draw.between(12, 60), draw.between(2, 11)
    thing = draw.pick(
        ["apples", "stamps", "marbles", "coins", "books", "shells", "eggs", "tickets", "pencils", "cards"]
    )
    name = draw.pick(words("names"))
    verb, right = draw.pick([("gets", have + change), ("gives away", have - change)])
    more = " more" if verb == "gets" else ""
    question = f"{name} has {have} {thing} and {verb} {change}{more}. How many {thing} does {name} have now?"
    return choice_row(draw, question, str(right), [*_near(right), str(have)])


def unit_count(draw: Draw) -> Row:
    """How many small units some large ones hold."""
    big, small, factor = draw.pick(words("units"))
    count = draw.between(2, 10)
    number = words("numbers")[count - 2]
    question = draw.pick(
        [
            f"How many {small} are there in {number} {big}?",
            f"{draw.pick(words('names'))} asks how many {small} make {number} {big}. How many is it?",
        ]
    )
    right = count * factor
    wrong = [right + factor, right - factor, count * 100, count * 10, count * 1000, right + 10, factor]
    return choice_row(draw, question, str(right), map(str, wrong))


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


def tallest(draw: Draw) -> Row:
    """The first or last of four people, given as a chain of comparisons."""
    order = draw.sample(words("names"), CHOICES)
    more, most, least = draw.pick(
        [("taller", "tallest", "shortest"), ("older", "oldest", "youngest"), ("faster", "fastest", "slowest")]
    )
    facts = [f"{order[i]} is {more} than {order[i + 1]}." for i in range(CHOICES - 1)]
    asked, right = draw.pick([(most, order[0]), (least, order[-1])])
    return choice_row(draw, f"{' '.join(draw.sample(facts, len(facts)))} Who is the {asked}?", right, order)


def _near(right: int) -> list[str]:
    return [str(right + shift) for shift in (-10, -2, -1, 1, 2, 10) if right + shift > 0]


KINDS = (next_number, extreme_number, word_problem, unit_count, part_of_speech, alphabet, calendar, tallest)
