"""Rows of a source that stand in another version are left out, whatever their label, and counted."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import lope_data as library
from lope_data.builds import Options, ingest, without
from lope_data.builds.replay import replay
from lope_data.errors import RecipeError, SourceError, StoreError
from lope_data.recipe import Recipe
from lope_data.store import Version, as_manifest, verify_version
from tests.lope_data.conftest import Run

Row = Mapping[str, Any]
TEST = [{"text": "What is viscosity ?", "label": "DESC"}, {"text": "Who was Galileo ?", "label": "HUM"}]
TRAIN = [
    {"text": "What is diabetes ?", "label": "DESC"},
    {"text": "Who was Galileo ?", "label": "HUM"},
    {"text": "What is  viscosity\t?", "label": "ENTY"},
    {"text": "WHO WAS GALILEO ?", "label": "HUM"},
    {"text": "Who was Galilei ?", "label": "HUM"},
]


@pytest.fixture(autouse=True)
def own_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LOPE_STORE", str(tmp_path / "lope-store"))
    return tmp_path / "lope-store"


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder with lessons.jsonl and quiz.jsonl, of which three rows of the first stand in the second."""
    written(tmp_path / "lessons.jsonl", TRAIN)
    written(tmp_path / "quiz.jsonl", TEST)
    return tmp_path


