"""Excel workbooks: cells of every kind, sheets, headers, and the cell of what is wrong."""

from __future__ import annotations

import datetime
import re
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from lope_data.errors import SourceError
from lope_data.rows import is_json
from lope_data.sources import Reading, open_source
from lope_data.sources.formats import excel

openpyxl = pytest.importorskip("openpyxl")

HEADER = ("text", "label")


def write(path: Path, *sheets: Sequence[Sequence[Any]], **named: Sequence[Sequence[Any]]) -> Path:
    """A workbook with these rows in sheets called Sheet, Sheet1 and so on, or as named."""
    book = openpyxl.Workbook()
    book.remove(book.active)
    for title, rows in [*(("Sheet", rows) for rows in sheets), *named.items()]:
        sheet = book.create_sheet(title)
        for row in rows:
            sheet.append(row)
    book.save(path)
    return path


def read(path: Path, **reading: Any) -> pa.Table:
    return open_source(str(path), Reading(**reading)).read()


def refused(path: Path, **reading: Any) -> str:
    with pytest.raises(SourceError) as raised:
        read(path, **reading)
    return str(raised.value)


@pytest.mark.parametrize("rows", [1, 10_000])
def test_cells_are_what_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    monkeypatch.setattr(excel, "_ROWS", rows)
    cells = [['a, "b"\ntwo\tlines', 1, 0.5, True, None, "007"], [" é 日本 ", -3, 1.25, False, None, "=no"]]
    path = write(tmp_path / "r.xlsx", [["text", "n", "x", "flag", "none", "code"], *cells])
    book = openpyxl.load_workbook(path)
    book.active["F3"].data_type = "s"  # else a formula
    book.save(path)
    table = read(path)
    assert [list(row.values()) for row in table.to_pylist()] == cells
    assert list(map(str, table.schema.types)) == ["string", "int64", "double", "bool", "string", "string"]


def test_a_column_of_several_types(tmp_path: Path) -> None:
    table = read(write(tmp_path / "r.xlsx", [HEADER, ["one", 1], ["two", "2"], ["three", True]]))
    assert is_json(table["label"].type)
    assert table["label"].to_pylist() == ["1", '"2"', "true"]


def test_dates_are_text(tmp_path: Path) -> None:
    when = datetime.datetime(2026, 3, 1, 14, 30)
    values = [when, when.date(), datetime.time(7, 5), datetime.timedelta(hours=30), datetime.datetime(2026, 3, 1)]
    table = read(write(tmp_path / "r.xlsx", [HEADER, *(["a", value] for value in values)]))
    expected = ["2026-03-01T14:30:00", "2026-03-01", "07:05:00", "1 day, 6:00:00", "2026-03-01T00:00:00"]
    assert table["label"].to_pylist() == expected


def test_rows_and_columns_without_a_value(tmp_path: Path) -> None:
    rows = [[], [None, "text", None, "label"], [None, "one"], [None, None], [None, "two", None, "x"], [None], [None]]
    path = write(tmp_path / "r.xlsx", rows)
    book = openpyxl.load_workbook(path)
    book.active["B12"].font = openpyxl.styles.Font(bold=True)
    book.save(path)
    assert read(path).to_pylist() == [{"text": "one", "label": None}, {"text": "two", "label": "x"}]


def test_without_a_header(tmp_path: Path) -> None:
    path = write(tmp_path / "r.xlsx", [["one", 1], ["two", None]])
    rows = [{"column_0": "one", "column_1": 1}, {"column_0": "two", "column_1": None}]
    assert read(path, header=False).to_pylist() == rows


def test_several_sheets_are_asked_for(tmp_path: Path) -> None:
    path = write(tmp_path / "r.xlsx", train=[HEADER, ["one", "x"]], notes=[], test=[HEADER, ["two", "y"]])
    assert refused(path) == f"{path}: holds the sheets 'train', 'test'; say which to read, as in --sheet 'train'"
    assert read(path, sheet="test").to_pylist() == [{"text": "two", "label": "y"}]
    assert refused(path, sheet="tset") == f"{path}: has no sheet 'tset'; did you mean 'test'?"
    assert refused(path, sheet="notes") == f"{path}: no cell holds anything"
    assert refused(write(tmp_path / "empty.xlsx", [])).endswith("empty.xlsx: no cell holds anything")


def test_a_sheet_beside_empty_ones_is_read(tmp_path: Path) -> None:
    path = write(tmp_path / "r.xlsx", empty=[], rows=[HEADER, ["one", "x"]])
    book = openpyxl.load_workbook(path)
    book.create_chartsheet("chart", 0).add_chart(openpyxl.chart.BarChart())
    book.save(path)
    assert read(path).to_pylist() == [{"text": "one", "label": "x"}]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([HEADER, ["one", "#N/A"]], "cell B2: the error #N/A; fix or clear it"),
        ([HEADER, ["one", "x"], ["two", "=A2"]], "cell B3: a formula that was never calculated; open the file in a"),
        ([("text", "text"), ["one", "x"]], "has two columns 'text'; rename one; if row 1 is no header, --no-header"),
        ([HEADER, ["one", "x", "y"]], "cell C2: a value in a column without a name; name or clear the column"),
        ([("text", None, "label"), ["a", None, "x"], ["b", 5, "y"]], "cell B3: a value in a column without a name"),
    ],
)
def test_the_cell_is_named(tmp_path: Path, rows: Sequence[Sequence[Any]], message: str) -> None:
    path = write(tmp_path / "r.xlsx", rows)
    said = refused(path)
    assert said.startswith((f"{path}, {message}", f"{path}: {message}"))


