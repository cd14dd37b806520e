"""Recipes as TOML, and what editors, disks and people make of it."""

from __future__ import annotations

import datetime
from random import Random
from typing import Any

from lope_data.noise import all_ops


def toml(recipe: dict[str, Any], random: Random) -> str:
    """The recipe as TOML: tables with headers or in lines, in any order that TOML allows."""
    lines, tables = [], []
    for key, value in recipe.items():
        rows = isinstance(value, list) and value and all(isinstance(item, dict) for item in value)
        if rows and random.random() < 0.9:
            tables += [[f"[[{_key(key)}]]", *_body(item)] for item in value]
        elif isinstance(value, dict) and random.random() < 0.8:
            tables.append([f"[{_key(key)}]", *_body(value)])
        else:
            lines.append(f"{_key(key)} = {_value(value)}")
    random.shuffle(lines)
    if random.random() < 0.3:
        lines.insert(0, "# a recipe 🙂")
    return "\n".join([*lines, *(line for table in tables for line in table)]) + "\n"


def _body(table: dict[str, Any]) -> list[str]:
    return [f"{_key(key)} = {_value(value)}" for key, value in table.items()]


def _key(key: str) -> str:
    bare = key and all(char.isascii() and (char.isalnum() or char in "_-") for char in key)
    return key if bare else _value(key)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return '"' + "".join(map(_escaped, value)) + '"'
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_key(key)} = {_value(inner)}" for key, inner in value.items()) + "}"
    return value.isoformat() if isinstance(value, datetime.date | datetime.time) else str(value)


def _escaped(char: str) -> str:
    return f"\\u{ord(char):04x}" if ord(char) < 32 or char in '"\\\x7f' else char


def garbled(text: str, random: Random) -> bytes:
    """A text that was sound TOML, with what editors, disks and people do to files."""
    data = text.encode("utf-8", "replace")
    lines = text.splitlines() or [""]
    line, place = random.randrange(len(lines)), random.randrange(len(data) + 1)
    depth = random.choice((10, 90, 100, 400, 5000))
    long_quotients = [f'"{op}" = "1/{random.getrandbits(36) + 1}"' for op in all_ops()]
    put = {
        "twice": lines[line],
        "huge": f"seed = {'9' * random.choice((19, 4299, 4301, 20_000))}",
        "hex": f"seed = 0x{'f' * random.choice((15, 16, 3000, 6000))}",
        "hex share": f"[[steps]]\nratio = 0x{'f' * 5000}",
        "hex weight": f"[[steps]]\nmix = {{ char = 0x{'f' * 5000} }}",
        "hex name": f"[[steps]]\nname = 0x{'f' * 5000}",
        "float": f"embedding.alpha = {random.choice(('1e999', '1_0.5', '1e-999', '0.' + '1' * 5000, '+inf', 'nan'))}",
        "arrays": f"{random.choice(('shape', 'x', 'seed', 'steps'))} = {'[' * depth}1{']' * depth}",
        "tables": f"x = {'{a=' * depth}1{'}' * depth}",
        "dotted": f"{random.choice(('x', 'columns', 'source', 'embedding'))}{'.a' * depth} = 1",
        "dotted mix": f"[[steps]]\nmix.char{'.a' * depth} = 1",
        "dotted params": f"[[steps]]\nmix = 'char.insert'\nparams.'char.insert'.alphabet{'.a' * depth} = 1",
        "dotted flip": f"[[steps]]\nmix = 'label.flip'\nparams.'label.flip'.transition{'.joy' * depth} = 1",
        "header": f"[{'.'.join(['a'] * depth)}]",
        "open": random.choice(('name = "open', "name = '''", "mix = {", "[[steps]", "[steps", "= 1", "name =", "name")),
        "escape": random.choice((r'name = "\ud800"', r'name = "\q"', r'name = "\U00110000"', 'name = "\u2028"')),
        "emoji": f"🙂 = 1\n{lines[line]}",
        "date": "seed = 1979-05-27T07:32:00Z",
        "long": f"name = '{'n' * random.choice((1000, 300_000))}'",
        "many": "\n".join(f"k{i} = {i}" for i in range(2000)),
        "many steps": "\n".join(f"[[steps]]\nname = 'm{i}'\nratio = 0.0" for i in range(60)),
        "many weights": f"[[steps]]\nmix = {{{', '.join(long_quotients)}}}",
        "many patterns": "\n".join(f"[[protect]]\npattern = 'p{i}'" for i in range(150)),
    }
    raw = {
        "cut": data[:place],
        "bom": b"\xef\xbb\xbf" + data,
        "utf-16": text.encode("utf-16", "replace"),
        "nul": data[:place] + b"\0" + data[place:],
        "latin-1": data[:place] + random.choice((b"\xff", b"\xe9", b"\xc3", b"\xed\xa0\x80")) + data[place:],
        "crlf": data.replace(b"\n", b"\r\n"),
        "cr": data.replace(b"\n", b"\r"),
        "empty": random.choice((b"", b"\n", b"#", b" ")),
        "noise": random.randbytes(random.randint(1, 200)),
        "flip": data[:place] + bytes([random.randrange(32, 127)]) + data[place + 1 :],
        "lost": "\n".join(lines[:line] + lines[line + 1 :]).encode("utf-8", "replace"),
        "swapped": "\n".join(random.sample(lines, len(lines))).encode("utf-8", "replace"),
    }
    how = random.choice((*put, *raw))
    if how in raw:
        return raw[how]
    where = random.choice((0, len(lines), line))
    return "\n".join([*lines[:where], put[how], *lines[where:]]).encode("utf-8", "replace")