def written(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def left(train: list[Any], test: list[Any], **more: Any) -> list[int]:
    """Which of the rows are left of a source without those of another."""
    numbered = [{**row, "number": number} for number, row in enumerate(train)]
    other = library.ingest(test, name="other", **more)
    rows = library.ingest(numbered, name="some", without=other, **more).rows
    return sorted(rows["number"].to_pylist())


# what is left out


def test_rows_of_the_test_file_are_left_out_and_counted(files: Path, lope_data: Callable[..., Run]) -> None:
    lope_data("ingest", "quiz.jsonl")
    made = lope_data("ingest", "lessons.jsonl", "--without", "quiz", "--json")
    test, version = library.open("quiz"), library.open(made.json["path"])
    assert version.rows["text"].to_pylist() == ["What is diabetes ?", "Who was Galilei ?"]
    assert f"lessons.jsonl: 3 rows left out: they stand in {test.ref}" in made.err
    assert made.json["without"] == {"ref": test.ref, "rows": 3, "found": 2}
    assert version.manifest.plain["without"] == {**test.link.plain, "rows": 3, "found": 2, "first": [1, 2, 3]}
    assert version.manifest.plain["recipe"]["without"] == test.manifest.content_digest
    again = lope_data("ingest", "lessons.jsonl", "--without", "quiz")
    assert f"3 rows left out: they stand in {test.ref}" in " ".join(again.out.split())
    shown = " ".join(lope_data("show", "lessons").out.split())
    assert f"without: {test.ref}; 3 rows left out, which are 2 of its rows: 1, 2, 3" in shown
    card = (version.folder / "README.md").read_text(encoding="utf-8")
    assert f"as lope\\_data reads them, without 3 that stand in {test.ref} too." in card
    assert lope_data("report", "lessons", "--out", "page.html").code == 0
    assert f"3 rows left out: they stand in {test.ref}" in Path("page.html").read_text(encoding="utf-8")
    assert verify_version(version.folder, lambda *_: None)[1] == []


def test_a_row_that_is_left_has_the_id_that_it_had(files: Path) -> None:
    library.ingest(files / "quiz.jsonl")
    whole, rest = library.ingest(files / "lessons.jsonl"), library.ingest(files / "lessons.jsonl", without="quiz")
    ids = whole.rows["lope_row_id"].to_pylist()
    assert rest.rows["lope_row_id"].to_pylist() == [ids[0], ids[4]]


def test_nothing_in_common_is_said_too(files: Path, lope_data: Callable[..., Run]) -> None:
    written(files / "quiz.jsonl", [{"text": "Where is Pisa ?", "label": "LOC"}])
    lope_data("ingest", "quiz.jsonl")
    made = lope_data("ingest", "lessons.jsonl", "--without", "quiz", "--json")
    assert "no row left out: none stands in quiz@" in made.err
    assert (made.json["rows"], made.json["without"]["rows"], made.json["without"]["found"]) == (5, 0, 0)


@pytest.mark.parametrize(
    ("test", "same", "other"),
    [
        ("Straße in Köln", ["STRASSE in ko\u0308ln", "\u00a0Straße\nin  Köln "], ["Strase in Köln", "Straße inKöln"]),
        ("\u1fb4", ["\u03b1\u0345\u0301", "\u0391\u0301\u0399"], ["\u03b1"]),
        ("İzmir", ["i\u0307zmir"], ["izmir"]),
        ("", [], ["", "  "]),  # what asks nothing stands nowhere
    ],
)
def test_variants(test: str, same: list[str], other: list[str]) -> None:
    train = [{"text": text, "label": "a"} for text in [*same, *other, "the rest"]]
    assert left(train, [{"text": test, "label": "b"}]) == list(range(len(same), len(train)))


def test_an_instruction_may_stand_in_one_column_or_in_two() -> None:
    test = [{"prompt": "Translate:\nGuten Tag", "completion": "Good day"}]
    train: list[Row] = [
        {"instruction": "Translate:", "input": "Guten Tag", "output": "Hello"},
        {"instruction": "Translate: guten tag", "input": "", "output": "Hello"},
        {"instruction": "Translate:", "input": "Guten Abend", "output": "Good evening"},
        {"instruction": "Guten Tag", "input": "Translate:", "output": "Good day"},
    ]
    assert left(train, test) == [2, 3]


def test_questions_are_compared_with_their_choices_in_any_order() -> None:
    test = [{"question": "Which is true?", "choices": ["Up", "Down"], "answer": 0}]
    train = [
        {"question": "Which is true?", "choices": ["down", "up"], "answer": 1},
        {"question": "Which is true?", "choices": ["Up", "Down", "Down"], "answer": 0},
        {"question": "Which is true?", "choices": ["Up", "Left"], "answer": 0},
        {"question": "Which is true? Down Up", "choices": [], "answer": 0},
    ]
    assert left(train, test) == [1, 2, 3]


def test_choices_of_several_columns() -> None:
    test = [{"question": "Which?", "choices": ["b", "a"], "answer": 0}]
    train = [{"goal": "which?", "sol1": "a", "sol2": end, "label": 0} for end in ("b", "c")]
    columns = {"question": "goal", "choices": ["sol1", "sol2"], "answer": "label"}
    other = library.ingest(test, name="other")
    rows = library.ingest(train, name="some", without=other, columns=columns).rows
    assert rows["sol2"].to_pylist() == ["c"]


@pytest.mark.parametrize("names", [("role", "content", "user"), ("from", "value", "human")])
def test_of_a_chat_it_is_what_the_user_said(names: tuple[str, str, str]) -> None:
    role, content, user = names

    def chat(*texts: str) -> dict[str, Any]:
        return {"messages": [{role: (user, "assistant")[i % 2], content: text} for i, text in enumerate(texts)]}

    test = [{"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yes?"}]}]
    train = [chat("hi", "Good day"), chat("Hi", "Yes?", "And you?"), chat("Yes?", "Hi")]
    assert left(train, test) == [1, 2]


def test_texts_of_many_blocks_and_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lope_data.builds.clean._BLOCK", 40)
    monkeypatch.setattr("lope_data.builds.clean._SIZE", 1)
    monkeypatch.setattr("lope_data.builds.without._ROWS", 30)
    monkeypatch.setattr("lope_data.sources.chunks.SIZE", 400)
    train = [{"text": f"number {n}", "label": "a", "number": n} for n in range(500)]
    test = [{"text": f"NUMBER {n}", "label": "b"} for n in range(0, 900, 7)]
    other = library.ingest(written(tmp_path / "quiz.jsonl", test))
    source = written(tmp_path / "lessons.jsonl", train)
    made = [library.ingest(source, without=other, workers=n, store=tmp_path / f"{n}") for n in (1, 4)]
    assert made[0].rows["number"].to_pylist() == [n for n in range(500) if n % 7]
    assert made[0].manifest.content_digest == made[1].manifest.content_digest
    assert made[0].manifest.plain["without"]["first"] == list(range(0, 500, 7))
    assert made[0].manifest.plain["without"]["found"] == 72


