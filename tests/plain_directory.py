"""The simulated disk of the compiled core behind what the plain core asks of a directory (lsm/_pycore/directory.py), so
that the tests of crashes and failures can drive both.

A table is put on the disk when it is synced: no crash can show one that is less, but for a torn one, which `create` may
leave like any other file. A log is appended to as by the compiled core, with its prepared tail.
"""
import os

from lsm import _core
from lsm.engines.pylsm import PyDB
from lsm.errors import ClosedError


class PlainDirectory:
    def __init__(self, inner):
        self.inner = inner

    def __getattr__(self, name):
        return getattr(self.inner, name)

    def append_to(self, name):
        return Gathered(self.inner, name) if name.endswith(".table") else self.inner.create_log(name)

    def open_to_read(self, name):
        return Read(self.inner, name)

    def link(self, name, target):
        self.inner.link(name, target.inner if isinstance(target, PlainDirectory) else target)


class Gathered:
    """A file being written, which is nowhere before it is synced."""

    def __init__(self, directory, name):
        self.directory, self.name, self.data = directory, name, b""

    def append(self, data):
        self.data += data

    def sync(self):
        self.directory.create(self.name, self.data)

    def close(self):
        pass


class Read:
    """A file opened to be read, from the disk as long as it is there."""

    def __init__(self, directory, name):
        self.directory, self.name = directory, name
        self.data = directory.read(name, limit=1 << 40)
        self.size = len(self.data)

    def read(self, offset, size):
        try:
            self.data = self.directory.read(self.name, limit=1 << 40)
        except (FileNotFoundError, ClosedError):
            pass                            # removed, or its directory closed: what is open goes on
        return self.data[offset:offset + size]

    def close(self):
        pass


class SimulatedPyDB(PyDB):
    """`lsm.DB` for who opens databases on simulated disks."""

    def __init__(self, path, _directory=None, **how):
        if isinstance(_directory, _core.Directory):
            _directory = PlainDirectory(_directory)
        super().__init__(os.fspath(path), _directory=_directory, **how)
