"""PyDB: the log-structured merge-tree with the core in plain Python: the same tree, the same files, no C.

A database of the engine "lsm" opens with it, and the other way round. What it is for: docs/engine-pylsm.md.
"""
from __future__ import annotations

import os
import weakref
from types import MappingProxyType, ModuleType
from typing import Any, ClassVar

from lsm import _chosen, _pycore
from lsm.contract.engine import Engine
from lsm.contract.traits import Traits
from lsm.tree.database import Database

SLOW = MappingProxyType({
    "put": "some tens of microseconds, most of them for the checksum of the log's record",
    "get": "some microseconds from memory, about a hundred where a block has to be read",
    "scan": "a microsecond or two for each row",
})

_plain_caches: weakref.WeakKeyDictionary[Any, _pycore.BlockCache] = weakref.WeakKeyDictionary()


def plain_cache(given: Any) -> Any:
    """The cores cannot share blocks: for an `lsm.BlockCache` of the compiled one stands one of ours, of the same size, the
    same for all databases of this engine that are given it."""
    if isinstance(given, _chosen.core.BlockCache) and not isinstance(given, _pycore.BlockCache):
        return _plain_caches.setdefault(given, _pycore.BlockCache(given.capacity))
    return given


class PyDB(Database, _pycore.Store, Engine):    # type: ignore[misc, override]  # typed as over the compiled one
    __doc__ = Database.__doc__
    core: ClassVar[ModuleType] = _pycore
    traits: ClassVar[Traits] = Traits("pylsm", weak=SLOW)

    def __init__(self, path: str | os.PathLike[str], *, block_cache: Any = None, **how: Any) -> None:
        super().__init__(path, block_cache=plain_cache(block_cache), **how)
