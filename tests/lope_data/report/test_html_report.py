"""`python -m lope_data report`: what the page says, and that hostile text stays text."""

from __future__ import annotations

import copy
import json
import re
import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lope_common.files import canonical
from lope_data.builds import Options, build, ingest
from lope_data.errors import StoreError
from lope_data.recipe import Recipe
from lope_data.report.html import render_report, write_report
from lope_data.store import Store, Version, seal

Cli = Callable[..., Any]
GOLDEN = Path(__file__).parents[2] / "golden" / "store"
TAGS = """html head meta title style body h1 h2 h3 h4 small p code nav a dl div dt dd pre ol ul li span b i u table tr
    th td br figure figcaption details summary article header del ins"""
ATTRIBUTES = "lang charset http-equiv content name id class style href dir title role aria-label"
HOSTILE = [
    "<script>top.pwned=1</script>",
    '"><img src=x onerror=top.pwned=1>',
    "' onmouseover='top.pwned=1",
    "</style><svg onload=top.pwned=1>",
    "</pre></div></article></body>",
    "javascript:top.pwned=1",
    "\x00\x07\x1b[2J\x9b31m\x7f",
    "\u202eright to left\u2066\u2028",
    "{{ 7 * 7 }}{% raw %}",
    "<a href=javascript:top.pwned=1>",
    "]]><!--",
    "a" * 700,
]


