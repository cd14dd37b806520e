"""`make check-wheel`: what people install works by itself, without the checkout and, where it can, without torch.

Builds the wheel and the sdist, compares their files with what git tracks, and installs the wheel into an empty
environment. There, in a folder outside the checkout, it runs every help, the commands of the README and of the guide to
an op of one's own, and, with the extra `train` added, the first steps of the demo. It needs the registry, so it is no
test. Prints what it ran, a line each; ends with 1 and the output of what failed.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import tarfile
import tempfile
import time
import venv
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ("lope_common", "lope_data", "lope_train", "pipelines")
MADE_BY_SETUPTOOLS = re.compile(r"PKG-INFO|setup\.cfg|lope\.egg-info/.*")
GUIDE = "docs/guides/new_op.md"
LEFT_OUT = {"push": "it sends to the hub"}
CODES = {"diff": 1}  # as `diff` itself, where two versions differ

# Each console script of the distribution, the module that does the same, and the verbs of both.
PROGRAMS = """
import importlib, importlib.metadata, json, typer.main
programs = []
for one in importlib.metadata.distribution("lope").entry_points:
    group = typer.main.get_command(importlib.import_module(one.module).app)
    programs.append([one.name, one.module.partition(".")[0], sorted(group.commands)])
print(json.dumps(programs))
"""
WHERE = "import sys; print(*(__import__(name).__file__ for name in sys.argv[1:]), sep='\\n')"
NEEDS = "import json, lope_train.libraries; print(json.dumps(lope_train.libraries.NEEDS))"
WORST = "worst/rows.csv"
SCORED = f"""
import csv, pathlib
import lope_data
path = pathlib.Path("{WORST}")
path.parent.mkdir()
with path.open("w", newline="") as file:
    writer = csv.writer(file)
    writer.writerow(["rank", "row_id", "target"])
    for rank, row in enumerate(lope_data.open("imdb-flipped").rows.to_pylist()[:5], start=1):
        writer.writerow([rank, row["lope_row_id"], "b" if row["label"] == "a" else "a"])
"""
"""The list that `score` would have written, which needs torch."""


class FailedError(Exception):
    """Something is not as it must be; says what."""


@dataclass(frozen=True)
class Shell:
    """An environment of its own, and a folder in which commands are run, outside the checkout."""

    bin: Path
    folder: Path

    @classmethod
    def new(cls, scratch: Path) -> Shell:
        """Both of them empty."""
        venv.create(scratch / "env", with_pip=True)
        shell = cls(scratch / "env" / "bin", scratch / "work")
        shell.folder.mkdir()
        return shell

    def run(self, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        """Runs a command. Raises FailedError unless it ends with `code`, and without a traceback."""
        ours = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "LOPE_"))}
        path = f"{self.bin}{os.pathsep}{os.environ['PATH']}"
        ours |= {"PATH": path, "COLUMNS": "200", "LOPE_CACHE": str(self.folder.parent / "cache")}
        started = time.monotonic()
        done = subprocess.run(
            words, cwd=self.folder, env=ours, stdin=subprocess.DEVNULL, capture_output=True, text=True
        )
        shown = [word if "\n" not in word else "..." for word in words]
        ended = f"  (exit code {done.returncode})" if done.returncode else ""
        print(f"{time.monotonic() - started:7.1f} s  $ {shlex.join(shown)}{ended}", flush=True)
        if done.returncode != code or "Traceback (most recent call last)" in done.stdout + done.stderr:
            raise FailedError(
                f"$ {shlex.join(words)}\n{done.stdout}{done.stderr}ended with {done.returncode}, not {code}"
            )
        return done

    def refused(self, *words: str) -> None:
        """That a command says in one line what to install, and writes nothing."""
        before = sorted(self.folder.rglob("*"))
        done = self.run(*words, code=2)
        if done.stdout or done.stderr.count("\n") != 1 or "pip install " not in done.stderr:
            raise FailedError(
                f"$ {shlex.join(words)}\n{done.stdout}{done.stderr}is not one line that says what to install"
            )
        if sorted(self.folder.rglob("*")) != before:
            raise FailedError(f"$ {shlex.join(words)}\nwas refused, and wrote something")


def main() -> int:
    """The exit code."""
    try:
        with tempfile.TemporaryDirectory(prefix="lope-wheel-") as scratch:
            _check(Path(scratch))
    except FailedError as failed:
        print(f"\nfailed: {failed}", file=sys.stderr)
        return 1
    print("all is well")
    return 0


def _check(scratch: Path) -> None:
    shell = Shell.new(scratch)
    _headed("build")
    shell.run(sys.executable, "-m", "build", "--outdir", str(scratch / "dist"), str(ROOT))
    (wheel,), (sdist,) = (list((scratch / "dist").glob(f"*{suffix}")) for suffix in (".whl", ".tar.gz"))
    for built in (wheel, sdist):
        print(f"{built.name}: {built.stat().st_size:,} bytes")
    _compare_files(wheel, sdist)

    _headed("the wheel, without extras")
    install = ["python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    install += ["-c", str(ROOT / "constraints.txt")]
    shell.run(*install, str(wheel))
    _outside_of_the_checkout(shell)
    _every_help(shell)

    _headed("the commands of README.md")
    _write_data(shell.folder)
    _readme(shell)

    _headed("the guide to an op of one's own, from an empty folder")
    _guide(Shell(shell.bin, Path(tempfile.mkdtemp(dir=scratch))))

    _headed("the wheel with the extra `train`")
    shell.run(*install, f"{wheel}[train]")
    demo = (ROOT / "pipelines" / "demo.toml").read_text(encoding="utf-8")
    first, training, _ = demo.partition('[[steps]]\nid = "lope"')
    if not training:
        raise FailedError("pipelines/demo.toml has no step `lope`, before which this check stops")
    (shell.folder / "first.toml").write_text(first, encoding="utf-8")
    shell.run("python", "-m", "pipelines", "run", "first.toml")


def _headed(title: str) -> None:
    print(f"\n{title}", flush=True)


def _compare_files(wheel: Path, sdist: Path) -> None:
    """That the wheel holds what git tracks of the packages, the sdist all that it tracks, and neither anything else."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    tracked = {name for name in listed.split("\0") if name}
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
    _same("the wheel", packed, {name for name in tracked if name.partition("/")[0] in PACKAGES})
    with tarfile.open(sdist) as archive_:
        packed = {member.name.partition("/")[2] for member in archive_.getmembers() if member.isfile()}
    _same("the sdist", {name for name in packed if not MADE_BY_SETUPTOOLS.fullmatch(name)}, tracked)


