"""The stores that are compared, each behind the same few operations.

A Store gives its own bound methods for what is timed (`put`, `get`, `delete`): no frame of ours stands
between the loop and the store. Everything else (opening with the stated budgets, compaction, sizes) goes
through methods here.

Invariants: every store gets the memtable, cache, block and filter budgets of `Budget`, writes its log on
every put and does not fsync; what differs (compression, and what a binding lacks) is told by `describe`. A
new contender is one class and one line in STORES.
"""

import importlib
import importlib.metadata
import platform
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from types import ModuleType

MIB = 1 << 20
Pair = tuple[bytes, bytes]


@dataclass(frozen=True)
class Budget:
    """The defaults of lsm.Options, given to every store."""

    memtable_bytes: int = 64 * MIB
    cache_bytes: int = 64 * MIB
    block_bytes: int = 4096
    bloom_bits: int = 10
    compression: str = "default"  # "default": lz4, and snappy where the binding has no lz4 · "none"


class MissingStore(Exception):
    """The package of a store is not installed, or not built; the message says what to install."""


class Store:
    name: str
    package: str
    put: Callable[[bytes, bytes], object]
    get: Callable[[bytes], bytes | None]
    delete: Callable[[bytes], object]

    install: str

    def __init__(self, path: str, budget: Budget) -> None:
        self.path, self.budget, self.module = path, budget, self.load_package()
        self.open()

    @classmethod
    def load_package(cls) -> ModuleType | None:
        """Import the store's package; MissingStore says what to install."""
        try:
            return importlib.import_module(cls.name)
        except ImportError as error:
            raise MissingStore(f"{cls.name} cannot be imported ({error}): {cls.install}") from None

    def open(self) -> None: ...
    def close(self) -> None: ...
    def compact(self) -> None: ...
    def batch(self, pairs: Iterable[Pair]) -> None: ...

    def describe(self) -> str:
        return ""

    def scan(self, reverse: bool = False) -> Iterator[Pair]:
        raise NotImplementedError

    def multi_get(self, keys: list[bytes]) -> list[bytes | None]:
        return list(map(self.get, keys))

    @classmethod
    def version(cls) -> str:
        try:
            return importlib.metadata.version(cls.package)
        except importlib.metadata.PackageNotFoundError:
            return "version unknown"


class Lsm(Store):
    name, package = "lsm", "lsmkv"
    install = "`pip install .` in the checkout builds it"

    @classmethod
    def load_package(cls) -> ModuleType | None:
        lsm = super().load_package()
        if not hasattr(lsm, "open"):
            raise MissingStore(
                "the module `lsm` found here has no lsm.open: it is another distribution (lsm, lsm-db) or a "
                "checkout that is not built; `pip install .` in the checkout, in an environment of its own"
            )
        return lsm

    def open(self) -> None:
        # Nothing but the defaults is measured; only --compression none departs from them.
        chosen = {"compression": "none"} if self.budget.compression == "none" else {}
        self.db = self.module.open(self.path, **chosen)
        self.put, self.get, self.delete = self.db.put, self.db.get, self.db.delete
        self.multi_get = self.db.multi_get

    def describe(self) -> str:
        return f"compression {self.db.options.compression}"

    def close(self) -> None:
        self.db.close()

    def compact(self) -> None:
        self.db.compact()

    def batch(self, pairs: Iterable[Pair]) -> None:
        with self.db.write_batch() as batch:
            put = batch.put
            for key, value in pairs:
                put(key, value)

    def scan(self, reverse: bool = False) -> Iterator[Pair]:
        return self.db.scan(reverse=reverse)


