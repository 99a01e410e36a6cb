# cython: language_level=3
"""CRC32C, the checksum of everything on disk (crc32c.h has the three ways to compute it).

`crc32c(0, data, size)` begins a sum, `crc32c(crc, data, size)` continues one. A sum stored beside the bytes it covers
is stored masked. Any thread.
"""
from libc.stdint cimport uint8_t, uint32_t

cdef extern from "crc32c.h" nogil:
    int LSM_CRC_INSTRUCTION
    int lsm_crc_way
    uint32_t crc32c "lsm_crc32c"(uint32_t crc, const uint8_t *data, size_t size)
    uint32_t crc32c_by_table "lsm_crc32c_table"(uint32_t crc, const uint8_t *data, size_t size)
    uint32_t crc32c_by_instruction "lsm_crc32c_instruction"(uint32_t crc, const uint8_t *data, size_t size)
    uint32_t crc_mask "lsm_crc_mask"(uint32_t crc)
    uint32_t crc_unmask "lsm_crc_unmask"(uint32_t masked)
