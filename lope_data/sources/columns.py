"""Files of one source whose tables differ: the columns and types that all of them fit into without a value changed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pyarrow as pa

from lope_data.errors import SourceError

Conflict = Callable[[int, str, pa.DataType], Exception]
"""The error for (table, column, type of that column in the tables before it)."""


def common_schema(schemas: Sequence[pa.Schema], conflict: Conflict) -> pa.Schema:
    """All columns, in the order in which they turn up, in types that hold what each has (int64 and double: double).

    It has the metadata of the first. Raises what `conflict` gives for types that do not fit.
    """
    if len(schemas) == 1:
        return schemas[0]
    common = pa.schema([])
    for number, schema in enumerate(schemas):
        for field in schema:
            kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
            place = common.get_field_index(field.name)
            if place < 0:
                common = common.append(pa.field(field.name, kind))
                continue
            try:
                pair = [pa.schema([common.field(place)]), pa.schema([(field.name, kind)])]
                common = common.set(place, pa.unify_schemas(pair, promote_options="permissive").field(0))
            except pa.ArrowException as error:
                raise conflict(number, field.name, common.field(place).type) from error
    return common.with_metadata(schemas[0].metadata)


def conformed(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """The table with the columns of a schema, those that it lacks null.

    Raises:
        pa.ArrowException: a value that the type cannot hold, such as an integer that no double is.
    """
    if table.schema.equals(schema):
        return table.replace_schema_metadata(schema.metadata)
    columns = {}
    for field in schema:
        if table.schema.get_field_index(field.name) < 0:
            columns[field.name] = pa.chunked_array([pa.nulls(len(table), field.type)])
            continue
        column = table[field.name]
        if pa.types.is_dictionary(column.type) and not pa.types.is_dictionary(field.type):
            column = column.cast(column.type.value_type)
        empty = pa.table({"": pa.nulls(0, field.type)})
        columns[field.name] = pa.concat_tables([empty, pa.table({"": column})], promote_options="permissive")[0]
    rows = pa.table(columns) if columns else table.select([])
    return rows.replace_schema_metadata(schema.metadata)


def conflict(
    places: Sequence[str], schemas: Sequence[pa.Schema], number: int, name: str, before: pa.DataType
) -> SourceError:
    """What to say of a column whose type does not fit those of the files before."""
    kind = schemas[number].field(name).type
    return SourceError(
        f"{places[number]}, column {name!r}: {kind}, where the files before it hold {before}; make it one type"
    )
