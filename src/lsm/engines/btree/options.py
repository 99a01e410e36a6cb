"""Options of a btree: what may be given with opening beside what every engine takes. Nothing of it is stored: pure functions."""
from __future__ import annotations

from typing import Any

from lsm.errors import OptionError, OptionNameError
from lsm.opening import check_lock_timeout

MAP_BYTES = 1 << 40                     # address space, not memory or disk; less where the system refuses that
MAP_BYTES_LEAST = 1 << 20


def check(lock_timeout: object, lazy_sync: object, others: dict[str, Any]) -> None:
    """Raise TypeError, ValueError, OptionError or OptionNameError when these cannot be meant: before anything is touched."""
    for name in others:
        raise OptionNameError(name, "lazy_sync" if "sync" in name else None, "btree")
    check_lock_timeout(lock_timeout)
    if not isinstance(lazy_sync, bool):
        raise OptionError("lazy_sync", lazy_sync, "True or False")