def test_what_formulas_gave(tmp_path: Path) -> None:
    path = write(tmp_path / "r.xlsx", [HEADER, ["one", "=A2"], ["two", "=A3"], ["three", "=A4"]])
    values = {"B2": ' t="str"><f>A2</f><v>ok</v>', "B3": ' t="str"><f>A3</f><v></v>', "B4": "><f>A4</f><v>2.5</v>"}
    in_sheet(path, lambda xml: re.sub(r'<c r="(B[234])"><f>.*?</c>', lambda m: f'<c r="{m[1]}"{values[m[1]]}</c>', xml))
    assert read(path)["label"].to_pylist() == ['"ok"', '""', "2.5"]


def in_sheet(path: Path, change: Callable[[str], str]) -> None:
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    parts["xl/worksheets/sheet1.xml"] = change(parts["xl/worksheets/sheet1.xml"].decode()).encode()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in parts.items():
            archive.writestr(name, data)


def test_a_sheet_that_says_less_than_it_holds(tmp_path: Path) -> None:
    path = write(tmp_path / "r.xlsx", [HEADER, ["one", "x"]])
    in_sheet(path, lambda xml: xml.replace('<dimension ref="A1:B2"', '<dimension ref="A1"'))
    assert read(path).to_pylist() == read(path, sheet="Sheet").to_pylist() == [{"text": "one", "label": "x"}]


def test_a_date_that_is_none(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    path = write(tmp_path / "r.xlsx", [HEADER, ["one", datetime.date(2026, 3, 1)]])
    in_sheet(path, lambda xml: re.sub(r"<v>46082</v>", "<v>99999999</v>", xml))
    assert "cell B2: the error #VALUE!" in refused(path)
    assert not recwarn.list, "openpyxl warns where this is an error"


def test_a_damaged_workbook(tmp_path: Path) -> None:
    path = write(tmp_path / "r.xlsx", [HEADER, *(["word " * i, "x"] for i in range(50))])
    whole = path.read_bytes()
    for cut in range(0, len(whole), 97):
        path.write_bytes(whole[:cut] + b"?" + whole[cut + 1 :] if cut else whole[:-300])
        said = ""
        try:
            read(path)
        except SourceError as error:
            said = str(error)
        assert not said or (said.startswith(str(path)) and len(said.splitlines()) == 1)
    in_sheet(write(path, [HEADER, ["one", "x"]]), lambda xml: xml.replace('row r="2"', 'row r="99999999"'))
    assert "damaged (more than 1,048,576 rows)" in refused(path)


def test_what_is_no_workbook(tmp_path: Path) -> None:
    path = tmp_path / "r.xlsx"
    path.write_bytes(bytes.fromhex("d0cf11e0a1b11ae1") + b"\0" * 600)
    assert refused(path) == f"{path}: an older workbook, or one with a password; save it as .xlsx, without a password"
    path.write_text("text,label\n")
    assert refused(path).startswith(f"{path}: damaged, or no workbook")


def test_a_workbook_that_is_far_larger_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lope_data.sources.sheet._LARGE", 1 << 20)
    path = write(tmp_path / "r.xlsx", [HEADER])
    in_sheet(path, lambda xml: xml + " " * (1 << 23))
    assert "bytes when unpacked, as no workbook is" in refused(path)


def test_without_openpyxl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "r.xlsx", [HEADER, ["one", "x"]])
    monkeypatch.setattr("lope_common.extras.find_spec", lambda name: None)
    assert refused(path).startswith("reading .xlsx files needs openpyxl, which is missing: pip install ")


@pytest.mark.parametrize(
    ("name", "reading", "message"),
    [
        ("r.csv", {"sheet": "a"}, "sheet is for .xlsx files"),
        ("r.xlsx", {"delimiter": ";"}, "delimiter is for .csv and .tsv files"),
        ("r.jsonl", {"header": False}, "header is for .csv, .tsv and .xlsx files"),
        ("r.xlsx", {"encoding": "cp1252"}, "an encoding is for text files; .xlsx holds its own"),
    ],
)
def test_what_is_said_of_another_kind_of_file(tmp_path: Path, name: str, reading: dict[str, Any], message: str) -> None:
    (tmp_path / name).write_text("x")
    assert message in refused(tmp_path / name, **reading)


def test_from_the_command_line(tmp_path: Path, lope_data: Callable[..., Any]) -> None:
    rows = [["a good film", 1], ["a bad film", 0], ["so so", 1]]
    write(tmp_path / "r.xlsx", train=[HEADER, *rows], test=[HEADER, ["x", 1]])
    assert "say which to read, as in --sheet 'train'" in lope_data("ingest", "r.xlsx").refusal
    assert lope_data("ingest", "r.xlsx", "--sheet", "train", "--json").json["shapes"] == {"classification": 3}
    assert lope_data("verify", "r", "--replay").code == 0
    assert lope_data("preview", "--source", "r.xlsx", "--sheet", "train", "--ratio", "0.5").code == 0


def test_several_workbooks_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    for i in range(2):
        write(tmp_path / "d" / f"part-{i}.xlsx", [HEADER, [f"row {i}", i]])
    assert read(tmp_path / "d").to_pylist() == [{"text": "row 0", "label": 0}, {"text": "row 1", "label": 1}]
