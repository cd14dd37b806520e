"""Random source files, most of them broken: each must become a version or a clear error, in time.

python -m benchmarks.soak.fuzz_sources --count 2000 --seed 0
"""

from __future__ import annotations

import argparse
import faulthandler
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

from benchmarks.soak.random_sources import write_source
from lope_data.builds import Options, build, ingest
from lope_data.errors import LopeDataError
from lope_data.recipe import Recipe, validated
from lope_data.store import Store

KINDS = [  # of errors, as far as the counts tell them apart
    *("is not valid Unicode", "not valid JSON", "where an object is needed", "rows; write that list alone"),
    *("make it one type", "cannot be held", "the header has", "a quote", "does not match the pattern"),
    *(
        "name the file's encoding",
        "no line holds anything",
        "inflate",
        "decompress",
        "Truncated compressed",
        "compressed inside",
    ),
    *("cannot tell the kind", "read as a saved dataset", "read as parquet", "read as arrow", "read as csv", "read as"),
    *("leave out", "say which", "a NUL byte", "encoding is for text", "a pattern reads the lines", "no such file"),
    *("several kinds", "without files of a kind", "a saved DatasetDict", "damaged", "has no rows", "file is empty"),
    *("fit no shape", "no column", "which is there already", "can be one of them", "a version cannot hold"),
    *("nested more than", "two columns", "name that versions use", "null", "is needed", "is not", "ids must be"),
    *("a choice is text", "neither a file nor", "cannot be read", "cannot be the name"),
]
SECONDS = 20  # for one file


class TookTooLong(BaseException):
    """Not an Exception, so that nothing on the way takes it for a failure of its own."""


def attempt(seed: int) -> str:
    """One source: `version`, or the error's kind.

    Raises:
        BaseException: anything else is a failure.
    """
    rng = random.Random(seed)  # noqa: S311
    folder = Path(tempfile.mkdtemp(prefix="lope-fuzz-"))
    try:
        (folder / "in").mkdir()
        source, plain = write_source(rng, folder / "in")
        signal.alarm(SECONDS)
        faulthandler.dump_traceback_later(SECONDS + 10, exit=True)  # where even the alarm is not heard
        recipe = validated(Recipe, {**plain, "steps": [{"ratio": 0.5, "level": 0.2}]}, "recipe")
        options = Options(Store(folder / "store"))
        parent = ingest(source, recipe, 5 if rng.random() < 0.1 else None, options)
        build(parent, recipe, None, options, allow_shortfall=True)
        return "version"
    except LopeDataError as error:
        said = str(error)
        kind = next((kind for kind in KINDS if kind in said), said.replace(str(folder), "")[:60])
        return f"{type(error).__name__}: {kind}"
    finally:
        signal.alarm(0)
        faulthandler.cancel_dump_traceback_later()
        shutil.rmtree(folder, ignore_errors=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0, help="of the first source; the others follow")
    arguments = parser.parse_args()

    def too_long(*_: object) -> None:
        raise TookTooLong(f"more than {SECONDS} s")

    signal.signal(signal.SIGALRM, too_long)
    outcomes: Counter[str] = Counter()
    failures, slowest, begun = 0, 0.0, time.monotonic()
    for seed in range(arguments.seed, arguments.seed + arguments.count):
        start = time.monotonic()
        try:
            outcomes[attempt(seed)] += 1
        except (Exception, TookTooLong):
            failures += 1
            print(f"FAILURE at --seed {seed} --count 1", flush=True)
            traceback.print_exc(limit=-6, file=sys.stdout)
        slowest = max(slowest, time.monotonic() - start)
    for outcome, count in outcomes.most_common():
        print(f"{count:6}  {outcome!a}")
    versions = outcomes["version"]
    print(
        f"{arguments.count} sources: {versions} versions, {sum(outcomes.values()) - versions} clear errors, "
        f"{failures} failures; slowest {slowest:.1f} s, {time.monotonic() - begun:.0f} s in all"
    )
    sys.exit(failures > 0)


if __name__ == "__main__":
    main()
