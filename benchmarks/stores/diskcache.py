"""diskcache: a cache on SQLite with a row of book-keeping for each key. Eviction is off, and values stay in the
database whatever their size up to 1 MiB. One transaction for each call; some ten times as slow as the others, so
it is given fewer records. Its iterator of keys is in order; it cannot be started at a key."""

from collections.abc import Iterable, Iterator

from stores.contract import Pair, Store


class Diskcache(Store):
    name = package = "diskcache"
    install = "pip install '.[bench]' in the checkout"
    lacks = frozenset({"flush", "compact", "seekrandom", "prefixscan", "ycsb-e"})
    most_writes = most_records = 20_000

    def open(self) -> None:
        self.db = self.module.Cache(
            self.path,
            eviction_policy="none",
            size_limit=1 << 50,
            cull_limit=0,
            disk_min_file_size=1 << 20,
            sqlite_synchronous=2 if self.budget.sync else 0,
            sqlite_cache_size=max(1, self.budget.cache_bytes // 4096),
            sqlite_mmap_size=0,
        )
        self.put, self.get, self.delete = self.db.set, self.db.get, self.db.delete

    def describe(self) -> str:
        return "no compression; SQLite inside, synchronous OFF (FULL in fillsync), no eviction; fewer records (*)"

    def close(self) -> None:
        self.db.close()

    def batch(self, pairs: Iterable[Pair]) -> None:
        put = self.put
        with self.db.transact():
            for key, value in pairs:
                put(key, value)

    def scan(self, reverse: bool = False) -> Iterator[Pair]:
        db = self.db
        return ((key, db[key]) for key in db.iterkeys(reverse=reverse))

    def keys(self) -> Iterator[bytes]:
        return self.db.iterkeys()