def test_the_manifest_names_the_first_hundred() -> None:
    other = library.ingest([{"text": "a", "label": "x"}], name="other")
    train = [{"text": "A" if n else "b", "label": "y"} for n in range(301)]
    without = library.ingest(train, name="some", without=other).manifest.plain["without"]
    assert (without["rows"], without["found"], without["first"]) == (300, 1, list(range(1, 101)))


# what is compared at once stays small


def test_no_more_than_some_rows_are_held_while_they_are_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    monkeypatch.setattr("lope_data.builds.clean._BLOCK", 50)
    monkeypatch.setattr("lope_data.builds.clean._SIZE", 1)
    monkeypatch.setattr("lope_data.builds.without._ROWS", 60)
    digests = without.asked_digests

    def counted(table: pa.Table) -> pa.Array:
        seen.append(len(table))
        found = digests(table)
        assert found.nbytes <= 17 * len(table) + 8  # 16 bytes, and a bit that says whether it is there
        return found

    monkeypatch.setattr(without, "asked_digests", counted)
    rows = [{"text": f"t {n}", "label": "x"} for n in range(1000)]
    other = library.ingest(written(tmp_path / "quiz.jsonl", rows[:700]))
    library.ingest(written(tmp_path / "lessons.jsonl", rows), without=other, workers=1)
    assert sum(seen) == 1700
    assert max(seen) <= 60


# with the other options


def test_the_rows_of_a_limit_are_drawn_of_those_left(files: Path) -> None:
    other = library.ingest(files / "quiz.jsonl")
    both = library.ingest(files / "lessons.jsonl", without=other, limit=2)
    assert sorted(both.rows["text"].to_pylist()) == ["What is diabetes ?", "Who was Galilei ?"]
    assert both.manifest.name == "lessons-2"
    one = library.ingest(files / "lessons.jsonl", without=other, limit=1)
    assert one.rows["text"][0].as_py() in ("What is diabetes ?", "Who was Galilei ?")
    more = library.ingest(files / "lessons.jsonl", without=other, limit=3)
    assert more.manifest.rows == 2


