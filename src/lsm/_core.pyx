# cython: language_level=3, freethreading_compatible=True
"""The one extension module of lsm: the Python doors (binding/*.pxi) over the C parts (core/*.pxd), in layer order.

An included file sees what the files before it define; it names what it takes from core/ itself or here.
"""
cimport cython
from cpython.buffer cimport (
    PyBUF_FORMAT, PyBUF_ND, PyBUF_STRIDES, PyBUF_WRITABLE, PyObject_CheckBuffer,
)
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.pycapsule cimport PyCapsule_Destructor, PyCapsule_GetPointer, PyCapsule_New
from cpython.exc cimport PyErr_CheckSignals
from cpython.ref cimport Py_DECREF, Py_INCREF, Py_XDECREF, Py_XINCREF, PyObject
from libc.errno cimport EDQUOT, EIO, EMFILE, ENFILE, ENOMEM, ENOSPC
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t, uintptr_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy, memset
from posix.time cimport CLOCK_MONOTONIC, clock_gettime, nanosleep, timespec
from posix.unistd cimport getpid

from lsm.core.cached_block cimport Block, block_release
from lsm.core.buffer cimport Buffer, buffer_append, buffer_free, buffer_init, buffer_reserve, buffer_set, buffer_slice
from lsm.core.arena cimport Supply, supply_free, supply_prepare
from lsm.core.arrow cimport (
    ArrowArray, ArrowArrayStream, ArrowSchema, arrow_chunk, arrow_column, arrow_column_schema, arrow_schema,
)
from lsm.core.column cimport Column as c_column, column_empty, column_release, column_take
from lsm.core.coding cimport Input, Slice, input_left, input_of, slice_of
from lsm.core.key cimport (
    KEY_BYTES_MAX, KIND_DELETE, KIND_PUT, VALUE_BYTES_MAX, compare_slices, tag_kind, tag_of, tag_sequence,
)
from lsm.core.keyed_hash cimport key_hash, lsm_hash_secret
from lsm.core.log cimport (
    LOG_HEADER_BYTES, TAIL_CLEAN, TAIL_TORN, LogReader, log_header_check, log_header_encode, log_magic, log_next, log_reader,
    log_tail, log_watermark,
)
from lsm.core.memtable cimport (
    Memtable as c_memtable, lsm_read_lock, lsm_read_unlock, memtable_add, memtable_bytes, memtable_ensure, memtable_free,
    memtable_get, memtable_new, memtable_order, memtable_prepare, memtable_supply,
)
from lsm.core.memtable_cursor cimport memtable_cursor
from lsm.core.merge cimport (
    Merge, merge_add, merge_close, merge_first, merge_init, merge_last, merge_seek, merge_seek_before, merge_step,
    merge_top,
)
from lsm.core.preparer cimport (
    TASK_BLOCK, TASK_LINK, TASK_LOG, Preparer as c_preparer, preparer_assign, preparer_free, preparer_new, preparer_stop,
)
from lsm.core.record cimport (
    BATCH_BYTES_MAX, RECORD_HEADER_BYTES, RecordEntry, RecordHeader, entry_decode, entry_encode, entry_payload,
    record_bytes, record_open, record_seal,
)
from lsm.core.retain cimport Retain, retain_entry, retain_free, retain_init
from lsm.core.cursor cimport Waiting
from lsm.core.gather cimport GATHERED_ALL, GATHERED_PAUSED, gather, gather_begin
from lsm.core.rows cimport (
    ROWS_BYTES_MAX, Rows, rows_again, rows_begin, rows_free, rows_init, rows_key_at, rows_part, rows_small, rows_value_at,
    rows_widen,
)
from lsm.core.run_cursor cimport run_cursor_open
from lsm.core.skiplist cimport Entry, entry_bytes, entry_value, skiplist_check
from lsm.core.find_many cimport MANY_MAX, Wanted, sources_find_many, wanted_begin, wanted_release
from lsm.core.sources cimport (
    LOOKUP_WOULD_READ, Lookup, Run, Sources, lookup_release, run_init, sources_find, sources_free, sources_init,
)
from lsm.core.visible cimport (
    Visible, visible_close, visible_first, visible_init, visible_last, visible_next, visible_prev,
    visible_resume, visible_seek,
    visible_seek_before,
)
from lsm.core.walk cimport Walk, walk_again, walk_cursors, walk_free, walk_open, walk_rest

