"""The standard library's dbm, by whatever backend this Python has: gnu, ndbm, sqlite3 (from 3.13) or dumb. It says
which. A hash table on disk without order: its scans sort the keys first. It promises nothing after a kill, is not for
several threads, and `dumb` keeps all keys in memory: fewer records, and no workload of threads, syncs or recovery."""

import dbm
import os
from collections.abc import Iterable, Iterator

from stores.contract import Pair, Store


class Dbm(Store):
    name, package, install = "dbm", "dbm", "a Python with the module dbm"
    lacks = frozenset("flush compact recover fillsync fillsync-8threads seekrandom prefixscan ycsb-e "
                      "readrandom-2threads readwhilewriting readwhilewriting-flatout".split())  # fmt: skip
    most_writes = most_records = 10_000

    def open(self) -> None:
        os.makedirs(self.path, exist_ok=True)
        self.db = dbm.open(os.path.join(self.path, "data"), "c")
        self.put, self.delete = self.db.__setitem__, self.db.__delitem__
        self.get = self.db.get

    @classmethod
    def version(cls) -> str:
        return f"backend {dbm._defaultmod.__name__}" if getattr(dbm, "_defaultmod", None) else "backend not known yet"

    def describe(self) -> str:
        return "in no order (scans sort the keys), no compression, no promise after a kill; fewer records (*)"

    def close(self) -> None:
        self.db.close()

    def batch(self, pairs: Iterable[Pair]) -> None:
        put = self.put
        for key, value in pairs:
            put(key, value)

    def scan(self, reverse: bool = False) -> Iterator[Pair]:
        db = self.db
        return ((key, db[key]) for key in sorted(db.keys(), reverse=reverse))

    def keys(self) -> Iterator[bytes]:
        return iter(sorted(self.db.keys()))