def test_columns_patterns_ids_and_broken_rows(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text("b: Who is he ?\nbroken\na: what is IT ?\nc: Why ?\n", encoding="utf-8")
    reading = {"pattern": r"(?P<kind>\w): (?P<body>.*)", "skip_broken": 1}
    other = library.ingest([{"text": "What is it ?", "label": "y"}], name="other")
    columns = {"text": "body", "label": "kind", "id": "kind"}
    made = library.ingest(tmp_path / "train.txt", {"source": reading}, columns=columns, without=other)
    assert made.rows["lope_row_id"].to_pylist() == ["b", "c"]
    assert made.manifest.plain["without"]["first"] == [1]  # of those that could be read
    assert len(made.manifest.plain["skipped"]) == 1


def test_a_split_without_another(tmp_path: Path, lope_data: Callable[..., Run]) -> None:
    (tmp_path / "quizzes").mkdir()
    written(tmp_path / "quizzes" / "train.jsonl", TRAIN)
    written(tmp_path / "quizzes" / "test.jsonl", TEST)
    lope_data("ingest", "quizzes", "--split", "test")
    made = lope_data(
        "build", "--source", "quizzes", "--split", "train", "--without", "quizzes-test", "--ratio", "1", "--json"
    )
    assert made.json["rows"] == 2
    assert "train.jsonl: 3 rows left out: they stand in quizzes-test@" in made.err
    for verb in (["ingest", "quizzes"], ["build", "--source", "quizzes"]):
        refused = lope_data(*verb, "--split", "all", "--without", "quizzes-test")
        assert "--without is for one split" in refused.refusal


def test_an_object_in_memory_and_a_file_make_the_same_version(files: Path) -> None:
    other = library.ingest(files / "quiz.jsonl")
    made = [library.ingest(source, without=other) for source in (TRAIN, pa.Table.from_pylist(TRAIN))]
    assert made[0].ref == made[1].ref
    filed = library.ingest(files / "lessons.jsonl", without=other)
    assert filed.rows["lope_row_id"].equals(made[0].rows["lope_row_id"])


# the id


def test_the_id_hangs_on_the_rows_of_the_other_version_and_not_on_its_name(files: Path) -> None:
    plain = library.ingest(files / "lessons.jsonl")
    assert "without" not in plain.manifest.plain
    assert "without" not in plain.manifest.plain["recipe"]
    library.ingest(files / "quiz.jsonl", name="first")
    library.ingest(files / "quiz.jsonl", name="second")
    one, two = (library.ingest(files / "lessons.jsonl", without=name) for name in ("first", "second"))
    assert two.existed
    assert one.ref == two.ref != plain.ref
    written(files / "quiz.jsonl", [*TEST, {"text": "Why ?", "label": "DESC"}])
    library.ingest(files / "quiz.jsonl", name="first")
    other = library.ingest(files / "lessons.jsonl", without="first")
    assert other.ref != one.ref
    assert other.manifest.content_digest == one.manifest.content_digest
    assert library.open("lessons").ref == other.ref


# what is refused


def test_all_rows_left_out(files: Path, lope_data: Callable[..., Run], own_store: Path) -> None:
    lope_data("ingest", "quiz.jsonl")
    refused = lope_data("ingest", "quiz.jsonl", "--without", "quiz", "--name", "again")
    assert "quiz.jsonl: all of its rows stand in quiz@" in refused.refusal
    assert "so none is left; is it the same data?" in refused.refusal
    assert [path.parts[-3] for path in own_store.rglob("manifest.json")] == ["quiz"]
    assert not list(own_store.glob("again/*"))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("quiz.jsonl", "'quiz.jsonl' is a file or folder, not a version; ingest it first"),
        ("./quiz.jsonl", "'./quiz.jsonl' is a file or folder, not a version; ingest it first"),
        (".", "is a file or folder, not a version; ingest it first"),
        ("tset", "no dataset 'tset' in the store"),
        ("quiz@abcd", "no version quiz@abcd in the store"),
        ("a\0b", "without (--without): "),
        ("../x", "is not a version"),
        ("", "without (--without): "),
        ("noisy", "has noise in its texts; name the clean version, quiz@"),
    ],
)
def test_what_is_no_clean_version(files: Path, lope_data: Callable[..., Run], given: str, said: str) -> None:
    lope_data("ingest", "quiz.jsonl")
    lope_data("build", "--from", "quiz", "--name", "noisy", "--ratio", "1")
    for verb in (["ingest", "lessons.jsonl"], ["build", "--source", "lessons.jsonl"]):
        refused = lope_data(*verb, "--without", given).refusal
        assert refused.startswith("error: without (--without): ")
        assert said in refused
    assert not (files / "lope-store" / "lessons").exists()


def test_objects_are_to_be_ingested_first() -> None:
    for given in (TEST, pa.Table.from_pylist(TEST), 3, b"quiz"):
        with pytest.raises(StoreError, match="must be a version, not "):
            library.ingest(TRAIN, without=given)  # type: ignore[arg-type]


def test_it_is_for_a_source(files: Path, lope_data: Callable[..., Run]) -> None:
    lope_data("ingest", "quiz.jsonl")
    assert "is for a source" in lope_data("build", "--without", "quiz").refusal
    assert "is for a source" in lope_data("build", "--from", "quiz", "--without", "quiz").refusal
    with pytest.raises(RecipeError, match="is for a source"):
        library.build(parent="quiz", without="quiz")


