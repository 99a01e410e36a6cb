"""DB: the log-structured merge-tree, over the compiled core. What is C comes from its Store, the rest from tree/."""
from __future__ import annotations

from types import ModuleType
from typing import ClassVar

from lsm import _chosen
from lsm.contract.engine import Engine
from lsm.contract.traits import Traits
from lsm.tree.database import Database


class DB(Database, _chosen.core.Store, Engine):     # type: ignore[misc]  # its methods are C and have shapes of their own
    __doc__ = Database.__doc__
    core: ClassVar[ModuleType] = _chosen.core
    traits: ClassVar[Traits] = Traits("lsm")
