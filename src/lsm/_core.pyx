# cython: language_level=3
"""The one extension module of lsm: the Python doors (binding/*.pxi) over the C parts (core/*.pxd), in layer order.

An included file sees what the files before it define; it names what it takes from core/ itself or here.
"""
cimport cython
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_CheckBuffer, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.exc cimport PyErr_CheckSignals
from libc.errno cimport EDQUOT, ENOSPC
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy, memset
from posix.time cimport nanosleep, timespec

include "binding/faults.pxi"
include "binding/directory.pxi"
include "binding/checksum.pxi"
include "binding/cache.pxi"
include "binding/table.pxi"
include "binding/bytes.pxi"
include "binding/memtable.pxi"
include "binding/log.pxi"
include "binding/view.pxi"
include "binding/merge.pxi"
include "binding/store.pxi"
include "binding/batch.pxi"
include "binding/scan.pxi"
