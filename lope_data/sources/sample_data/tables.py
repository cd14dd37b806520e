"""The word and fact tables beside this module, and what the kinds of row share in reading them."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files
from typing import Any


@cache
def table(name: str) -> dict[str, Any]:
    """The content of `<name>.toml`."""
    return tomllib.loads(files(__package__).joinpath(f"{name}.toml").read_text(encoding="utf-8"))


def words(name: str) -> list[Any]:
    """A list out of `words.toml`."""
    found: list[Any] = table("words")[name]
    return found


def unlike(category: dict[str, Any]) -> list[dict[str, Any]]:
    """The categories none of whose nouns could be taken for one of `category`."""
    near = {category["name"], *category.get("near", [])}
    return [other for other in words("categories") if other["name"] not in near]


def with_article(noun: str) -> str:
    """`a pear`, `an apple`; the tables hold no noun that sounds other than it is spelt."""
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def capitalise(text: str) -> str:
    """The text with its first letter in upper case and the rest as it was."""
    return text[0].upper() + text[1:]


def listing(items: list[str], last: str = "and") -> str:
    """`a, b and c`."""
    return f"{', '.join(items[:-1])} {last} {items[-1]}"
