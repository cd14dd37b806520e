"""Features are written as `datasets` itself would write them, for every type that a version can hold."""

from __future__ import annotations

import datasets
import pyarrow as pa
import pytest

from lope_data.rows import Layout, storable
from lope_data.store.commit import features

PLAIN = [
    *(pa.bool_(), pa.null(), pa.string(), pa.large_string()),
    *(pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64()),
    *(pa.float16(), pa.float32(), pa.float64(), pa.date32(), pa.date64()),
    *(
        pa.timestamp(unit, zone)
        for unit in ("s", "ms", "us", "ns")
        for zone in (None, "UTC", "Europe/Berlin", "+05:30")
    ),
    *(pa.duration(unit) for unit in ("s", "ms", "us", "ns")),
    *(pa.time32("s"), pa.time32("ms"), pa.time64("us"), pa.time64("ns")),
    *(pa.decimal128(10, 2), pa.decimal128(38, -3), pa.decimal256(50, 4)),
]
NESTED = [
    pa.list_(pa.struct([("role", pa.string()), ("content", pa.list_(pa.struct([("text", pa.string())])))])),
    pa.large_list(pa.list_(pa.large_list(pa.int8()))),
    pa.struct([("a b", pa.struct([("", pa.float16())])), ("a", pa.list_(pa.null()))]),
]
NOT = [
    pa.struct([]),
    pa.list_(pa.json_()),
    *(pa.binary(), pa.large_binary(), pa.binary(4), pa.month_day_nano_interval(), pa.list_(pa.int8(), 3)),
    *(pa.map_(pa.string(), pa.int8()), pa.dictionary(pa.int8(), pa.string()), pa.string_view()),
    *(getattr(pa, name)(5, 1) for name in ("decimal32", "decimal64") if hasattr(pa, name)),
]


@pytest.mark.parametrize("kind", [*PLAIN, *NESTED], ids=str)
def test_they_are_those_of_datasets(kind: pa.DataType) -> None:
    for made in (kind, pa.list_(kind), pa.large_list(kind), pa.struct([("x", kind), ("y", pa.list_(kind))])):
        assert storable(made)
        schema = pa.schema([("column", made)])
        assert features(schema, Layout({})) == datasets.Features.from_arrow_schema(schema).to_dict()


@pytest.mark.parametrize("text", [pa.string(), pa.large_string()], ids=str)
def test_json_is_that_of_datasets(text: pa.DataType) -> None:
    schema = pa.schema([("column", pa.json_(text))])
    assert storable(schema.field("column").type)
    assert features(schema, Layout({})) == datasets.Features({"column": datasets.Json()}).to_dict()
    raw = datasets.Features({"column": datasets.Json(decode=False)})
    assert features(schema, Layout({}, raw=("column",))) == raw.to_dict()


def test_class_names_are_those_of_datasets() -> None:
    names = ("no", "yes", "é|`")
    label = datasets.ClassLabel(names=list(names))
    wanted = datasets.Features(
        {
            "label": label,
            "tags": datasets.List(label),
            "deep": {"in": datasets.List(label)},
            "n": datasets.Value("int64"),
        }
    )
    classes = {"label": names, "tags[]": names, "deep.in[]": names}
    assert features(wanted.arrow_schema, Layout({}, classes)) == wanted.to_dict()


@pytest.mark.parametrize("kind", NOT, ids=str)
def test_what_a_version_cannot_hold(kind: pa.DataType) -> None:
    for made in (kind, pa.list_(kind), pa.struct([("x", kind)])):
        assert not storable(made)
