"""What a real process did to the files of a directory: recorder.c built and preloaded, its log told as the journal of a simulated
disk, so that tests/crash.py makes of it every state that a power cut may leave.

Recording processes are forked by a nursery (rig/nursery.py) that has the recorder preloaded; in it these functions reach the
recorder through ctypes. Inodes are numbered anew: a name made again is another file.
"""
import ctypes
import functools
import os
import shutil
import struct
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

from lsm._core import Operation
from rig.tally import Skipped

SOURCE = Path(__file__).with_name("recorder.c")
KINDS = ("open", "close", "write", "truncate", "allocate", "sync", "rename", "unlink", "link", "sync_directory", "mark", "read",
         "mapped", "stream")
ENTRY = struct.Struct("<IiiIQQHHHH")


@functools.cache
def library():
    """The path of the recorder, built by the system's compiler."""
    return compiled(SOURCE, tempfile.mkdtemp(prefix="lsm-recorder-"))


def compiled(source, place):
    """A library to preload, built in `place`."""
    if not sys.platform.startswith("linux"):
        raise Skipped("what is preloaded is for Linux")
    compiler = (os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc").split()
    if shutil.which(compiler[0]) is None:
        raise Skipped(f"this needs a C compiler ({compiler[0]})")
    built = Path(place) / f"{source.stem}.so"
    subprocess.run([*compiler, "-shared", "-fPIC", "-O1", "-o", str(built), str(source), "-ldl", "-lpthread"], check=True)
    return built


class Recorder:
    """The recorder preloaded in this process."""

    def __init__(self):
        self.calls = ctypes.CDLL(None)
        self.calls.recorder_steps.restype = ctypes.c_uint64
        self.calls.recorder_mark.argtypes = [ctypes.c_char_p, ctypes.c_uint64]
        self.calls.recorder_start.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_int, ctypes.c_long, ctypes.c_int,
                                              ctypes.c_int]

    def start(self, directory, log, error=0, after=-1, kind=None, sticky=False):
        """Record from now on; the call after the next `after` (of that kind) fails with `error`."""
        number = -1 if kind is None else KINDS.index(kind)
        self.calls.recorder_start(os.fsencode(directory), os.fsencode(log), number, after, error, sticky)

    def mark(self, name, value):
        self.calls.recorder_mark(name.encode(), value)

    def heal(self):
        self.calls.recorder_heal()

    @property
    def steps(self):
        return self.calls.recorder_steps()


def entries(log):
    """(kind, result, fd, flags, offset, name, other, caller, data) of each entry."""
    data, at = Path(log).read_bytes(), 0
    while at + ENTRY.size <= len(data):
        kind, result, fd, flags, offset, size, *lengths, _ = ENTRY.unpack_from(data, at)
        at += ENTRY.size
        texts = []
        for length in lengths:
            texts.append(os.fsdecode(data[at:at + length]))
            at += length
        yield KINDS[kind], result, fd, flags, offset, *texts, data[at:at + size]
        at += size


def journal(log, initial=None):
    """The log as operations of a simulated disk whose directory held `initial`, {name: bytes}, at first."""
    told, names, open_, count = [], {}, {}, 0

    def add(kind, name="", node=0, offset=0, data=b"", other="", result=0):
        told.append(Operation(kind, result, 0, name, node, offset, data, other))

    for name, data in sorted((initial or {}).items()):
        names[name] = count = count + 1
        add("initial", name, count, 0, data)
    for kind, result, fd, flags, offset, name, other, _, data in entries(log):
        if kind == "open":
            if flags & 1 or name not in names:
                names[name] = count = count + 1
                add("create", name, count)
            elif flags & 2:
                add("truncate", name, names[name], 0)
            open_[fd] = names[name], name
        elif kind == "close":
            open_.pop(fd, None)
        elif kind == "mark":
            add("mark", name, offset=offset)
        elif kind == "sync_directory":
            add(kind, result=result)
        elif kind == "rename" and name and other:
            names[other] = names.pop(name)
            add(kind, name, names[other], other=other)
        elif kind == "unlink" and name in names:
            add(kind, name, names.pop(name))
        elif kind == "link" and name and other:
            names[other] = names[name]
            add(kind, other, names[other], other=name)
        elif fd in open_ and kind in ("write", "sync", "truncate", "allocate"):
            node, opened = open_[fd]
            add("append" if kind == "write" else kind, opened, node, offset, data, result=result)
    return told


def unseen(log):
    """Ways round the record: streams, and files mapped to be written; {name}."""
    opened, found = {}, set()
    for kind, _, fd, _, _, name, *_ in entries(log):
        if kind == "open":
            opened[fd] = name
        elif kind == "mapped":
            found.add(opened.get(fd, "?"))
        elif kind == "stream":
            found.add(name)
    return found
