"""LMDB by lmdb. It has no call for one put: a write transaction is begun and committed for each.

`writemap` with `sync=False` is its quickest way that still outlives a killed process, as every other store
here does by its log; after a power loss the whole file may be unusable, where a log loses its last writes.
It has neither memtable nor cache nor compression: the file is mapped, the page cache is the cache. Reads are
in one read transaction a loop, `buffers=False` (bytes, as from the others); a get between writes (mixed
workloads) begins its own, since an older one would not see them.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from stores.contract import Pair, Store

MAP_BYTES = 1 << 38  # the most the file may grow to: address space, not memory


class Lmdb(Store):
    name = package = "lmdb"
    install = "pip install '.[bench]' in the checkout"
    lacks = frozenset({"flush", "compact"})

    def open(self) -> None:
        sync = self.budget.sync
        self.env = self.module.open(self.path, map_size=MAP_BYTES, sync=sync, writemap=not sync)
        self.begin = self.env.begin

    def describe(self) -> str:
        return (
            "no compression, no cache of its own; writemap, sync=False; a write transaction for each single "
            "put, a read transaction for each loop of reads; multiget by getmulti, write_many by putmulti"
        )

    def close(self) -> None:
        self.env.close()

    def put(self, key: bytes, value: bytes) -> None:
        transaction = self.begin(write=True)
        transaction.put(key, value)
        transaction.commit()

    def get(self, key: bytes) -> bytes | None:
        with self.begin() as transaction:
            return transaction.get(key)

    def put_each(self, keys: Sequence[bytes], values: Sequence[bytes]) -> None:
        begin = self.begin
        for key, value in zip(keys, values):
            transaction = begin(write=True)
            transaction.put(key, value)
            transaction.commit()

    def delete_each(self, keys: Sequence[bytes]) -> None:
        begin = self.begin
        for key in keys:
            transaction = begin(write=True)
            transaction.delete(key)
            transaction.commit()

    def get_each(self, keys: Sequence[bytes]) -> None:
        with self.begin() as transaction:
            get = transaction.get
            for key in keys:
                get(key)

    def multi_get(self, keys: list[bytes]) -> list[bytes | None]:
        with self.begin() as transaction:
            found = dict(transaction.cursor().getmulti(keys))
        return [found.get(key) for key in keys]

    def multi_get_each(self, key_lists: Sequence[list[bytes]]) -> None:
        with self.begin() as transaction:
            getmulti = transaction.cursor().getmulti
            for keys in key_lists:
                getmulti(keys)

    def batch(self, pairs: Iterable[Pair]) -> None:
        with self.begin(write=True) as transaction:
            put = transaction.put
            for key, value in pairs:
                put(key, value)

    def write_many(self, pairs: Sequence[Pair]) -> None:
        with self.begin(write=True) as transaction:
            transaction.cursor().putmulti(pairs)

    def scan(self, reverse: bool = False) -> Iterator[Pair]:
        with self.begin() as transaction:
            cursor = transaction.cursor()
            yield from (cursor.iterprev() if reverse else cursor.iternext())

    def keys(self) -> Iterator[bytes]:
        with self.begin() as transaction:
            yield from transaction.cursor().iternext(values=False)

    def scan_all(self, reverse: bool = False) -> bytes:
        with self.begin() as transaction:
            cursor = transaction.cursor()
            for key, value in cursor.iterprev() if reverse else cursor.iternext():
                pass
        return key

    def keys_all(self) -> bytes:
        with self.begin() as transaction:
            for key in transaction.cursor().iternext(values=False):
                pass
        return key

    def chunks_all(self) -> int:
        count = 0
        with self.begin() as transaction:
            rows = transaction.cursor().iternext()
            while chunk := list(islice(rows, 1024)):
                count += len(chunk)
        return count

    def seek_each(self, keys: Sequence[bytes], rows: int) -> Pair | None:
        row = None
        with self.begin() as transaction:
            cursor = transaction.cursor()
            seek, iterate = cursor.set_range, cursor.iternext
            for key in keys:
                if seek(key):
                    for row in islice(iterate(), rows):
                        pass
        return row

    def prefix_each(self, prefixes: Sequence[bytes]) -> int:
        count = 0
        with self.begin() as transaction:
            cursor = transaction.cursor()
            seek, iterate = cursor.set_range, cursor.iternext
            for prefix in prefixes:
                if seek(prefix):
                    for key, value in iterate():
                        if not key.startswith(prefix):
                            break
                        count += 1
        return count
