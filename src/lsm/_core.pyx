# cython: language_level=3
from lsm.core.fault cimport Fault, fault_corrupt
from lsm.core.coding cimport *
from lsm.core.key cimport *
from lsm.core.cursor cimport Cursor
from lsm.core.env cimport Env, File
def probe(bytes b):
    cdef Input i = input_of(<const char*>b, len(b))
    cdef uint64_t v = 0
    if input_varint(&i, &v) != 0:
        raise ValueError
    return v, key_prefix(<const uint8_t*><const char*>b, len(b))
