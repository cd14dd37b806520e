"""Multiple choice about words and everyday things: the answer is known, not worked out."""

from __future__ import annotations

from lope_data.sources.sample_data.choices import choice_row
from lope_data.sources.sample_data.draw import Draw, Row
from lope_data.sources.sample_data.tables import capitalise, table, unlike, with_article, words

Entry = list[str]


def kind_of_thing(draw: Draw) -> Row:
    """The category of a noun."""
    category = draw.pick(words("categories"))
    noun = draw.own(category["nouns"])
    thing = noun if category.get("mass") else with_article(noun)
    question = draw.pick(
        [
            f"What kind of thing is {thing}?",
            f"If people talk about {thing}, what kind of thing do they mean?",
            f"{draw.pick(words('names'))} wrote the word '{noun}' on a card. What does the word stand for?",
            f"How does a dictionary for children explain the word '{noun}'?",
            f"What would you call {thing}, in general terms?",
        ]
    )
    return choice_row(draw, question, category["name"], [other["name"] for other in unlike(category)])


def belongs_with(draw: Draw) -> Row:
    """The noun that shares a category with three others."""
    category = draw.pick(words("categories"))
    right = draw.own(category["nouns"])
    first, second, third = draw.sample([noun for noun in category["nouns"] if noun != right], 3)
    question = draw.pick(
        [
            f"Which of these belongs in the same group as {first}, {second} and {third}?",
            f"{draw.pick(words('names'))} makes a list: {first}, {second}, {third}. What also fits on it?",
            f"The words {first}, {second} and {third} have something in common. Which other word shares it?",
        ]
    )
    return choice_row(draw, question, right, [draw.own(other["nouns"]) for other in unlike(category)])


def opposite(draw: Draw) -> Row:
    """The opposite of a word."""
    entries = _entries(table("multiple_choice")["opposites"][draw.pick(["adjectives", "nouns", "verbs"])])
    group, pair = draw.own(entries)
    word, right = draw.sample(pair, 2)
    name = draw.pick(words("names"))
    question = draw.pick(
        [
            f"What is the opposite of '{word}'?",
            f"Which word means the opposite of the word '{word}'?",
            f"In a game {name} has to say the opposite of every word. What does {name} say to '{word}'?",
            f"'{capitalise(word)}' is one word of a pair of opposites. What is the other one?",
        ]
    )
    others = [entry for number, entry in draw.share(entries) if number != group]
    return choice_row(draw, question, right, [word for entry in others for word in entry])


def purpose(draw: Draw) -> Row:
    """The thing that serves a purpose."""
    entries = _entries(table("multiple_choice")["purposes"]["groups"])
    group, (goal, right) = draw.own(entries)
    name = draw.pick(words("names"))
    question = draw.pick(
        [
            f"{name} wants to {goal}. What should {name} use?",
            f"What is the most useful thing to have if you want to {goal}?",
            f"To {goal}, {name} looks for the right thing. What is it?",
            f"{name} has to {goal} and asks you for help. What do you hand over?",
        ]
    )
    others = [entry for number, entry in draw.share(entries) if number != group]
    return choice_row(draw, question, right, [tool for _, tool in others])


def outcome(draw: Draw) -> Row:
    """What happens next to an everyday thing."""
    entries = _entries(table("multiple_choice")["outcomes"]["groups"])
    group, (event, right) = draw.own(entries)
    name = draw.pick(words("names"))
    question = draw.pick(
        [
            f"{capitalise(event)}. What happens to it?",
            f"{name} sees that {event}. What happens next?",
            f"What do you expect to happen when {event}?",
            f"{name} asks what happens if {event}. What is the right answer?",
        ]
    )
    others = [entry for number, entry in entries if number != group]
    return choice_row(draw, question, right, [result for _, result in others])


def _entries(groups: list[list[Entry]]) -> list[tuple[int, Entry]]:
    """Every entry with the number of its group: wrong choices must come from another group."""
    return [(number, entry) for number, group in enumerate(groups) for entry in group]


KINDS = (kind_of_thing, belongs_with, opposite, purpose, outcome)