class Plyvel(Store):
    name, package = "plyvel", "plyvel"
    install = "pip install 'lsmkv[bench]' (plyvel 1.5.1, which has wheels up to Python 3.12)"

    def open(self) -> None:
        budget = self.budget
        self.compression = None if budget.compression == "none" else "snappy"
        self.db = self.module.DB(
            self.path,
            create_if_missing=True,
            write_buffer_size=budget.memtable_bytes,
            lru_cache_size=budget.cache_bytes,
            block_size=budget.block_bytes,
            bloom_filter_bits=budget.bloom_bits,
            compression=self.compression,
        )
        self.put, self.get, self.delete = self.db.put, self.db.get, self.db.delete

    def describe(self) -> str:
        return f"compression {self.compression or 'none'} (no lz4 in the binding), multi_get loops over get"

    def close(self) -> None:
        self.db.close()

    def compact(self) -> None:
        self.db.compact_range()

    def batch(self, pairs: Iterable[Pair]) -> None:
        with self.db.write_batch() as batch:
            put = batch.put
            for key, value in pairs:
                put(key, value)

    def scan(self, reverse: bool = False) -> Iterator[Pair]:
        return self.db.iterator(reverse=reverse)


class Rocksdict(Store):
    name, package = "rocksdict", "rocksdict"
    install = "pip install 'lsmkv[bench]' (rocksdict 0.3.29)"

    def open(self) -> None:
        budget, rocksdict = self.budget, self.module
        options = rocksdict.Options(raw_mode=True)
        options.create_if_missing(True)
        options.set_write_buffer_size(budget.memtable_bytes)
        self.compression = "none" if budget.compression == "none" else "lz4"
        options.set_compression_type(getattr(rocksdict.DBCompressionType, self.compression)())
        table = rocksdict.BlockBasedOptions()
        table.set_block_size(budget.block_bytes)
        table.set_block_cache(rocksdict.Cache(budget.cache_bytes))
        table.set_bloom_filter(budget.bloom_bits, False)
        options.set_block_based_table_factory(table)
        # Without column_families, reopening drops the table options: a cache of 8 MiB and no filter in use.
        # https://github.com/quixio/quix-streams/issues/1136
        self.db = rocksdict.Rdict(self.path, options, column_families={"default": options})
        given = self.db.property_value("rocksdb.block-cache-capacity")
        assert given == str(budget.cache_bytes), f"rocksdict opened with a block cache of {given} bytes"
        self.put, self.get, self.delete = self.db.put, self.db.get, self.db.delete
        self.multi_get = self.db.get  # given a list, it answers a list

    def describe(self) -> str:
        return f"compression {self.compression}, raw_mode"

    def close(self) -> None:
        self.db.close()

    def compact(self) -> None:
        self.db.flush()
        self.db.compact_range(None, None)

    def batch(self, pairs: Iterable[Pair]) -> None:
        batch = self.module.WriteBatch(raw_mode=True)
        put = batch.put
        for key, value in pairs:
            put(key, value)
        self.db.write(batch)

    def scan(self, reverse: bool = False) -> Iterator[Pair]:
        return self.db.items(backwards=reverse)


class Dict(Store):
    """Python's dict: not durable, not on disk. The floor below which no store of Python objects can go."""

    name, package = "dict", "python"

    @classmethod
    def load_package(cls) -> ModuleType | None:
        return None

    def open(self) -> None:
        self.db: dict[bytes, bytes] = getattr(self, "db", {})
        self.put, self.get, self.delete = self.db.__setitem__, self.db.get, self.db.__delitem__

    def describe(self) -> str:
        return "in memory; its scan sorts the keys first"

    def batch(self, pairs: Iterable[Pair]) -> None:
        self.db.update(pairs)

    def scan(self, reverse: bool = False) -> Iterator[Pair]:
        db = self.db
        return ((key, db[key]) for key in sorted(db, reverse=reverse))

    @classmethod
    def version(cls) -> str:
        return platform.python_version()


STORES: dict[str, type[Store]] = {store.name: store for store in (Lsm, Plyvel, Rocksdict, Dict)}
PEERS = ("plyvel", "rocksdict")
