"""The contenders by name. A new one is a file with a class, and a line here."""

from stores.contract import MIB, Budget, MissingStore, Store
from stores.dbm import Dbm
from stores.diskcache import Diskcache
from stores.floor import Dict, SortedDict
from stores.lmdb import Lmdb
from stores.lsm import ENGINE_RECORDS, Lsm, engine_names, engine_store
from stores.plyvel import Plyvel
from stores.rocksdict import Rocksdict
from stores.sqlite import Sqlite

__all__ = ["ENGINE_RECORDS", "MIB", "Budget", "MissingStore", "PEERS", "STORES", "Store", "engine_names", "store_names", "store_type"]

STORES: dict[str, type[Store]] = {
    store.name: store
    for store in (Lsm, Plyvel, Rocksdict, Lmdb, Sqlite, Diskcache, Dbm, Dict, SortedDict)
}
PEERS = ("plyvel", "rocksdict")  # the other LSM trees: a goal is against the faster of them


def store_names() -> list[str]:
    return [*STORES, *(name for name in engine_names() if name not in STORES)]


def store_type(name: str) -> type[Store]:
    found = STORES.get(name) or engine_store(name)
    if found is None:
        raise MissingStore(f"no store is called {name!r}; there are {', '.join(store_names())}")
    return found
