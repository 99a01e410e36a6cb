"""The hashlog engine on a simulated disk: as crash_engine.py and fault_engine.py, whose oracle it keeps."""
from crash_engine import Run, same_identity
from fault_engine import FaultyRun
from lsm.engines.hashlog.database import HashLog

SMALL = {"file_bytes": 4096, "block_cache_bytes": 1 << 16, "merge_dead_ratio": 0.4}


def open_on(directory, options=SMALL, background=False):
    with same_identity():
        return HashLog(directory.path, _directory=directory, _background=background, **options)


class HashRun(Run):
    open_on = staticmethod(open_on)

    def __init__(self, options=SMALL, **keywords):
        super().__init__(options, **keywords)


class FaultyHashRun(FaultyRun):
    open_on = staticmethod(open_on)

    def __init__(self, options=SMALL, **keywords):
        super().__init__(options, **keywords)
