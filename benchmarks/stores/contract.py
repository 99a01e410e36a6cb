"""What a contender of the benchmark gives: its own bound methods, and loops over them.

A `Store` opens one database of one library with the budgets it is given. `put`, `get`, `delete` and
`multi_get` are the library's own bound methods, and the `..._each` loops call them with nothing of ours in
between; a store whose library has another idiom (a transaction around a put, an iterator that is moved)
writes the loop out in its own file, so that no frame of ours stands there either.

Invariants: budgets are those of `Budget` for every store that has the notion; nothing is synced to the
device unless `Budget.sync`. A loop answers the last row it saw where it reads rows, for the check after it.
One thread, unless a workload says otherwise: then each thread works through the store `for_thread()` gives.
"""

import importlib
import importlib.metadata
from collections.abc import Callable, Iterable, Iterator, MutableSequence, Sequence
from dataclasses import dataclass
from itertools import islice
from time import perf_counter
from types import ModuleType

MIB = 1 << 20
Pair = tuple[bytes, bytes]
Mixed = tuple[bytes, bytes | None]
CHUNK_ROWS = 1024  # of a store that has rows only, when columns are asked for


@dataclass(frozen=True)
class Budget:
    """The defaults of lsm.Options, given to every store."""

    memtable_bytes: int = 64 * MIB
    cache_bytes: int = 64 * MIB
    block_bytes: int = 4096
    bloom_bits: int = 10
    compression: str = "default"  # "default": lz4, and snappy where the binding has no lz4 · "none"
    sync: bool = False  # every write reaches the device before its call returns


class MissingStore(Exception):
    """The package of a store is not installed, or not built; the message says what to install."""


class Store:
    name: str
    package: str
    install: str
    lacks: frozenset[str] = frozenset()  # workloads that mean nothing to it
    states: frozenset[str] | None = None  # the only states it is measured in; None: all
    most_writes: int | None = None  # records of one workload of writes: it is too slow for more
    most_records: int | None = None  # of a database that is filled to be read
    most_seeks: int | None = None  # of a workload of short ranges
    compression = "none"

    put: Callable[[bytes, bytes], object]
    get: Callable[[bytes], bytes | None]
    delete: Callable[[bytes], object]

    def __init__(self, path: str, budget: Budget) -> None:
        self.path, self.budget, self.module = path, budget, self.load_package()
        self.open()

    @classmethod
    def load_package(cls) -> ModuleType | None:
        """Import the store's package; MissingStore says what to install."""
        try:
            return importlib.import_module(cls.package)
        except ImportError as error:
            raise MissingStore(f"{cls.package} cannot be imported ({error}): {cls.install}") from None

    @classmethod
    def version(cls) -> str:
        try:
            return importlib.metadata.version(cls.package)
        except importlib.metadata.PackageNotFoundError:
            return "version unknown"

    def describe(self) -> str:
        return f"compression {self.compression}"

    def open(self) -> None: ...
    def close(self) -> None: ...
    def flush(self) -> None: ...
    def compact(self) -> None: ...

    def for_thread(self) -> "Store":
        return self

    def write_amplification(self) -> float | None:
        """As the store itself counts it, since it was opened."""
        return None

    def batch(self, pairs: Iterable[Pair]) -> None:
        raise NotImplementedError

    def write_many(self, pairs: Sequence[Pair]) -> None:
        self.batch(pairs)

    def multi_get(self, keys: list[bytes]) -> list[bytes | None]:
        return list(map(self.get, keys))

    def scan(self, reverse: bool = False) -> Iterator[Pair]:
        raise NotImplementedError

    def keys(self) -> Iterator[bytes]:
        raise NotImplementedError

    def chunks(self) -> Iterator[Sequence]:
        """All rows in chunks that have a length: the quickest way to many rows at once."""
        rows = self.scan()
        return iter(lambda: list(islice(rows, CHUNK_ROWS)), [])

    # The loops that are timed.

    def put_each(self, keys: Sequence[bytes], values: Sequence[bytes]) -> None:
        put = self.put
        for key, value in zip(keys, values):
            put(key, value)

    def get_each(self, keys: Sequence[bytes]) -> None:
        get = self.get
        for key in keys:
            get(key)

    def delete_each(self, keys: Sequence[bytes]) -> None:
        delete = self.delete
        for key in keys:
            delete(key)

    def batch_each(self, batches: Sequence[list[Pair]]) -> None:
        batch = self.batch
        for pairs in batches:
            batch(pairs)

    def write_many_each(self, batches: Sequence[list[Pair]]) -> None:
        write_many = self.write_many
        for pairs in batches:
            write_many(pairs)

    def multi_get_each(self, key_lists: Sequence[list[bytes]]) -> None:
        multi_get = self.multi_get
        for keys in key_lists:
            multi_get(keys)

    def scan_all(self, reverse: bool = False) -> bytes:
        for key, value in self.scan(reverse=reverse):
            pass
        return key

    def keys_all(self) -> bytes:
        for key in self.keys():
            pass
        return key

    def chunks_all(self) -> int:
        rows = 0
        for chunk in self.chunks():
            rows += len(chunk)
        return rows

    def seek_each(self, keys: Sequence[bytes], rows: int) -> Pair | None:
        """Seek each key and read `rows` rows from there; the last row read."""
        raise NotImplementedError

    def scan_from(self, key: bytes, rows: int) -> object:
        """Read `rows` rows from a key on, as of now."""
        return self.seek_each([key], rows)

    def put_each_timed(self, keys: Sequence[bytes], values: Sequence[bytes], ends: MutableSequence[float]) -> None:
        """put_each, and in `ends` the clock after each put."""
        put, place, clock = self.put, 0, perf_counter
        for key, value in zip(keys, values):
            put(key, value)
            ends[place] = clock()
            place += 1

    def mixed_each(self, operations: Sequence[Mixed]) -> None:
        """Of each (key, value): a get where value is None, a put of it else."""
        get, put = self.get, self.put
        for key, value in operations:
            if value is None:
                get(key)
            else:
                put(key, value)

    def modify_each(self, operations: Sequence[Mixed]) -> None:
        """Of each (key, value): a get, then a put of the value unless it is None."""
        get, put = self.get, self.put
        for key, value in operations:
            get(key)
            if value is not None:
                put(key, value)

    def scan_or_put_each(self, operations: Sequence[tuple[bytes, int | bytes]]) -> None:
        """Of each (key, how): a scan of so many rows where it is a number, a put of it else."""
        scan_from, put = self.scan_from, self.put
        for key, how in operations:
            if how.__class__ is int:
                scan_from(key, how)
            else:
                put(key, how)

    def prefix_each(self, prefixes: Sequence[bytes]) -> int:
        """Read all rows of each prefix; how many there were."""
        raise NotImplementedError
