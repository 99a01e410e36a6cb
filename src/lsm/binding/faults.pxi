# Fault -> exception: the one place where what went wrong in the C parts becomes a Python error.
#
# `raise_fault(&fault, path)` never returns 0. `path` is the database directory; the fault's own file name is joined
# to it. Needs the GIL.
import errno as _errno
import os as _os

from lsm.core.fault cimport (
    FAULT_CORRUPT, FAULT_INVALID, FAULT_MEMORY, FAULT_SYSTEM, FAULT_UNSUPPORTED, Fault, fault_corrupt, fault_memory,
    fault_system,
)

from lsm.errors import (
    BusyError, ClosedError, CorruptionError, LockedError, StorageError, UnsupportedError, VersionError,
)

cdef dict _ADVICE = {
    _errno.ENOSPC: "make room on the device, then write again",
    _errno.EDQUOT: "raise the quota or make room, then write again",
    _errno.EMFILE: "this process has too many open files: raise `ulimit -n` or close some",
    _errno.ENFILE: "the system has too many open files: close some",
    _errno.EACCES: "give this user permission to read and write the directory and its files",
    _errno.EPERM: "give this user permission to read and write the directory and its files",
    _errno.EROFS: "open with read_only=True, or make the file system writable",
    _errno.EIO: "the device failed: check the system log, then close and open again",
    _errno.ENOTDIR: "the path names a file: give a directory",
    _errno.ELOOP: "symbolic links are not followed within a database: put the file itself there",
    _errno.EISDIR: "a directory lies where a file belongs: put the file itself there",
    _errno.ENXIO: "what lies there is no regular file: put the file itself there",
    _errno.EFBIG: "the file size limit of the process or file system was met: raise it",
}



class MissingFileError(StorageError, FileNotFoundError):
    """A StorageError with ENOENT, for those who catch by the built-in name."""


class NoDirectoryError(StorageError, NotADirectoryError):
    """A StorageError with ENOTDIR."""


class NoPermissionError(StorageError, PermissionError):
    """A StorageError with EACCES, EPERM or EROFS."""


class FileThereError(StorageError, FileExistsError):
    """A StorageError with EEXIST."""


cdef dict _BY_ERRNO = {
    _errno.ENOENT: MissingFileError,
    _errno.ENOTDIR: NoDirectoryError,
    _errno.EACCES: NoPermissionError,
    _errno.EPERM: NoPermissionError,
    _errno.EROFS: NoPermissionError,
    _errno.EEXIST: FileThereError,
}


cdef object _storage_error(Fault *fault, where):
    what = fault.detail.decode("utf-8", "replace")
    text = _os.strerror(fault.error)
    if what:
        text = f"{what}: {text}"
    advice = _ADVICE.get(fault.error)
    if advice is not None:
        text = f"{text}; {advice}"
    return _BY_ERRNO.get(fault.error, StorageError)(fault.error, text, where)


cdef object error_of_fault(Fault *fault, path):
    """The exception, made and not raised: for the first error that is kept and shown later."""
    name = fault.file.decode("utf-8", "replace")
    where = _os.path.join(path, name) if name else path
    detail = fault.detail.decode("utf-8", "replace")
    if fault.kind == FAULT_SYSTEM:
        return _storage_error(fault, where)
    if fault.kind == FAULT_CORRUPT:
        return CorruptionError(where, fault.offset, detail)
    if fault.kind == FAULT_MEMORY:
        return MemoryError(detail)
    if fault.kind == FAULT_UNSUPPORTED:
        return (VersionError if detail.startswith("format version") else UnsupportedError)(detail, where)
    if fault.kind == FAULT_INVALID:
        return ValueError(detail)
    return SystemError(f"a C part failed without saying why ({where}): please report this")


cdef int raise_fault(Fault *fault, path) except -1:
    """Lack of memory is a MemoryError, whoever had none: the core or the system."""
    if fault.kind == FAULT_SYSTEM and fault.error == _errno.ENOMEM:
        raise MemoryError(fault.detail.decode("utf-8", "replace"))
    raise error_of_fault(fault, path)


cdef int raise_lasting(Fault *fault, path) except -1:
    """For a failed sync of the directory."""
    error = error_of_fault(fault, path)
    error.lasting = True
    raise error


cdef int raise_system(int error, path, str name, str doing) except -1:
    """For callers of Env functions, which answer an errno."""
    cdef Fault fault
    cdef bytes file = name.encode("utf-8", "surrogateescape")
    cdef bytes detail = doing.encode()
    if error == _errno.ENODATA:
        fault_corrupt(&fault, file, 0, b"the file ends before its expected end")
    elif error == _errno.ENOMEM:
        fault_memory(&fault)
    else:
        fault_system(&fault, file, error, detail)
    return raise_fault(&fault, path)
