# cython: language_level=3
"""Compression of single blocks by lz4 and zstd, as far as this build has them (compress.h).

DO NOT CHANGE THE NUMBERS: they live on disk (docs/format-table.md). Any thread.
"""
from libc.stdint cimport uint8_t

cdef extern from "compress.h" nogil:
    int COMPRESSION_NONE "LSM_COMPRESSION_NONE"     # 0
    int COMPRESSION_LZ4 "LSM_COMPRESSION_LZ4"       # 1
    int COMPRESSION_ZSTD "LSM_COMPRESSION_ZSTD"     # 2
    bint compression_built "lsm_compression_built"(int compression)
    long compress "lsm_compress"(int compression, const uint8_t *data, size_t size, uint8_t *to, size_t room)
    int decompress "lsm_decompress"(int compression, const uint8_t *data, size_t stored, uint8_t *to, size_t size)
