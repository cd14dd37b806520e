"""The Croissant description of a version (mlcommons.org/croissant, 1.1): files, fields, provenance, as JSON-LD."""

from __future__ import annotations

import fnmatch
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

import pyarrow as pa

from lope_data.rows.arrow_types import is_list
from lope_data.rows.json_type import is_json
from lope_data.store.card import about, keyword
from lope_data.store.manifest_model import Facts, File, Link

_TERMS = """arrayShape citeAs column containedIn equivalentProperty extract field fileProperty fileObject fileSet format
includes isArray isLiveDataset jsonPath key md5 parentField path recordSet references regex repeated replace
samplingRate separator source subField transform"""
_CONTEXT: dict[str, Any] = {  # the standard one of Croissant 1.1, and PROV's
    "@language": "en",
    "@vocab": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "dct": "http://purl.org/dc/terms/",
    "prov": "http://www.w3.org/ns/prov#",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "sc": "https://schema.org/",
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "description": {"@container": "@language"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "name": {"@container": "@language"},
    **{term: f"cr:{term}" for term in _TERMS.split()},
}
_FORMATS = {
    ".arrow": "application/vnd.apache.arrow.stream",
    ".csv": "text/csv",
    ".json": "application/json",
    ".jsonl": "application/jsonlines",
    ".md": "text/markdown",
    ".parquet": "application/x-parquet",
}
_EDITS = {  # FORMAT.md
    "row_id": "sc:Text",
    "step": "sc:Text",
    "seq": "cr:Int32",
    "path": "sc:Text",
    "op": "sc:Text",
    "start": "cr:Int64",
    "end": "cr:Int64",
    "new_end": "cr:Int64",
    "before": "sc:Text",
    "after": "sc:Text",
    "detail": "sc:Text",
}


def croissant(facts: Facts, schema: pa.Schema, files: Iterable[File], rows: str = "data-*.arrow") -> dict[str, Any]:
    """The description as JSON-LD.

    `mlcroissant` reads the edits, and rows in Parquet; of Arrow files it has no reader, their format is only stated.

    Args:
        facts: of the version, from its manifest or before there is one.
        schema: of the rows.
        files: the files to describe: all but the manifest and this one.
        rows: the files of rows, as a glob pattern.
    """
    listed = sorted(files, key=lambda file: file.path)
    edits = any(fnmatch.fnmatchcase(file.path, "edits/*.parquet") for file in listed)
    sets = {"row-files": rows} | ({"edit-files": "edits/*.parquet"} if edits else {})
    records = [_rows(schema, facts.layout.classes)] + ([_edits()] if edits else [])
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.1",
        "name": facts.name,
        "version": facts.version,
        "identifier": facts.content_digest,
        "description": about(facts),
        "keywords": ["lope", keyword(facts)],
        "prov:wasDerivedFrom": [*map(_parent, facts.parents), _source(facts)],
        "distribution": [*(_file_set(name, pattern) for name, pattern in sets.items()), *map(_file, listed)],
        "recordSet": records,
    }


def croissant_file(facts: Facts, schema: pa.Schema, files: Iterable[File], rows: str = "data-*.arrow") -> bytes:
    """What stands in `croissant.json`; the arguments are those of `croissant`."""
    return json.dumps(croissant(facts, schema, files, rows), indent=2, ensure_ascii=False).encode() + b"\n"


def _parent(link: Link) -> dict[str, Any]:
    return {
        "@id": f"{link.ref}",
        "@type": "prov:Entity",
        "name": link.name,
        "version": link.version,
        "identifier": link.content_digest,
    }


def _source(facts: Facts) -> dict[str, Any]:
    """What the chain begins with: a version too, where this one is made of its rows."""
    if facts.kind == "ingest" and facts.curated is not None:
        return _parent(facts.curated)
    source = facts.source
    return {
        "@id": source.fingerprint,
        "@type": "prov:Entity",
        "name": source.name,
        "identifier": source.fingerprint,
        "description": "What was ingested; the identifier is a fingerprint of its bytes.",
    }