cdef extern from "lsm_bits.h" nogil:
    uint64_t lsm_load_acquire(const uint64_t *p)
    uint64_t lsm_load_relaxed(const uint64_t *p)
    void lsm_store_release(uint64_t *p, uint64_t value)
    void lsm_store_relaxed(uint64_t *p, uint64_t value)

cdef extern from "gil.h" nogil:
    ctypedef int lsm_atomic_int
    ctypedef unsigned long lsm_atomic_ulong
    ctypedef int lsm_flag
    ctypedef int lsm_guard
    int lsm_swap(lsm_atomic_int *p, int value)
    void lsm_set_bits(lsm_atomic_int *p, int bits)
    void lsm_clear_bits(lsm_atomic_int *p, int bits)
    bint lsm_take(lsm_flag *flag)
    void lsm_guard_lock(lsm_guard *guard)
    void lsm_guard_unlock(lsm_guard *guard)

cdef extern from "pthread.h" nogil:
    int pthread_mutex_trylock(pthread_mutex_t *mutex)
    ctypedef struct pthread_cond_t:
        pass
    int pthread_cond_init(pthread_cond_t *condition, const void *attributes)
    int pthread_cond_wait(pthread_cond_t *condition, pthread_mutex_t *mutex)
    int pthread_cond_signal(pthread_cond_t *condition)
    int pthread_cond_destroy(pthread_cond_t *condition)

cdef extern from "Python.h":
    long long PyLong_AsLongLongAndOverflow(object number, int *overflow) except? -1
    bytes PyBytes_FromObject(object given)
    unsigned long PyThread_get_thread_ident()

cdef extern from "sched.h" nogil:
    int sched_yield()

include "binding/faults.pxi"
include "binding/directory.pxi"
include "binding/simulated.pxi"
include "binding/checksum.pxi"
include "binding/cache.pxi"
include "binding/entry_cursor.pxi"
include "binding/table.pxi"
include "binding/table_writer.pxi"
include "binding/bytes.pxi"
include "binding/memtable.pxi"
include "binding/synced_file.pxi"
include "binding/log.pxi"
include "binding/view.pxi"
include "binding/merge.pxi"
include "binding/parts.pxi"
include "binding/sealed.pxi"
include "binding/timing.pxi"
include "binding/preparer.pxi"
include "binding/stand_in.pxi"
include "binding/gate.pxi"
include "binding/sync.pxi"

cdef class WriteBatch               # a store makes these, and they refer to it
cdef class Reader
cdef class Range
cdef class Scan
cdef class Column
cdef class Chunk
cdef class ChunkScan
cdef class Cursor
cdef class Snapshot

include "binding/writer.pxi"
include "binding/store.pxi"
include "binding/batch.pxi"
include "binding/scan.pxi"
include "binding/arrow.pxi"
include "binding/column.pxi"
include "binding/chunks.pxi"
include "binding/cursor.pxi"
include "binding/snapshot.pxi"

cdef class HashMoment
cdef class HashSorted               # a moment holds one

include "binding/data_file.pxi"
include "binding/data_builder.pxi"
include "binding/hash_keydir.pxi"
include "binding/hash_undo.pxi"
include "binding/hash_write.pxi"
include "binding/hash_batch.pxi"
include "binding/hash_load.pxi"
include "binding/hash_merge.pxi"
include "binding/hash_store.pxi"
include "binding/hash_gather.pxi"
include "binding/hash_moment.pxi"
include "binding/hash_rows.pxi"