class Page(HTMLParser):
    """What stands in a page; refuses what is not closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str]] = []
        self.text = ""
        self.marks: dict[str, list[str]] = {"del": [], "ins": []}
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in ("meta", "br"):
            self.open.append(tag)
        if tag in self.marks:
            self.marks[tag].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data
        if self.open and self.open[-1] in self.marks:
            self.marks[self.open[-1]][-1] += data


def _page(version: Version, count: int = 12) -> Page:
    return Page(render_report(version, count))


def _golden() -> Version:
    return Store(GOLDEN).resolve("golden")


def _check_harmless(text: str) -> None:
    page = Page(text)
    assert page.tags <= set(TAGS.split())
    assert {name for name, _ in page.attributes} <= set(ATTRIBUTES.split())
    assert all(value.startswith("#") for name, value in page.attributes if name == "href")
    styles = [value for name, value in page.attributes if name == "style"]
    assert all(re.fullmatch(r"(?:[a-z-]+:[\d.]+(?:%|px)?;?)+", value) for value in styles)
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]", text)
    assert "http" not in re.sub('http-equiv="Content-Security-Policy"', "", text).lower()


def test_it_says_what_the_manifest_says() -> None:
    version = _golden()
    page = _page(version)
    manifest = version.manifest
    assert f"golden @{manifest.version}" in page.text
    for fact in (manifest.content_digest, "614", "5.1 kB", "12 of 24 rows touched", "pyarrow 26.0.1"):
        assert fact in page.text
    for line in manifest.report:
        assert line.op in page.text
    assert "7.3 to 12.9 %" in page.text  # of char.delete
    assert "10.1 %" in page.text
    assert '"char.delete": "1/10"' in page.text
    assert f'lope_data.open("{version.ref}").dataset' in page.text
    lineage = page.text[page.text.index("source") :]
    assert lineage.index("rows") < lineage.index("golden")


def test_the_edits_of_the_samples_are_marked() -> None:
    version = _golden()
    page = _page(version, 100)
    edits = version.edits.to_pylist()
    texts = [edit for edit in edits if edit["path"] in ("question", "text") and edit["op"] != "word.shuffle"]
    letters = {"·": "", " ": ""}
    taken = "".join(page.marks["del"]).translate(str.maketrans(letters))
    put = "".join(page.marks["ins"]).translate(str.maketrans(letters))
    for edit in texts:
        assert edit["before"].replace(" ", "") in taken
        assert edit["after"].replace(" ", "") in put
    answer = next(edit for edit in edits if edit["path"] == "answer")
    row = next(row for row in version.rows.to_pylist() if row["lope_row_id"] == answer["row_id"])
    assert row["choices"][row["answer"]] in page.marks["ins"]
    assert row["choices"][int(answer["before"])] in page.marks["del"]


def test_every_version_has_a_page(noisy: Callable[..., Version], sample: Version, tmp_path: Path) -> None:
    page = _page(sample)
    assert "A clean source, ingested" in page.text
    assert "Rates asked" not in page.text
    assert page.text.count("instruction") > 4
    assert "0: " in page.text  # choices are numbered
    untouched = noisy(ratio=0.0)
    assert "No row was touched" in _page(untouched).text
    assert "None: no row was touched" in _page(untouched).text
    assert "Sample rowsNone." in re.sub(r"\s*\n\s*", "", _page(sample, 0).text)


def test_rows_of_chats_read_as_what_was_said(options: Options, tmp_path: Path) -> None:
    said = [{"role": "user", "content": [{"type": "text", "text": "Hello"}, {"type": "image", "text": None}]}]
    rows = [
        {"messages": [said, [{"role": "assistant", "content": [{"type": "text", "text": f"Yes {i}"}]}]]} for i in "ab"
    ]
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    page = _page(ingest(str(tmp_path / "rows.json"), Recipe(), None, options))
    assert 'user: Hello\n{"type": "image", "text": null}\nassistant: Yes a' in page.text


def test_flips_are_counted(noisy: Callable[..., Version]) -> None:
    version = noisy(ratio=0.3, mix="label.flip")
    text = re.sub(r"\s+", " ", _page(version).text)
    assert f"{version.manifest.touched:,} rows by their label before" in text


def test_a_parent_that_is_gone_is_named(noisy: Callable[..., Version], sample: Version) -> None:
    version = noisy(noisy(ratio=0.2), "two", ratio=0.2)
    with_all = _page(version)
    assert with_all.text.count("480 of 2,400 rows touched") == 3  # twice in the chain, and in the remarks
    parent = version.parent
    assert parent is not None
    other = seal(parent.manifest.plain | {"content_digest": "sha256:" + 64 * "0"})
    (parent.folder / "manifest.json").write_bytes(canonical(other))
    assert "holds other rows now" in _page(version).text
    shutil.rmtree(parent.folder)
    without = _page(version)
    assert without.text.count("not in this store") == 1
    assert parent.manifest.version in without.text
    assert without.marks == with_all.marks
    (sample.folder / "manifest.json").write_text("{}")
    assert "cannot be read" in _page(version).text


def test_the_same_version_gives_the_same_page() -> None:
    assert render_report(_golden(), 9) == render_report(_golden(), 9)


def test_the_command_writes_a_page_and_nothing_else(lope_data: Cli, tmp_path: Path) -> None:
    name = _golden().ref.replace("@", "-") + ".html"
    run = lope_data("report", "golden", "--store", GOLDEN)
    assert (run.code, run.out, run.err) == (0, name + "\n", "")
    assert [path.name for path in tmp_path.iterdir()] == [name]
    (tmp_path / "old.html").write_text("old")
    assert lope_data("report", "golden", "--store", GOLDEN, "--out", "old.html", "--samples", "3").code == 0
    assert (tmp_path / "old.html").read_text().count("<article") == 3
    assert len(list(tmp_path.iterdir())) == 2


def test_what_cannot_be_written_is_one_line(
    lope_data: Cli, noisy: Callable[..., Version], monkeypatch: pytest.MonkeyPatch
) -> None:
    version = noisy(ratio=0.1)
    before = sorted(version.folder.rglob("*"))
    cases = [
        (("--out", "missing/page.html"), "cannot write missing/page.html"),
        (("--out", "."), "is a folder"),
        (("--out", version.folder / "page.html"), "would be in the folder of a version"),
        (("--out", version.folder / "edits" / "page.html"), "would be in the folder of a version"),
        (("--samples", "-1"), "--samples"),
    ]
    for args, message in cases:
        run = lope_data("report", version.folder, *args)
        assert run.code == 2
        assert message in run.err
        assert run.err.count("\n") == 1
    monkeypatch.chdir(version.folder)
    with pytest.raises(StoreError, match="choose another --out"):
        write_report(version, None, 3)
    assert sorted(version.folder.rglob("*")) == before
    assert lope_data("report", "nothing").code == 2


def test_edits_of_another_version_are_refused(noisy: Callable[..., Version]) -> None:
    one, other = noisy(name="one", ratio=0.1), noisy(name="other", ratio=0.1, seed=9, mix="word")
    shutil.copyfile(other.folder / "edits/00000-of-00003.parquet", one.folder / "edits/00000-of-00003.parquet")
    with pytest.raises(StoreError, match="are not those of its rows"):
        render_report(one, 12)
    file = one.folder / "edits/00000-of-00003.parquet"
    edits = pq.read_table(file)
    pq.write_table(edits.set_column(0, "row_id", pa.array([None] * len(edits), pa.string())), file)
    with pytest.raises(StoreError, match="has nulls in row_id"):
        render_report(one, 12)
    pq.write_table(edits.drop_columns(["op"]), file)
    with pytest.raises(StoreError, match="has no column op of string"):
        render_report(one, 12)
    file.write_bytes(b"none")
    with pytest.raises(StoreError, match="cannot be read"):
        render_report(one, 12)


@pytest.fixture
def hostile(options: Options, tmp_path: Path) -> Version:
    """A version whose texts, labels, columns, ops, steps and manifest are all of what could break a page."""
    rows = [
        {
            "text": f"{HOSTILE[i % len(HOSTILE)]} some words {i} {HOSTILE[-1 - i % len(HOSTILE)]}",
            "label": HOSTILE[i % len(HOSTILE)],
            "<script>top.pwned=1</script>": HOSTILE[i % 7],
        }
        for i in range(120)
    ]
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    mix = {"char": 1, "structure.whitespace": 1, "label.flip": 1}
    recipe = Recipe.model_validate({"steps": [{"ratio": 0.9, "level": 0.2, "mix": mix}]})
    version = build(ingest(str(tmp_path / "rows.json"), recipe, None, options), recipe, None, options)
    bad = "</td>" + "".join(HOSTILE[:-1])
    for file in sorted((version.folder / "edits").iterdir()):
        edits = pq.read_table(file)
        for name in ("op", "step"):
            edits = edits.set_column(
                edits.column_names.index(name), name, pa.array([f"{value}.{bad}" for value in edits[name].to_pylist()])
            )
        pq.write_table(edits, file)
    manifest = copy.deepcopy(version.manifest.plain)
    for line in manifest["report"]:
        line |= {"op": bad + line["op"], "needs": bad, "unit": bad, "step": bad}
    manifest["recipe"]["steps"][0] |= {"name": bad}
    manifest |= {
        "libraries": {bad: bad},
        "ops": {bad: bad},
        "source": manifest["source"] | {"name": bad},
    }
    (version.folder / "manifest.json").write_bytes(canonical(seal(manifest)))
    return Version.at(version.folder)


def test_hostile_text_stays_text(hostile: Version) -> None:
    parent = hostile.parent
    assert parent is not None
    for version in (hostile, parent):
        text = render_report(version, 60)
        _check_harmless(text)
        page = Page(text)
        assert "<script>top.pwned=1</script>" in page.text
        assert "{{ 7 * 7 }}" in page.text
    assert "⟨U+202E⟩right to left⟨U+2066⟩" in Page(render_report(parent, 60)).text


def test_an_honest_page_needs_nothing_but_itself(noisy: Callable[..., Version]) -> None:
    text = render_report(noisy(ratio=0.3), 30)
    _check_harmless(text)
    assert "default-src 'none'" in text
