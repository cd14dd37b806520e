"""Small jobs on a word, a list, a sentence or a message, each asked for in several ways."""

from __future__ import annotations

from lope_data.sources.sample_data.draw import Draw, Row
from lope_data.sources.sample_data.tables import capitalise, table, unlike, words


def plural(draw: Draw) -> Row:
    """`one leaf` -> `three leaves`."""
    singular, many = draw.own(table("instruction")["plurals"])
    number = draw.pick(words("numbers"))
    asked = draw.pick(
        [
            f"Rewrite the phrase so that it speaks of {number} instead of one.",
            f"Change one to {number} and put the noun in the plural.",
            f"There is not one but {number}. Correct the phrase.",
        ]
    )
    return _row(asked, f"one {singular}", f"{number} {many}")


def past_tense(draw: Draw) -> Row:
    """The past form of the verb of a sentence."""
    name, (_, present, past, rest) = _sentence(draw)
    asked = draw.pick(
        [
            "Write the verb of this sentence in the past tense.",
            "If this happened long ago, what would its verb be?",
            f"Give the past form of '{present}', as used here.",
        ]
    )
    return _row(asked, f"{name} {present} {rest}.", past)


def negation(draw: Draw) -> Row:
    """`Mia walks home.` -> `Mia does not walk home.`"""
    name, (plain, present, _, rest) = _sentence(draw)
    asked = draw.pick(
        [
            "Make the sentence negative.",
            "Rewrite the sentence so that it says the contrary, using 'not'.",
            "Deny this statement in one sentence.",
        ]
    )
    return _row(asked, f"{name} {present} {rest}.", f"{name} does not {plain} {rest}.")


def edge_word(draw: Draw) -> Row:
    """The first or last word of a sentence."""
    name, (_, present, _, rest) = _sentence(draw)
    sentence = f"{name} {present} {rest}"
    place, index = draw.pick([("first", 0), ("last", -1)])
    asked = draw.pick([f"Copy the {place} word of the sentence.", f"Which word comes {place} in this sentence?"])
    return _row(asked, f"{sentence}.", sentence.split()[index])


def sort_words(draw: Draw) -> Row:
    """Three nouns in the order of the alphabet."""
    nouns = _nouns(draw, 3)
    asked = draw.pick(
        [
            "Sort the words by the alphabet.",
            "Put these three words in alphabetical order.",
            "In which order would a dictionary list these words?",
        ]
    )
    return _row(asked, ", ".join(nouns), ", ".join(sorted(nouns)))


def reverse_list(draw: Draw) -> Row:
    """Three nouns from back to front."""
    nouns = _nouns(draw, 3)
    asked = draw.pick(
        [
            "Write the list in reverse order.",
            "Give the items again, starting with the last one.",
            "Turn the list around so that the last word comes first.",
        ]
    )
    return _row(asked, ", ".join(nouns), ", ".join(reversed(nouns)))


def odd_one_out(draw: Draw) -> Row:
    """The noun that does not share the category of three others."""
    category = draw.pick(words("categories"))
    odd = draw.own(draw.pick(unlike(category))["nouns"])
    nouns = draw.sample([odd, *draw.sample(category["nouns"], 3)], 4)
    asked = draw.pick(
        [
            "Find the word that does not fit with the others.",
            "Three of these belong together. Write the one that does not.",
            "Name the odd one out.",
        ]
    )
    return _row(asked, ", ".join(nouns), odd)


def extract(draw: Draw) -> Row:
    """One detail of a message: an email address, a date, a name, a telephone number or a city."""
    name, provider = draw.pick(words("names")), draw.pick(["mail", "post", "office", "desk"])
    details = {
        "email": f"{draw.pick(words('names')).lower()}{draw.between(2, 99)}@{provider}.example",
        "date": f"{draw.between(1, 28)} {draw.pick(words('months'))}",
        "name": name,
        "phone": f"555-{draw.between(1000, 9999)}",
        "city": draw.pick(words("places")),
    }
    template = draw.own(table("instruction")["messages"])
    wanted = draw.pick([detail for detail in details if f"{{{detail}}}" in template])
    noun = {"email": "email address", "name": "person's name", "phone": "telephone number"}.get(wanted, wanted)
    asked = draw.pick(
        [
            f"Extract the {noun} from the message.",
            f"Which {noun} is given in this text?",
            f"Copy only the {noun} that the note mentions.",
        ]
    )
    return _row(asked, template.format_map(details), details[wanted])


def add(draw: Draw) -> Row:
    """The sum of two numbers."""
    first, second = draw.between(2, 60), draw.between(2, 39)
    asked = draw.pick(["Add the two numbers.", "What is the sum of these numbers?", "Work out the total."])
    return _row(asked, f"{first} and {second}", str(first + second))


def continue_list(draw: Draw) -> Row:
    """The next two items of a series of numbers, days or months."""
    start = draw.below(40)
    kind = draw.pick(["numbers", "days", "months"])
    if kind == "numbers":
        step = draw.pick([1, 2, 3, 5, 10])
        items = [str(start + step * i) for i in range(6)]
    else:
        items = [words(kind)[(start + i) % len(words(kind))] for i in range(5)]
    asked = draw.pick(
        [
            "Continue the list with the next two items.",
            "What are the next two?",
            "Add the two items that follow.",
        ]
    )
    return _row(asked, ", ".join(items[:-2]), ", ".join(items[-2:]))


def politely(draw: Draw) -> Row:
    """A blunt request as a polite question."""
    request = f"{draw.own(table('instruction')['requests'])} {draw.pick(table('instruction')['moments'])}"
    asked = draw.pick(
        [
            "Rewrite the request politely.",
            "Say this in a more polite way.",
            "Turn the order into a friendly question.",
        ]
    )
    return _row(asked, f"{capitalise(request)}.", f"Could you please {request}?")


def _row(instruction: str, given: str, output: str) -> Row:
    return {"instruction": instruction, "input": given, "output": output}


def _nouns(draw: Draw, size: int) -> list[str]:
    """Nouns of different categories and with different initials."""
    nouns: list[str] = []
    for category in draw.sample(words("categories"), len(words("categories"))):
        noun = draw.pick(category["nouns"])
        if noun.islower() and all(noun[0] != other[0] for other in nouns):
            nouns.append(noun)
    return nouns[:size]


def _sentence(draw: Draw) -> tuple[str, tuple[str, str, str, str]]:
    """A name, then the verb's plain, present and past form and what follows it."""
    plain, present, past, endings = draw.own(table("instruction")["verbs"])
    rest = f"{draw.pick(endings)} {draw.pick(table('instruction')['times'])}"
    return draw.pick(words("names")), (plain, present, past, rest)


KINDS = (
    plural,
    past_tense,
    negation,
    edge_word,
    sort_words,
    reverse_list,
    odd_one_out,
    extract,
    add,
    continue_list,
    politely,
)
