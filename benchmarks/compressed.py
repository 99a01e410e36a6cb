"""How many bytes "the compressed data" are: the yardstick for the size of a directory.

Definition: all keys and values in order, concatenated, cut at record ends into pieces of at least
block_bytes, each piece compressed by the store's own codec and counted compressed when that saves 1/16 of
it or more, else as it is. Nothing of a format is in it: no lengths, tags, restart points, index, filter or
checksums. One piece in SAMPLE_EVERY is compressed and the sum scaled by the raw bytes; with codec "none"
the sum is exact.

The compressors are the C libraries themselves, through ctypes, so no package is needed.
"""

import ctypes
from collections.abc import Callable

SAMPLE_EVERY = 100
ZSTD_LEVEL = 3


def compressor(codec: str) -> Callable[[bytes], int] | None:
    """A function that answers the compressed size of its argument; None without the library."""
    try:
        if codec == "zstd":
            library = ctypes.CDLL("libzstd.so.1")
            library.ZSTD_compressBound.restype = library.ZSTD_compress.restype = ctypes.c_size_t
            library.ZSTD_compressBound.argtypes = [ctypes.c_size_t]
            library.ZSTD_compress.argtypes = [*[ctypes.c_char_p, ctypes.c_size_t] * 2, ctypes.c_int]

            def compressed_size(piece: bytes) -> int:
                bound = library.ZSTD_compressBound(len(piece))
                room = ctypes.create_string_buffer(bound)
                return library.ZSTD_compress(room, bound, piece, len(piece), ZSTD_LEVEL)
        else:
            library = ctypes.CDLL("liblz4.so.1")

            def compressed_size(piece: bytes) -> int:
                bound = library.LZ4_compressBound(len(piece))
                room = ctypes.create_string_buffer(bound)
                return library.LZ4_compress_default(piece, room, len(piece), bound)
    except OSError:
        return None
    return compressed_size


class BlockSampler:
    """Fed every record in order; knows the raw bytes exactly and estimates the compressed ones."""

    def __init__(self, block_bytes: int, codec: str) -> None:
        self.block_bytes, self.codec = block_bytes, codec
        self.compress = None if codec == "none" else compressor(codec)
        self.raw = self.pieces = self.sampled_raw = self.sampled_compressed = 0
        self.piece: list[bytes] = []
        self.piece_bytes = 0

    def add(self, key: bytes, value: bytes) -> None:
        if self.pieces % SAMPLE_EVERY == 0:
            self.piece += (key, value)
        self.piece_bytes += len(key) + len(value)
        if self.piece_bytes >= self.block_bytes:
            self.cut()

    def cut(self) -> None:
        if self.piece and self.compress:
            size = self.compress(b"".join(self.piece))
            self.sampled_raw += self.piece_bytes
            self.sampled_compressed += size if size <= self.piece_bytes * 15 // 16 else self.piece_bytes
        self.raw += self.piece_bytes
        self.pieces += 1
        self.piece.clear()
        self.piece_bytes = 0

    def result(self) -> dict:
        self.cut()
        if self.codec == "none":
            size, note = self.raw, "exact: the codec is none, so these are the raw bytes"
        elif not self.compress or not self.sampled_raw:
            size, note = None, f"the library of {self.codec} was not found"
        else:
            size = round(self.raw * self.sampled_compressed / self.sampled_raw)
            codec = "lz4 standing in for snappy" if self.codec == "snappy" else self.codec
            note = f"{codec}, 1 block in {SAMPLE_EVERY} sampled; raw {self.raw:,} bytes"
        return {"raw_bytes": self.raw, "data_bytes": size, "data_note": note}
