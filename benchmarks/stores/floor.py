"""Python's dict and sortedcontainers' SortedDict: not durable, not on disk, one process. The floor below which
no store of Python objects can go. What they hold are the caller's own objects: nothing is copied."""

import platform
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from stores.contract import Pair, Store

NOT_FOR_MEMORY = frozenset({"flush", "compact", "reopen", "recover", "fillsync", "fillsync-8threads"})
NEEDS_ORDER = frozenset({"seekrandom", "prefixscan", "ycsb-e"})


class Dict(Store):
    name, package, install = "dict", "builtins", ""
    lacks = NOT_FOR_MEMORY | NEEDS_ORDER

    def open(self) -> None:
        self.db: dict[bytes, bytes] = getattr(self, "db", {})
        self.put, self.get, self.delete = self.db.__setitem__, self.db.get, self.db.__delitem__

    @classmethod
    def version(cls) -> str:
        return platform.python_version()

    def describe(self) -> str:
        return "in memory, not durable, no order: its scans sort the keys first"

    def batch(self, pairs: Iterable[Pair]) -> None:
        self.db.update(pairs)

    def scan(self, reverse: bool = False) -> Iterator[Pair]:
        db = self.db
        return ((key, db[key]) for key in sorted(db, reverse=reverse))

    def keys(self) -> Iterator[bytes]:
        return iter(sorted(self.db))


class SortedDict(Dict):
    name, package, install = "sorteddict", "sortedcontainers", "pip install sortedcontainers"
    lacks = NOT_FOR_MEMORY

    def open(self) -> None:
        self.db = getattr(self, "db", None)
        if self.db is None:
            self.db = self.module.SortedDict()
        self.put, self.get, self.delete = self.db.__setitem__, self.db.get, self.db.__delitem__

    @classmethod
    def version(cls) -> str:
        return Store.version.__func__(cls)

    def describe(self) -> str:
        return "in memory, not durable"

    def scan(self, reverse: bool = False) -> Iterator[Pair]:
        db = self.db
        return ((key, db[key]) for key in (reversed(db) if reverse else db))

    def scan_all(self, reverse: bool = False) -> bytes:
        if reverse:
            return super().scan_all(reverse=True)
        for key, value in self.db.items():
            pass
        return key

    def keys(self) -> Iterator[bytes]:
        return iter(self.db)

    def seek_each(self, keys: Sequence[bytes], rows: int) -> Pair | None:
        row, db, iterate = None, self.db, self.db.irange
        for key in keys:
            for found in islice(iterate(key), rows):
                row = found, db[found]
        return row

    def prefix_each(self, prefixes: Sequence[bytes]) -> int:
        count, db, iterate = 0, self.db, self.db.irange
        for prefix in prefixes:
            for key in iterate(prefix):
                if not key.startswith(prefix):
                    break
                db[key]
                count += 1
        return count
