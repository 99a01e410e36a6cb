"""Directory: the storage layer (docs/storage.md). Every byte and every name that must outlive the process passes here.

One directory, held open by its descriptor, so that nothing can be led out of it: names hold no slash, symbolic links
are not followed, and nothing but regular files is opened. A new directory is private (0700), files in it are 0644 under
the umask. What is created, renamed, linked or removed is durable after `sync`; a failed sync is final, as in file.py.

The rest of the core asks of a directory only what is here, so that another one may take its place: tests put the
simulated disk of the compiled core behind these names.

Threads: a Directory may be shared.
"""
from __future__ import annotations

import contextlib
import errno
import fcntl
import io
import os
import stat
import time
from typing import Any

from lsm._pycore.faults import discard, of_system, storage_error
from lsm._pycore.file import File, sync_descriptor
from lsm.errors import ClosedError, CorruptionError, LockedError, StorageError

NAME_BYTES_MAX = 63
READ = os.O_RDONLY
CREATE = os.O_RDWR | os.O_CREAT | os.O_EXCL
ALWAYS = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK      # not to hang on a pipe in the place of a file


class Directory:
    """Directory(path, create=False, read_only=False): one directory of files, by plain names."""

    def __init__(self, path: str | os.PathLike[str], create: bool = False, read_only: bool = False,
                 mapped: bool = False) -> None:
        """`mapped` is for the compiled core, which maps its logs into memory."""
        self._descriptor = -1
        self._lock: io.FileIO | None = None     # a file, which closes itself wherever a signal's handler raises
        self._lock_owner = 0
        self._read_only = read_only
        self._sync_error: int | None = None
        self.path = os.fsdecode(path)
        if "\0" in self.path:
            raise ValueError(f"path {path!r} holds a zero byte: give a path the system can have")
        try:
            if create and not read_only:
                self._make()
            self._descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            if create and not read_only:
                self._sync_parent()
        except OSError as error:
            raise of_system(error, self.path, "opening the directory") from None

    def _make(self) -> None:
        try:
            os.mkdir(self.path, 0o700)
        except FileExistsError:
            pass

    def _sync_parent(self) -> None:
        """The directory's own name. A parent that may not be read cannot be synced, and is not ours to refuse."""
        try:
            parent = os.open("..", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=self._descriptor)
        except PermissionError:
            return
        try:
            os.fsync(parent)
        except OSError as error:
            if error.errno not in (errno.EROFS, errno.EINVAL):
                raise
        finally:
            os.close(parent)

    def __del__(self) -> None:
        self.close()

    def __enter__(self) -> Directory:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.path!r}{', closed' if self._descriptor < 0 else ''})"

    # ------------------------------------------------------------ names

    def _opened(self, *names: str) -> int:
        """The descriptor, with the names checked that are to be used in it."""
        if self._descriptor < 0:
            raise ClosedError(f"the directory {self.path!r} is closed: open it again")
        for name in names:
            if not 1 <= len(os.fsencode(name)) <= NAME_BYTES_MAX or name in (".", "..") or set(name) & {"/", "\0"}:
                raise ValueError(f"{name!r} in {self.path!r}: give a plain name (1 to 63 bytes, no slash)")
        return self._descriptor

    def _changing(self, *names: str) -> int:
        descriptor = self._opened(*names)
        if self._read_only:
            raise storage_error(errno.EROFS, os.path.join(self.path, *names[:1]), "changing a directory opened to be read")
        return descriptor

    def _refused(self, error: OSError, name: str, doing: str) -> StorageError:
        if error.errno == errno.EBADF:
            self._opened()                  # closed meanwhile?
        return of_system(error, os.path.join(self.path, name), doing)

    def list(self) -> list[str]:
        """The names, sorted."""
        try:
            return sorted(os.listdir(self._opened()))
        except OSError as error:
            raise self._refused(error, "", "listing the directory") from None

    def rename(self, old: str, new: str) -> None:
        """Give `old` the name `new`, atomically replacing what bore it."""
        here = self._changing(old, new)
        try:
            os.rename(old, new, src_dir_fd=here, dst_dir_fd=here)
        except OSError as error:
            raise self._refused(error, old, f"renaming to {new}") from None

    def unlink(self, name: str) -> None:
        """Remove the file `name`; a missing one is a StorageError with ENOENT."""
        try:
            os.unlink(name, dir_fd=self._changing(name))
        except OSError as error:
            raise self._refused(error, name, "removing") from None

    def link(self, name: str, target: Directory) -> None:
        """Give the file `name` the same name in `target` too (a hard link: no bytes are copied)."""
        try:
            os.link(name, name, src_dir_fd=self._opened(name), dst_dir_fd=target._changing(name), follow_symlinks=False)
        except OSError as error:
            raise self._refused(error, name, f"linking into {target.path}") from None

    def sync(self) -> None:
        """Make durable which names there are. A failure is final: later calls raise it again."""
        descriptor = self._opened()
        if self._sync_error is None:
            try:
                os.fsync(descriptor)
            except OSError as error:
                if error.errno == errno.EINVAL:     # a file system that cannot sync directories keeps their order
                    return
                self._sync_error = error.errno or errno.EIO
        if self._sync_error is not None:
            refused = storage_error(self._sync_error, self.path, "syncing the directory")
            refused.lasting = True
            raise refused

    # ------------------------------------------------------------ files

    def _open(self, name: str, how: int, doing: str) -> File:
        here = self._opened(name) if how == READ else self._changing(name)
        try:
            descriptor = os.open(name, how | ALWAYS, 0o644, dir_fd=here)
        except OSError as error:
            raise self._refused(error, name, doing) from None
        try:
            status = os.fstat(descriptor)
        except OSError as error:                # of a file system that was shut down
            os.close(descriptor)
            raise self._refused(error, name, doing) from None
        file = File(os.path.join(self.path, name), descriptor, status.st_size)
        if not stat.S_ISREG(status.st_mode):
            wrong = errno.EISDIR if stat.S_ISDIR(status.st_mode) else errno.ENXIO
            raise storage_error(wrong, file.path, doing)
        return file

    def open_to_read(self, name: str) -> Any:
        return self._open(name, READ, "opening")

    def append_to(self, name: str) -> Any:
        """A new file, to be written from the first byte to the last; a file of that name is an error."""
        return self._open(name, CREATE, "creating")

    def create(self, name: str, data: bytes) -> None:
        """Make the whole file `name` of `data` and make its bytes durable (its name: `sync`). Nothing is left of it when
        this fails; a file of that name is an error."""
        file = self.append_to(name)
        try:
            file.append(bytes(data))
            file.sync()
            file.close()
        except BaseException:
            discard(self, name)
            raise

    def read(self, name: str, limit: int = 1 << 28) -> bytes:
        """The whole file. One larger than `limit` bytes is a CorruptionError: nothing is allocated for it."""
        file = self.open_to_read(name)
        if file.size > limit:
            raise CorruptionError(file.path, 0, f"{file.size} bytes where at most {limit} belong")
        return file.read(0, file.size)      # type: ignore[no-any-return]

    def size(self, name: str) -> int:
        """Bytes of the file `name`."""
        return self.open_to_read(name).size     # type: ignore[no-any-return]

    def exists(self, name: str) -> bool:
        """Is there a file of that name? Anything but a clear no (permission, I/O error) is raised."""
        try:
            self.open_to_read(name)
        except FileNotFoundError:
            return False
        return True

    def truncate(self, name: str, size: int) -> None:
        """Cut the file `name` to its first `size` bytes and make that durable."""
        self._changing(name)
        file = self._open(name, os.O_RDWR, "truncating")
        if not 0 <= size <= file.size:
            raise ValueError(f"truncating {name!r} in {self.path!r} to {size} bytes: it has {file.size}")
        try:
            os.ftruncate(file._descriptor, size)
            sync_descriptor(file._descriptor)
        except OSError as error:
            raise self._refused(error, name, "truncating") from None

    # ------------------------------------------------------------ lock, clock, end

    def lock(self, name: str = "LOCK") -> None:
        """Hold the directory for this process until `unlock` or its end; LockedError names who holds it."""
        if self._lock is not None:
            raise LockedError(self.path, self._lock_owner)
        here = self._changing(name)
        try:
            file = io.FileIO(os.open(name, os.O_RDWR | os.O_CREAT | ALWAYS, 0o644, dir_fd=here), "r+")
        except OSError as error:
            raise self._refused(error, name, "locking") from None
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = b""
            with contextlib.suppress(OSError):
                holder = os.pread(file.fileno(), 32, 0).strip()
            file.close()
            if error.errno == errno.EWOULDBLOCK:
                raise LockedError(self.path, int(holder) if holder.isdigit() else 0) from None
            raise self._refused(error, name, "locking") from None
        self._lock, self._lock_owner = file, os.getpid()
        try:                                # for people; a full disk must not prevent an open
            file.truncate(0)
            os.pwrite(file.fileno(), b"%d\n" % self._lock_owner, 0)
        except OSError:
            pass

    def unlock(self) -> None:
        """Give the lock back; without one, nothing."""
        file, self._lock = self._lock, None
        if file is not None:
            if self._lock_owner == os.getpid():
                with contextlib.suppress(OSError):      # on a file system that turned read-only; the name in it is for people
                    file.truncate(0)
                fcntl.flock(file, fcntl.LOCK_UN)
            file.close()

    def after_fork_in_child(self) -> None:
        """In the child of a fork: let go of the parent's lock without releasing it, and refuse to change anything."""
        self._read_only = True
        file, self._lock = self._lock, None
        if file is not None:
            file.close()

    def now(self) -> int:
        """Microseconds since 1970 by this directory's clock."""
        return time.time_ns() // 1000

    def close(self) -> None:
        """Give back the lock and the descriptor. Later use raises ClosedError; closing again does nothing."""
        self.unlock()
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)
