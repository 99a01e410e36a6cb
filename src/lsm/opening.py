"""Opening: what is checked of the arguments before anything is touched, and how files are read that a writer may be replacing.

Threads: no state.
"""
from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any, TypeVar

from lsm.errors import CorruptionError, StorageError

READ_ONLY_TRIES = 5         # a writer may replace what a reader is just about to open
RETRY_SECONDS = 0.01

Kind = TypeVar("Kind")
Answer = TypeVar("Answer")


def check_lock_timeout(lock_timeout: object) -> None:
    """Raise TypeError or ValueError when it is no number of seconds."""
    if isinstance(lock_timeout, bool) or not isinstance(lock_timeout, (int, float)):
        raise TypeError(f"lock_timeout is a number of seconds, not {type(lock_timeout).__name__}")
    if not 0 <= lock_timeout < float("inf"):
        raise ValueError(f"lock_timeout is a number of seconds from 0, not {lock_timeout!r}")


def check_arguments(core: ModuleType, kind: type[Kind], block_cache: object, options: object,
                    keywords: Mapping[str, Any]) -> Kind:
    """Raise TypeError or OptionError when these cannot be meant: `kind` is the class of the engine's options. Answers the options
    that are given, before those that are stored are known."""
    if block_cache is not None and not isinstance(block_cache, core.BlockCache):
        raise TypeError(f"block_cache is an lsm.BlockCache, not {type(block_cache).__name__}: "
                        "for a cache of one's own give block_cache_bytes=")
    if options is not None and not isinstance(options, kind):
        raise TypeError(f"options is of {kind.__module__}.{kind.__name__}, not {type(options).__name__}: "
                        f"give its fields as keywords, or options={kind.__name__}(...)")
    given: Kind = kind.from_keywords(options, **keywords)       # type: ignore[attr-defined]  # of all classes of options
    if options is not None and keywords:
        raise TypeError(f"give options= or its fields as keywords, not both: {', '.join(keywords)}")
    return given


def read_beside_a_writer(read: Callable[[], Answer]) -> Answer:
    """What `read` answers. It is asked again when it raises: a writer may have been replacing just the files it needed."""
    for _ in range(READ_ONLY_TRIES - 1):
        try:
            return read()
        except (CorruptionError, StorageError):
            time.sleep(RETRY_SECONDS)
    return read()
