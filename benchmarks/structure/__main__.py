"""Figures of how the code hangs together.

    python -m benchmarks.structure [--root DIR]
    python -m benchmarks.structure [--root DIR] follow lope_data build --mix char=1 --store DIR

The first counts the modules, the imports between rooms and those against the order, and the circles. The second runs
a command, here `python -m lope_data build`, and says which of our modules its functions are in. `--root` takes another
checkout, an older one for a comparison; what it needs is taken from this one's environment.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks.structure.follow import follow, room_of
from benchmarks.structure.imports import TOPS, against, between_rooms, circles, imports, load_order, modules

SMALL = 60  # lines: below this a module is hardly worth a file


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, default=Path(__file__).parents[2], help="the checkout to look at")
    parser.add_argument("follow", nargs="?", choices=["follow"], help="run a command and say which modules it enters")
    parser.add_argument("words", nargs=argparse.REMAINDER, help="the command: a module and its arguments")
    arguments = parser.parse_args()
    root = arguments.root.resolve()
    if not arguments.follow:
        count(root)
    elif arguments.words:
        tell(root, arguments.words)
    else:
        parser.error("follow which command? for example: follow lope_data build --mix char=1 --store DIR")


def count(root: Path) -> None:
    files = modules(root)
    print(f"modules, and of them those below {SMALL} lines")
    for top in TOPS:
        sizes = [len(path.read_bytes().splitlines()) for name, path in files.items() if name.partition(".")[0] == top]
        if sizes:
            print(f"{len(sizes):6} {sum(size < SMALL for size in sizes):4}  {top}")
    found, order = imports(root), load_order(root)
    if order is None:
        print("no order of rooms in this checkout")
    else:
        crossing, wrong = between_rooms(found, order), against(found, order)
        print(f"{len({(one.module, one.line) for one in crossing})} import statements between rooms", end=", ")
        print(f"{len({(one.module, one.line) for one in wrong})} against the order", *wrong, sep="\n  ")
    ways = circles(found)
    print(f"{len(ways)} circles of modules", *(" -> ".join(way) for way in ways), sep="\n  ")


def tell(root: Path, words: list[str]) -> None:
    way = follow(root, words)
    print(f"{len(way.entered)} modules entered, {len(way.moves)} moves between them", end=", in ")
    print(f"{len(way.rooms)} rooms, {way.moves_between_rooms} moves between these; in the order of the first call:")
    for place, room in enumerate(way.rooms, start=1):
        print(f"{place:4}  {room}", *(name for name in way.entered if room_of(name) == room), sep="\n        ")


if __name__ == "__main__":
    main()
