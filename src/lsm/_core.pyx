# cython: language_level=3
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
include "binding/checksum.pxi"
