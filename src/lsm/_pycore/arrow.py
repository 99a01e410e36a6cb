"""Arrow: columns and chunks in the capsules of the Arrow PyCapsule interface, for pyarrow, polars, DuckDB and the like.

The compiled core makes the C structs itself. Here the package `pyarrow` does, where it is installed, from the memory of the
columns, without a copy; else that is an UnsupportedError. Pure functions.
"""
from __future__ import annotations

import importlib
from collections.abc import Iterable
from typing import Any

from lsm.errors import UnsupportedError


def pyarrow() -> Any:
    try:
        return importlib.import_module("pyarrow")
    except ImportError as missing:
        raise UnsupportedError("this database runs on the core in plain Python, which needs the package pyarrow for Arrow: "
                               "install it, or use a build of lsm with the compiled core") from missing


def field(name: str) -> Any:
    arrow = pyarrow()
    return arrow.field(name, arrow.binary(), nullable=False)


def fields(keys: bool, values: bool) -> list[Any]:
    return [field(name) for name, wanted in (("key", keys), ("value", values)) if wanted]


def array_of(column: Any) -> Any:
    """A column as an array of type binary."""
    arrow = pyarrow()
    buffers = [None, arrow.py_buffer(column.offsets), arrow.py_buffer(column.data)]
    return arrow.Array.from_buffers(arrow.binary(), len(column), buffers, null_count=0)


def struct_of(chunk: Any) -> Any:
    """A chunk as an array of structs."""
    columns = [column for column in (chunk.keys, chunk.values) if column is not None]
    named = fields(chunk.keys is not None, chunk.values is not None)
    return pyarrow().StructArray.from_arrays([array_of(column) for column in columns], fields=named)


def stream_of(chunks: Iterable[Any], keys: bool, values: bool) -> object:
    """An iterator of chunks as a stream, in its capsule."""
    arrow = pyarrow()
    schema = arrow.schema(fields(keys, values))
    batches = (arrow.RecordBatch.from_struct_array(struct_of(chunk)) for chunk in chunks)
    return arrow.RecordBatchReader.from_batches(schema, batches).__arrow_c_stream__()
