# cython: language_level=3
"""Env: the storage layer. Every byte and every name that must outlive the process passes through these functions.

An Env is one directory. Names are plain file names within it, never paths. There are two implementations: the
operating system (posix.pxd), and a directory in memory that journals every operation, fails on demand, and from which
every state a crash may leave can be rebuilt (simulated.pxd). Nothing above this file calls the operating system to
store anything.

Every function answers 0 or an errno (a positive number). What is promised when:

- `open` of mode MODE_CREATE makes an empty file and fails with EEXIST when there is one; the name is durable only
  after `sync_directory`. MODE_LOG is MODE_CREATE for a file that will be filled through `reserve`/`commit`.
- `reserve(file, size, &at)` answers where the next `size` bytes of the file are to be built; ENOSPC and every other
  refusal happens here or in `commit`, as a return code, and leaves the file as it was. `commit(file, size)` makes
  these bytes part of the file: from then on they survive the death of the process. Between the two, nothing else may
  be done to that file. `size` at commit may be less than reserved.
- `append` is reserve, copy, commit. One writer a file.
- `pread` reads exactly `size` bytes, or answers ENODATA when the file ends before.
- `sync` makes the file's bytes and size durable (fdatasync). After a failed sync nothing about the file is known, and
  no later sync may be believed.
- `sync_directory` makes names durable: created, renamed, linked, removed.
- `rename` replaces its target atomically. `unlink` answers ENOENT when there is nothing.
- `prepare(file)` makes ready, ahead of the writer and beside it, what its next `reserve` may need. It is work of a
  preparer (preparer.pxd), which `reserve` asks for it when the file has one: `file.preparer`. What it cannot do it leaves to
  `reserve`. NULL in an Env that has nothing to prepare.
- `close` frees the File whatever it answers. A log's unused, preallocated tail stays in the file: `truncate` first.

Owner: the opener owns a File and closes it; an Env outlives its Files.
Threads: pread, sync and the directory functions may be called from any thread at once; append, reserve, commit and
truncate of one file from one thread at a time, beside which a sync and a prepare of the same file may run.
"""
from libc.stdint cimport uint8_t, uint64_t

from lsm.core.preparer cimport Preparer


cdef enum:
    ENV_NAME_BYTES = 64


cdef enum OpenMode:
    MODE_READ = 0
    MODE_CREATE = 1
    MODE_LOG = 2


cdef struct Env
cdef struct File

# called by `list` once a name; a non-zero answer stops the listing and is passed on
ctypedef int (*env_name_function)(void *argument, const char *name) noexcept nogil

cdef struct File:
    Env *env
    uint64_t size           # bytes committed (a file opened for reading: its size when opened)
    void *state             # the implementation's own
    Preparer *preparer      # to be asked for `prepare`, or NULL
    char name[ENV_NAME_BYTES]

cdef struct Env:
    void *state
    int (*open)(Env *env, const char *name, int mode, File **file) noexcept nogil
    int (*close)(File *file) noexcept nogil
    int (*pread)(File *file, uint64_t offset, void *to, size_t size) noexcept nogil
    int (*append)(File *file, const void *data, size_t size) noexcept nogil
    int (*reserve)(File *file, size_t size, uint8_t **at) noexcept nogil
    int (*commit)(File *file, size_t size) noexcept nogil
    bint (*prepare)(void *file) noexcept nogil                              # or NULL
    int (*sync)(File *file) noexcept nogil
    int (*truncate)(File *file, uint64_t size) noexcept nogil
    int (*rename)(Env *env, const char *old, const char *new) noexcept nogil
    int (*unlink)(Env *env, const char *name) noexcept nogil
    int (*link)(Env *env, const char *name, Env *target) noexcept nogil     # hard link into another directory
    int (*sync_directory)(Env *env) noexcept nogil
    int (*list)(Env *env, env_name_function each, void *argument) noexcept nogil
    int (*lock)(Env *env, const char *name, int *holder) noexcept nogil     # EWOULDBLOCK: `holder` is its pid or 0
    int (*unlock)(Env *env) noexcept nogil
    uint64_t (*now)(Env *env) noexcept nogil                                # microseconds since 1970, coarse
    void (*destroy)(Env *env) noexcept nogil
