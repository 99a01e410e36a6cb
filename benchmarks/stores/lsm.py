"""This project's engines: the compiled LSM tree, and by `engine_store` any other that lsm.open knows.

Nothing but the defaults is measured. The cache differs from them in the states whose point it is (cached,
disk, cold), the memtable in fillsustained, the compression with --compression none, and there only the compiled engine is told so.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from types import ModuleType

from stores.contract import Budget, MissingStore, Pair, Store

ENGINE_RECORDS = 50_000  # what is stored when the engines are held against each other
SLOW_ENGINES = {"pylsm": ENGINE_RECORDS}  # engine: records it is given at most
KEYWORDS = {"btree": {"lazy_sync": True}}  # engine: what makes it survive kill -9 and not wait for the disk, as the others

LACKS = {"memory": ("fillsync", "reopen", "recover")}  # engine: what means nothing to it


class Lsm(Store):
    name, package, engine = "lsm", "lsm", "lsm"
    install = "`pip install .` in the checkout builds it"

    @classmethod
    def load_package(cls) -> ModuleType:
        lsm = super().load_package()
        if not hasattr(lsm, "open"):
            raise MissingStore(
                "the module `lsm` found here has no lsm.open: it is another distribution (lsm, lsm-db) or a "
                "checkout that is not built; `pip install .` in the checkout, in an environment of its own"
            )
        return lsm

    @classmethod
    def version(cls) -> str:
        return getattr(cls.load_package(), "__version__", "version unknown")

    def keywords(self) -> dict:
        chosen, defaults = {}, Budget()
        if self.budget.compression == "none":
            chosen["compression"] = "none"
        if self.budget.cache_bytes != defaults.cache_bytes:
            chosen["block_cache_bytes"] = self.budget.cache_bytes
        if self.budget.memtable_bytes != defaults.memtable_bytes:
            chosen["memtable_bytes"] = self.budget.memtable_bytes
        return chosen

    def open(self) -> None:
        self.db = db = self.module.open(self.path, engine=self.engine, **self.keywords())
        self.put, self.get, self.delete, self.multi_get = db.put, db.get, db.delete, db.multi_get
        self.write_many, self.flush, self.compact, self.scan = db.write_many, db.flush, db.compact, db.scan
        if self.budget.sync:
            self.put = partial(db.put, sync=True)
        self.compression = getattr(getattr(db, "options", None), "compression", "none")

    def close(self) -> None:
        self.db.close()

    def write_amplification(self) -> float | None:
        return getattr(self.db.stats(), "write_amplification", None)

    def batch(self, pairs: Iterable[Pair]) -> None:
        with self.db.write_batch() as batch:
            put = batch.put
            for key, value in pairs:
                put(key, value)

    def keys(self) -> Iterator[bytes]:
        return self.db.scan(values=False)

    def chunks(self) -> Iterator[Sequence]:
        return self.db.scan_chunks()

    def seek_each(self, keys: Sequence[bytes], rows: int) -> Pair | None:
        row, scan = None, self.scan
        for key in keys:
            for row in scan(start=key, limit=rows):
                pass
        return row

    def prefix_each(self, prefixes: Sequence[bytes]) -> int:
        count, scan = 0, self.db.scan
        for prefix in prefixes:
            for key, value in scan(prefix=prefix):
                count += 1
        return count


class Kept(Lsm):
    """An engine whose data are gone on close: it stays open through what is a reopening for others."""

    def open(self) -> None:
        if not hasattr(self, "db"):
            super().open()

    def close(self) -> None: ...


def engine_store(name: str) -> type[Store] | None:
    """The store of another engine of this project; None when lsm.open knows no engine of that name."""
    if name not in engine_names():
        return None
    most = SLOW_ENGINES.get(name)
    members = {"name": name, "engine": name, "keywords": lambda self: KEYWORDS.get(name, {}),
               "most_writes": most, "most_records": most, "lacks": frozenset(LACKS.get(name, ()))}  # fmt: skip
    return type(name.capitalize(), (Kept if name == "memory" else Lsm,), members)


def engine_names() -> list[str]:
    try:
        Lsm.load_package()
        from lsm.registry import ENGINES
    except (MissingStore, ImportError):
        return []
    return list(ENGINES)
