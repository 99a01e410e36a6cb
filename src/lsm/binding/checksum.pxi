# crc32c for Python: the manifest and CURRENT carry the same checksum as the files written in C. Any thread.
from libc.stdint cimport uint8_t, uint32_t

from lsm.core.crc32c cimport (LSM_CRC_INSTRUCTION, lsm_crc_way, crc32c as _crc32c, crc32c_by_instruction,
                              crc32c_by_table, crc_mask, crc_unmask)


def crc32c(const uint8_t[::1] data not None, uint32_t crc=0):
    """CRC32C of `data`, continuing `crc`."""
    if data.shape[0] == 0:
        return crc
    return _crc32c(crc, &data[0], <size_t>data.shape[0])


def crc32c_mask(uint32_t crc):
    """The form in which a checksum is stored beside the bytes it covers."""
    return crc_mask(crc)


def crc32c_unmask(uint32_t masked):
    return crc_unmask(masked)


def _crc32c_ways(const uint8_t[::1] data not None, uint32_t crc=0):
    """Every way this machine has, by name, for the test that holds them against each other."""
    cdef const uint8_t *at = &data[0] if data.shape[0] > 0 else NULL
    cdef size_t size = <size_t>data.shape[0]
    ways = {"chosen": _crc32c(crc, at, size), "table": crc32c_by_table(crc, at, size)}
    if lsm_crc_way == LSM_CRC_INSTRUCTION:
        ways["instruction"] = crc32c_by_instruction(crc, at, size)
    return ways
