"""Compression of blocks, by the ids that lie on disk (docs/format-table.md): 0 none, 1 lz4, 2 zstd.

lz4 is here in plain Python (lz4.py). zstd is too much for that: it is there where the interpreter brings it (3.14) or the
package `zstandard` is installed; without, a table that needs it is an UnsupportedError. Pure functions.
"""
from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from lsm._pycore import lz4
from lsm._pycore.coding import Malformed

NONE, LZ4, ZSTD = 0, 1, 2
IDS = {"none": NONE, "lz4": LZ4, "zstd": ZSTD}
NAMES = {number: name for name, number in IDS.items()}
ZSTD_LEVEL = 3

Codec = tuple[Callable[[bytes], bytes], Callable[[bytes, int], bytes]]


def _zstd_of_python() -> Codec:
    zstd: Any = importlib.import_module("compression.zstd")
    return (lambda data: zstd.compress(data, ZSTD_LEVEL),
            lambda data, size: zstd.ZstdDecompressor().decompress(data, size + 1))


def _zstd_of_package() -> Codec:
    zstd: Any = importlib.import_module("zstandard")

    def decompress(data: bytes, size: int) -> bytes:
        if zstd.frame_content_size(data) not in (-1, size):     # what a frame states is taken from memory at once
            raise Malformed("not the stated size")
        return zstd.ZstdDecompressor().decompress(data, max_output_size=size)   # type: ignore[no-any-return]

    return lambda data: zstd.ZstdCompressor(ZSTD_LEVEL).compress(data), decompress


def _codecs() -> dict[int, Codec]:
    codecs: dict[int, Codec] = {NONE: (lambda data: data, lambda data, size: data), LZ4: (lz4.compress, lz4.decompress)}
    for zstd in (_zstd_of_python, _zstd_of_package):
        try:
            codecs.setdefault(ZSTD, zstd())
        except ImportError:
            pass
    return codecs


CODECS = _codecs()
compressions = tuple(name for name, number in IDS.items() if number in CODECS)


def compress(number: int, data: bytes) -> bytes:
    return CODECS[number][0](data)


def decompress(number: int, data: bytes, size: int) -> bytes:
    """Exactly `size` bytes, or Malformed."""
    try:
        contents = CODECS[number][1](data, size)
    except Malformed:
        raise
    except Exception as error:              # each library has errors of its own
        raise Malformed(str(error)) from None
    if len(contents) != size:
        raise Malformed("not the stated size")
    return contents