@pytest.mark.parametrize("turned", [False, True])
def test_shapes_that_cannot_be_compared(turned: bool) -> None:
    questions = [{"question": "Who was Galileo ?", "choices": ["a", "b"], "answer": 0}]
    train, test = (questions, TEST) if turned else (TRAIN, questions)
    other = library.ingest(test, name="other")
    with pytest.raises(SourceError, match="questions with choices are compared with each other only"):
        library.ingest(train, name="some", without=other)


def test_a_damaged_version_is_not_gone_by(files: Path) -> None:
    other = library.ingest(files / "quiz.jsonl")
    (data,) = other.folder.glob("data-*.arrow")
    data.write_bytes(data.read_bytes().replace(b"Galileo", b"Galilei"))
    with pytest.raises(StoreError, match="is not the file that its manifest lists"):
        library.ingest(files / "lessons.jsonl", without=other)


@pytest.mark.parametrize("change", [{"without": None}, {"recipe": None}, {"digest": None}])
def test_a_manifest_that_contradicts_itself(files: Path, change: dict[str, Any]) -> None:
    library.ingest(files / "quiz.jsonl")
    plain = json.loads(json.dumps(library.ingest(files / "lessons.jsonl", without="quiz").manifest.plain))
    as_manifest(plain, Path("here"))
    if "without" in change:
        del plain["without"]
    elif "recipe" in change:
        del plain["recipe"]["without"]
    else:
        plain["without"]["content_digest"] = "sha256:" + 64 * "0"
    with pytest.raises(StoreError, match="here is not a manifest: without: it is not that of the recipe"):
        as_manifest(plain, Path("here"))


# made again, kept, carried elsewhere


def test_a_replay_finds_the_other_version(files: Path, lope_data: Callable[..., Run], own_store: Path) -> None:
    lope_data("ingest", "quiz.jsonl")
    lope_data("ingest", "lessons.jsonl", "--without", "quiz", "--limit", "1")
    lope_data("build", "--from", "lessons-1", "--name", "nois", "--ratio", "1")
    assert "comes out the same when built again" in lope_data("verify", "nois", "--replay").out
    lope_data("ingest", "quiz.jsonl", "--name", "renamed")
    shutil.rmtree(own_store / "quiz")
    assert lope_data("verify", "nois", "--replay").code == 0
    shutil.rmtree(own_store / "renamed")
    run = lope_data("verify", "nois", "--replay")
    assert run.code == 2
    assert "was ingested without the rows of quiz@" in run.err
    assert "ingest or import that one again" in run.err
    assert len(run.err.strip().splitlines()) == 1
    assert lope_data("verify", "nois").code == 0  # which needs no more than the versions themselves


def test_a_replay_leaves_out_what_was_left_out(files: Path, options: Options) -> None:
    """Not what stands in a version of the same name now."""
    test = ingest(str(files / "quiz.jsonl"), Recipe(), None, options)
    made = ingest(str(files / "lessons.jsonl"), Recipe(), None, options, without=test)
    written(files / "quiz.jsonl", TEST[:1])
    ingest(str(files / "quiz.jsonl"), Recipe(), None, options)
    assert replay(made, str(files / "lessons.jsonl"), 1, lambda *_: None) == []


def test_it_is_exported_and_imported_as_any_other(files: Path, lope_data: Callable[..., Run]) -> None:
    lope_data("ingest", "quiz.jsonl")
    made = lope_data("ingest", "lessons.jsonl", "--without", "quiz", "--json").json
    lope_data("export", "lessons", "--as", "version", "--out", "copy")
    assert lope_data("import", "copy", "--store", "elsewhere").code == 0
    copied = Version.at(Path("elsewhere") / made["name"] / made["version"])
    assert copied.manifest.plain["without"] == library.open("lessons").manifest.plain["without"]