def _same(what: str, packed: set[str], tracked: set[str]) -> None:
    if missing := sorted(tracked - packed):
        raise FailedError(f"{what} has not: {', '.join(missing)}")
    if stray := sorted(packed - tracked):
        raise FailedError(f"{what} has what git does not track: {', '.join(stray)}")
    print(f"{what} holds the {len(tracked)} files that git tracks, and no other")


def _outside_of_the_checkout(shell: Shell) -> None:
    for line in shell.run("python", "-c", WHERE, *PACKAGES).stdout.split():
        if not Path(line).is_relative_to(shell.bin.parent):
            raise FailedError(f"{line} was imported, which is not of the wheel")


def _every_help(shell: Shell) -> None:
    for script, package, verbs in json.loads(shell.run("python", "-c", PROGRAMS).stdout):
        for program in ([script], ["python", "-m", package]):
            for verb in ([], *([verb] for verb in verbs)):
                shell.run(*program, *verb, "--help")


def _readme(shell: Shell) -> None:
    """Runs the commands of our programs in the README's order: those that need torch must say so, the others work."""
    needs = json.loads(shell.run("python", "-c", NEEDS).stdout)
    refused = set()
    for words in _commands("README.md"):
        if words[:2] != ["python", "-m"] or words[2] not in PACKAGES:
            continue
        package, verb = words[2:4]
        if WORST in words and not (shell.folder / WORST).exists():
            shell.run("python", "-c", SCORED)
        if verb in LEFT_OUT:
            print(f"  left out: $ {shlex.join(words)}  ({LEFT_OUT[verb]})")
        elif package == "pipelines" or (package == "lope_train" and needs[verb]):
            shell.refused(*words)
            refused.add(verb)
        else:
            shell.run(*words, code=CODES.get(verb, 0))
    if untried := {verb for verb, modules in needs.items() if modules} - refused:
        raise FailedError(f"README.md has no command of lope_train {', '.join(sorted(untried))}, so it was not tried")


def _guide(shell: Shell) -> None:
    """Saves the guide's op as it says and runs its commands, and its Python."""
    text = (ROOT / GUIDE).read_text(encoding="utf-8")
    op, in_python, _ = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    (shell.folder / "shout.py").write_text(op, encoding="utf-8")
    for words in _commands(GUIDE):
        shell.run(*words)
    shell.run("python", "-c", in_python)


def _commands(document: str) -> Iterator[list[str]]:
    """The words of each command in a document's ```console blocks."""
    text = (ROOT / document).read_text(encoding="utf-8")
    for block in re.findall(r"```console\n(.*?)```", text, re.DOTALL):
        for line in re.findall(r"^\$ (.+)$", block, re.MULTILINE):
            yield shlex.split(line, comments=True)


def _write_data(folder: Path) -> None:
    """The user's files that the README's commands name."""
    rows = [
        {"instruction": f"Add {i} and {i + 1}, please.", "input": "", "output": f"It is {2 * i + 1}."}
        for i in range(80)
    ]
    _write(folder / "data.jsonl", map(json.dumps, rows))
    _write(folder / "table.csv", ["text,label", *(f"Un café numéro {i},{'ab'[i % 2]}" for i in range(20))])
    _write(folder / "reviews.csv", ["body,stars", *(f"It was the {i}th time,{'ab'[i % 2]}" for i in range(20))])
    _write(folder / "export.csv", (f"It was the {i}th time;x;{'ab'[i % 2]}" for i in range(20)))
    _write(folder / "scraped.jsonl", [*map(json.dumps, rows), "<html>"])
    _write(folder / "TREC.train", (f"{'DESC' if i % 2 else 'NUM'}:x How far is Orléans from {i} ?" for i in range(20)))
    (folder / "imdb").mkdir()
    for split in ("train", "test"):
        films = ({"text": f"Film {i} was {'fine' if i % 2 else 'dull'}.", "label": "ab"[i % 2]} for i in range(80))
        _write(folder / "imdb" / f"{split}.jsonl", map(json.dumps, films))
    questions = [{"goal": f"Open jar {i}", "sol1": "Turn the lid.", "sol2": "Turn the jar over."} for i in range(20)]
    (folder / "data" / "piqa").mkdir(parents=True)
    _write(folder / "data" / "piqa" / "valid.jsonl", map(json.dumps, questions))
    _write(folder / "data" / "piqa" / "valid-labels.lst", "01" * 10)


def _write(path: Path, lines: Iterable[str]) -> None:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="latin-1")


if __name__ == "__main__":
    sys.exit(main())
