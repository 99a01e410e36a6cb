"""Options of a database: one frozen dataclass, checked when made, stored in the manifest.

Invariant: an Options that exists has every value within its range. What was stored with the database holds at
the next open, except for the keywords given there. Whether this build can compress as asked is checked apart,
by `from_keywords`, since a manifest must be readable by a build that lacks a compression.

Immutable, so threads may share it.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from lsm._chosen import core
from lsm.errors import OptionError, OptionNameError, UnsupportedError

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
COMPRESSIONS = ("none", "lz4", "zstd")
COMPACTIONS = ("leveled", "tiered", "fifo")
BUILT_IN_POLICIES = "lsm.tree.compaction."

# option: least, most, unit
RANGES = {
    "memtable_bytes": (4 * KIB, 4 * GIB, "bytes"),
    "block_cache_bytes": (0, 1024 * GIB, "bytes"),
    "block_bytes": (64, 1 * MIB, "bytes"),
    "restart_interval": (1, 1024, "entries"),
    "bloom_bits_per_key": (0, 32, "bits"),
    "table_bytes": (4 * KIB, 16 * GIB, "bytes"),
    "slowdown_tables": (2, 10_000, "tables"),
    "stop_tables": (3, 20_000, "tables"),
}


def available_compressions() -> frozenset[str]:
    """What this build can compress and decompress."""
    return frozenset(core.compressions)


def default_compression() -> str:
    return "lz4" if "lz4" in available_compressions() else "none"


@dataclass(frozen=True)
class StoredPolicy:
    """A compaction policy as the manifest remembers it: a built-in one by name and parameters, another by its
    class."""

    name: str
    parameters: tuple[tuple[str, Any], ...] = ()

    @classmethod
    def of(cls, policy: object) -> StoredPolicy:
        kind = type(policy)
        if kind.__module__.startswith(BUILT_IN_POLICIES) and dataclasses.is_dataclass(policy):
            parameters = {f.name: getattr(policy, f.name) for f in dataclasses.fields(policy)}
            return cls(kind.__name__.lower(), tuple(sorted(parameters.items())))
        return cls(f"{kind.__module__}.{kind.__qualname__}")


@dataclass(frozen=True)
class Options:
    """How a database is laid out and run. Give it to `lsm.open(options=...)`, or give the same names as
    keywords.

    memtable_bytes      memory of one memtable; when full it becomes a table of level 0 (bytes)
    block_cache_bytes   memory for blocks read from tables (bytes; 0: no cache)
    block_bytes         aim for a data block before compression: what one read fetches (bytes)
    restart_interval    entries of a block between two full keys: less is faster to search, more is smaller
    bloom_bits_per_key  filter of a table: 10 bits spare 99 of 100 reads for keys that are absent (0: none)
    compression         of data blocks: "none", "lz4", "zstd" (lz4 where this build has it)
    last_level_compression  the same for tables under which nothing older lies (None: as `compression`)
    compaction          "leveled", "tiered", "fifo", or a policy object (docs/policies.md)
    table_bytes         aim for a table written by a merge (bytes)
    slowdown_tables     tables of level 0 at which writers are slowed
    stop_tables         tables of level 0 at which writers wait

    >>> Options(memtable_bytes=1 << 20).memtable_bytes
    1048576
    >>> Options(block_bytes=3)
    Traceback (most recent call last):
    lsm.errors.OptionError: option block_bytes=3 is not possible: give a whole number from 64 to 1048576 bytes
    >>> Options.from_keywords(None, blok_bytes=4096)
    Traceback (most recent call last):
    lsm.errors.OptionNameError: there is no option 'blok_bytes': did you mean 'block_bytes'?
    """

    memtable_bytes: int = 64 * MIB
    block_cache_bytes: int = 64 * MIB
    block_bytes: int = 4096
    restart_interval: int = 16
    bloom_bits_per_key: int = 10
    compression: str = field(default_factory=default_compression)
    last_level_compression: str | None = None
    compaction: Any = "leveled"
    table_bytes: int = 64 * MIB
    slowdown_tables: int = 12
    stop_tables: int = 24

    def __post_init__(self) -> None:
        for name, (least, most, unit) in RANGES.items():
            value = getattr(self, name)
            if type(value) is not int or not least <= value <= most:
                raise OptionError(name, value, f"a whole number from {least} to {most} {unit}")
        if self.stop_tables <= self.slowdown_tables:
            raise OptionError(
                "stop_tables", self.stop_tables, f"more than slowdown_tables={self.slowdown_tables}"
            )
        if self.compression not in COMPRESSIONS:
            raise OptionError("compression", self.compression, "one of " + ", ".join(map(repr, COMPRESSIONS)))
        if self.last_level_compression not in (None, *COMPRESSIONS):
            raise OptionError(
                "last_level_compression",
                self.last_level_compression,
                "None or one of " + ", ".join(map(repr, COMPRESSIONS)),
            )
        self._check_compaction()

    def _check_compaction(self) -> None:
        policy = self.compaction
        usable = (
            policy in COMPACTIONS
            if isinstance(policy, str)
            else (
                isinstance(policy, StoredPolicy)
                or (not isinstance(policy, type) and callable(getattr(policy, "choose", None)))
            )
        )
        if not usable:
            raise OptionError(
                "compaction",
                policy,
                "one of "
                + ", ".join(map(repr, COMPACTIONS))
                + ", or an object with a method choose(version, options)",
            )

    def check_available(self, available: Collection[str] | None = None) -> None:
        """Refuse a compression that this build lacks (`available`: what it has; asked of the core when
        None)."""
        have = available_compressions() if available is None else available
        for name in ("compression", "last_level_compression"):
            wanted = getattr(self, name)
            if wanted is not None and wanted not in have:
                raise UnsupportedError(
                    f"option {name}={wanted!r} needs a build of lsm with {wanted}; this one has "
                    f"{', '.join(sorted(have))}: install one that has it, or give {name}='none'"
                )

    @classmethod
    def from_keywords(cls, stored: Options | None, **keywords: Any) -> Options:
        """The stored options (or the defaults) with `keywords` over them, for which this build has what is
        needed."""
        known = [f.name for f in dataclasses.fields(cls)]
        for name in keywords:
            if name not in known:
                near = difflib.get_close_matches(name, known, 1, 0.5)
                raise OptionNameError(name, near[0] if near else None)
        options = dataclasses.replace(stored, **keywords) if stored is not None else cls(**keywords)
        options.check_available()
        return options

    def to_json(self) -> dict[str, Any]:
        """Everything, as JSON can say it. A policy object is kept by name: see StoredPolicy."""
        plain = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        policy = self.compaction
        if not isinstance(policy, str):
            stored = policy if isinstance(policy, StoredPolicy) else StoredPolicy.of(policy)
            plain["compaction"] = {"name": stored.name, "parameters": dict(stored.parameters)}
        return plain

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> Options:
        """The options `to_json` described; OptionError or OptionNameError when they are not such a
        description."""
        known = {f.name for f in dataclasses.fields(cls)}
        for name in plain:
            if name not in known:
                raise OptionNameError(name)
        for name in sorted(known - set(plain)):
            raise OptionError(name, None, "a value: the stored options must name them all")
        values = dict(plain)
        policy = values["compaction"]
        if not isinstance(policy, str):
            values["compaction"] = _stored_policy(policy)
        return cls(**values)


def _stored_policy(plain: Any) -> StoredPolicy:
    shaped = isinstance(plain, dict) and set(plain) == {"name", "parameters"}
    if (
        not shaped
        or not isinstance(plain["name"], str)
        or not isinstance(plain["parameters"], dict)
        or any(type(v) not in (int, float, str, bool, type(None)) for v in plain["parameters"].values())
    ):
        raise OptionError("compaction", plain, "a stored policy: its name and its parameters")
    return StoredPolicy(plain["name"], tuple(sorted(plain["parameters"].items())))