def _file_set(name: str, pattern: str) -> dict[str, Any]:
    return {
        "@id": name,
        "@type": "cr:FileSet",
        "name": name,
        "encodingFormat": _format(pattern),
        "includes": pattern,
    }


def _file(file: File) -> dict[str, Any]:
    return {
        "@id": file.path,
        "@type": "cr:FileObject",
        "name": file.path,
        "contentUrl": file.path,
        "contentSize": f"{file.bytes} B",
        "encodingFormat": _format(file.path),
        "sha256": file.sha256,
    }


def _format(path: str) -> str:
    return _FORMATS.get(PurePosixPath(path).suffix, "application/octet-stream")


def _rows(schema: pa.Schema, classes: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    about_rows = "One record a row. Row i is row i of the parent; lope_ops says what this version did to it."
    if deep := [column.name for column in schema if not _is_flat(column.type)]:
        about_rows += f" Not described, as they nest deeper than Croissant's fields: {', '.join(deep)}."
    return {
        "@id": "rows",
        "@type": "cr:RecordSet",
        "name": "rows",
        "description": about_rows,
        "key": {"@id": "rows/lope_row_id"},
        "field": [_field(i, field, classes) for i, field in enumerate(schema) if _is_flat(field.type)],
    }


def _edits() -> dict[str, Any]:
    return {
        "@id": "edits",
        "@type": "cr:RecordSet",
        "name": "edits",
        "description": "One record an edit, in the order of the rows; row_id is the lope_row_id of its row. start, end "
        "and new_end are UTF-8 byte offsets in the value at path as it was before the op.",
        "field": [
            {
                "@id": f"edits/{name}",
                "@type": "cr:Field",
                "name": name,
                "dataType": kind,
                "source": _column("edit-files", name),
            }
            for name, kind in _EDITS.items()
        ],
    }


def _field(index: int, column: pa.Field, classes: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """A column as a field: scalars, structs of scalars, and lists of either."""
    name, kind = column.name, column.type
    plain = re.fullmatch(r"[A-Za-z0-9_.-]+", name)  # an id has no white space, and is no other's
    field = {"@id": f"rows/{name if plain else f'column:{index}'}", "@type": "cr:Field", "name": name}
    source = _column("row-files", name)
    item = kind.value_type if is_list(kind) else kind
    if is_json(kind):
        field["description"] = "JSON texts."
    if names := classes.get(f"{name}[]" if is_list(kind) else name):
        field["description"] = "Numbers of classes: " + ", ".join(f"{i} {one}" for i, one in enumerate(names)) + "."
    if is_list(kind):
        field |= {"isArray": True, "arrayShape": "-1"}
    if pa.types.is_struct(item):
        return field | {
            "subField": [
                {
                    "@id": f"{field['@id']}/{sub.name}",
                    "@type": "cr:Field",
                    "name": sub.name,
                    "dataType": _type(sub.type),
                    "source": source | {"transform": {"jsonPath": sub.name}},
                }
                for sub in item
            ]
        }
    return field | {"dataType": _type(item), "source": source}


def _column(files: str, name: str) -> dict[str, Any]:
    return {"fileSet": {"@id": files}, "extract": {"column": name}}


def _is_flat(kind: pa.DataType) -> bool:
    """Whether fields can say it: scalars, structs of scalars that a JSON path reaches by name, lists of either."""
    item = kind.value_type if is_list(kind) else kind
    if pa.types.is_struct(item):
        return all(sub.name.isascii() and sub.name.isidentifier() and not pa.types.is_nested(sub.type) for sub in item)
    return not pa.types.is_nested(item)


def _type(kind: pa.DataType) -> str:
    if pa.types.is_boolean(kind):
        return "sc:Boolean"
    if pa.types.is_integer(kind):
        return f"cr:{'U' if str(kind).startswith('u') else ''}Int{kind.bit_width}"
    if pa.types.is_floating(kind):
        return f"cr:Float{kind.bit_width}"
    if pa.types.is_date(kind):
        return "sc:Date"
    if pa.types.is_timestamp(kind):
        return "sc:DateTime"
    return "sc:Text"
