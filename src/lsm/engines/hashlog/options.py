"""Options of a hashlog: one frozen dataclass, checked when made, stored in HASHLOG. Immutable, so threads may share it."""
from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lsm.errors import OptionError, OptionNameError

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
RANGES = {
    "file_bytes": (4 * KIB, 1 * GIB, "bytes"),
    "block_cache_bytes": (0, 1024 * GIB, "bytes"),
}


@dataclass(frozen=True)
class HashLogOptions:
    """How a hashlog is laid out and run; give the same names to `lsm.open(..., engine="hashlog")` as keywords.

    file_bytes          a data file that has reached this is closed and another begun (bytes)
    merge_dead_ratio    a closed file is merged when this share of it is overwritten or deleted
    block_cache_bytes   memory for pages of data files (bytes; 0: none)

    >>> HashLogOptions(merge_dead_ratio=2)
    Traceback (most recent call last):
    lsm.errors.OptionError: option merge_dead_ratio=2 is not possible: give a number above 0 up to 1
    """

    file_bytes: int = 64 * MIB
    merge_dead_ratio: float = 0.5
    block_cache_bytes: int = 64 * MIB

    def __post_init__(self) -> None:
        for name, (least, most, unit) in RANGES.items():
            value = getattr(self, name)
            if type(value) is not int or not least <= value <= most:
                raise OptionError(name, value, f"a whole number from {least} to {most} {unit}")
        ratio = self.merge_dead_ratio
        if type(ratio) not in (int, float) or not 0 < ratio <= 1:
            raise OptionError("merge_dead_ratio", ratio, "a number above 0 up to 1")

    @classmethod
    def from_keywords(cls, stored: HashLogOptions | None, **keywords: Any) -> HashLogOptions:
        """The stored options (or the defaults) with `keywords` over them."""
        known = [f.name for f in dataclasses.fields(cls)]
        for name in keywords:
            if name not in known:
                near = difflib.get_close_matches(name, known, 1, 0.5)
                raise OptionNameError(name, near[0] if near else None, engine="hashlog")
        return dataclasses.replace(stored or cls(), **keywords)

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> HashLogOptions:
        """From `dataclasses.asdict`. Raises OptionError or OptionNameError when it is none."""
        for name in (f.name for f in dataclasses.fields(cls)):
            if name not in plain:
                raise OptionError(name, None, "a value: the stored options must name them all")
        return cls.from_keywords(None, **plain)
