"""PyDB: the log-structured merge-tree with the core in plain Python: the same tree, the same files, no C.

A database of the engine "lsm" opens with it, and the other way round. What it is for: docs/engine-pylsm.md.
"""
from __future__ import annotations

from types import MappingProxyType, ModuleType
from typing import ClassVar

from lsm import _pycore
from lsm.contract.engine import Engine
from lsm.contract.traits import Traits
from lsm.tree.database import Database

SLOW = MappingProxyType({"put": "tens of microseconds, of Python", "get": "some microseconds in memory, a hundred and more "
                         "where a block has to be read", "scan": "a microsecond or two for each row"})


class PyDB(Database, _pycore.Store, Engine):    # type: ignore[misc, override]  # typed as over the compiled one
    __doc__ = Database.__doc__
    core: ClassVar[ModuleType] = _pycore
    traits: ClassVar[Traits] = Traits("pylsm", weak=SLOW)
