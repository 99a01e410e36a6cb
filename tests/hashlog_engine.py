"""The hashlog engine on a simulated disk: as crash_engine.py and fault_engine.py, whose oracle it keeps."""
import os

from crash_engine import Run
from fault_engine import FaultyRun
from lsm.engines.hashlog.database import HashLog

SMALL = {"file_bytes": 4096, "block_cache_bytes": 1 << 16, "merge_dead_ratio": 0.4}


def open_on(directory, options=SMALL, background=False):
    """Open the database; one that is made here has the same identity in every run."""
    genuine, os.urandom = os.urandom, lambda size: b"Z" * size
    try:
        return HashLog(directory.path, _directory=directory, _background=background, **options)
    finally:
        os.urandom = genuine


class HashRun(Run):
    open_on = staticmethod(open_on)

    def __init__(self, options=SMALL, **keywords):
        super().__init__(options, **keywords)


class FaultyHashRun(FaultyRun):
    open_on = staticmethod(open_on)

    def __init__(self, options=SMALL, **keywords):
        super().__init__(options, **keywords)
