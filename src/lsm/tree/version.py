"""Version: which tables hold the database on disk, level by level, at one moment.

Invariants (all of them asserted by `check`; `edit` checks the version it makes):
1. Level 0 is sorted newest first. Two of its tables may overlap in keys; then all of the newer one was
   written after all of the older one.
2. Every deeper level is one sorted run: key ranges ascending and disjoint. A user key never straddles two
   tables.
3. For any key, a shallower level holds newer writes than a deeper one. Metadata cannot show this; every edit
   must keep it, and `lsm.tree.compaction.choice.validate` refuses those that would not.
4. A table number occurs once.

Immutable: readers and the background thread hold one as long as they like, and never lock. Deterministic, no
I/O.

A broken invariant, or an edit of what is not there, is a ValueError: a mistake of this program, not of
its user.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields

LEVELS = 7
KEY_BYTES_MAX = 65_535  # as in core/key.pxd
SEQUENCE_MAX = (1 << 56) - 1


@dataclass(frozen=True)
class TableMeta:
    """What the tree knows of a table without opening it. `smallest` and `largest` are user keys, both
    inclusive."""

    number: int
    size: int  # bytes of the file
    entries: int  # tombstones included
    tombstones: int
    smallest: bytes
    largest: bytes
    min_sequence: int
    max_sequence: int
    crc: int  # CRC32C of the whole file
    key_bytes: int
    value_bytes: int
    created: int  # microseconds since 1970; a merge passes on the newest of its inputs

    @property
    def name(self) -> str:
        return f"{self.number:06d}.table"

    def overlaps(self, smallest: bytes, largest: bytes) -> bool:
        return self.smallest <= largest and smallest <= self.largest

    def check(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if type(value) is not (bytes if field.name in ("smallest", "largest") else int):
                raise ValueError(f"table {self.number}: {field.name} has type {type(value).__name__}")
            if type(value) is int and not 0 <= value < 1 << 63:
                raise ValueError(f"table {self.number}: {field.name}={value} is out of range")
        for wrong, text in (
            (self.number < 1, "numbers start at 1"),
            (self.size < 1, "an empty file"),
            (self.entries < 1, "no entries"),
            (self.tombstones > self.entries, "more tombstones than entries"),
            (self.smallest > self.largest, "its smallest key is above its largest"),
            (max(len(self.smallest), len(self.largest)) > KEY_BYTES_MAX, "a key over the limit"),
            (self.min_sequence > self.max_sequence, "its smallest sequence is above its largest"),
            (self.max_sequence > SEQUENCE_MAX, "a sequence over the limit"),
            (self.crc > 0xFFFFFFFF, "a checksum of more than 32 bits"),
        ):
            if wrong:
                raise ValueError(f"table {self.number}: {text}")


def _newest_first(table: TableMeta) -> tuple[int, int]:
    return -table.max_sequence, -table.number


def _smallest(table: TableMeta) -> bytes:
    return table.smallest


def _largest(table: TableMeta) -> bytes:
    return table.largest


def hull(tables: Iterable[TableMeta]) -> tuple[bytes, bytes]:
    """The smallest and the largest key of all these tables (at least one)."""
    held = tuple(tables)
    return min(map(_smallest, held)), max(map(_largest, held))


@dataclass(frozen=True)
class Version:
    """The live tables: `levels[0]` newest first, each deeper level by ascending keys."""

    levels: tuple[tuple[TableMeta, ...], ...]

    @classmethod
    def empty(cls, levels: int = LEVELS) -> Version:
        return cls(((),) * levels)

    def tables(self) -> Iterator[TableMeta]:
        """All tables, level by level."""
        for level in self.levels:
            yield from level

    def table_count(self, level: int | None = None) -> int:
        return sum(map(len, self.levels)) if level is None else len(self.levels[level])

    def level_bytes(self, level: int) -> int:
        return sum(table.size for table in self.levels[level])

    def total_bytes(self) -> int:
        return sum(table.size for table in self.tables())

    def level_of(self, number: int) -> int | None:
        for level, tables in enumerate(self.levels):
            if any(table.number == number for table in tables):
                return level
        return None

    def find(self, key: bytes, level: int) -> TableMeta | None:
        """The table of a level >= 1 that would hold the key."""
        tables = self.levels[level]
        at = bisect_left(tables, key, key=_largest)
        return tables[at] if at < len(tables) and tables[at].smallest <= key else None

    def overlapping(self, level: int, smallest: bytes, largest: bytes) -> tuple[TableMeta, ...]:
        """The tables of a level with keys in [smallest, largest], in the level's order."""
        tables = self.levels[level]
        if level == 0:
            return tuple(table for table in tables if table.overlaps(smallest, largest))
        return tables[
            bisect_left(tables, smallest, key=_largest) : bisect_right(tables, largest, key=_smallest)
        ]

    def deeper_has_overlap(self, level: int, smallest: bytes, largest: bytes) -> bool:
        """Whether any level below this one has a table reaching into [smallest, largest]."""
        return any(
            self.overlapping(deeper, smallest, largest) for deeper in range(level + 1, len(self.levels))
        )

    def edit(self, add: Iterable[tuple[int, TableMeta]] = (), remove: Iterable[int] = ()) -> Version:
        """The version without the tables numbered `remove` and with `add` in their places. To move is to do
        both."""
        gone = set(remove)
        missing = gone - {table.number for table in self.tables()}
        if missing:
            raise ValueError(f"tables {sorted(missing)} are to be removed but are not in the version")
        levels = [[table for table in level if table.number not in gone] for level in self.levels]
        for level, table in add:
            if not 0 <= level < len(levels):
                raise ValueError(f"table {table.number} is to be added to level {level} of {len(levels)}")
            levels[level].append(table)
        levels[0].sort(key=_newest_first)
        for deeper in levels[1:]:
            deeper.sort(key=_smallest)
        version = Version(tuple(map(tuple, levels)))
        version.check()
        return version

    def check(self) -> None:
        """Raise ValueError, with the tables concerned, when an invariant does not hold."""
        if not self.levels:
            raise ValueError("a version has at least one level")
        seen: set[int] = set()
        for table in self.tables():
            table.check()
            if table.number in seen:
                raise ValueError(f"table {table.number} occurs twice\n{self}")
            seen.add(table.number)
        self._check_recency()
        for level, tables in enumerate(self.levels[1:], 1):
            for left, right in zip(tables, tables[1:], strict=False):
                if left.largest >= right.smallest:
                    raise ValueError(
                        f"level {level}: tables {left.number} and {right.number} are not in order or "
                        f"overlap: {left.largest!r} >= {right.smallest!r}\n{self}"
                    )

    def _check_recency(self) -> None:
        tables = self.levels[0]
        for newer, older in zip(tables, tables[1:], strict=False):
            if _newest_first(newer) > _newest_first(older):
                raise ValueError(
                    f"level 0: table {older.number} is newer than {newer.number}, which comes "
                    f"before it\n{self}"
                )
        for i, newer in enumerate(tables):
            for older in tables[i + 1 :]:
                if older.max_sequence < newer.min_sequence:
                    break  # so are all that follow
                if older.overlaps(newer.smallest, newer.largest):
                    raise ValueError(
                        f"level 0: tables {newer.number} and {older.number} overlap in keys and in "
                        f"sequences\n{self}"
                    )

    def __str__(self) -> str:
        lines = []
        for level, tables in enumerate(self.levels):
            for t in tables:
                lines.append(
                    f"  level {level}: {t.name} {t.smallest[:20]!r}..{t.largest[:20]!r} {t.entries} entries, "
                    f"{t.size} bytes, sequences {t.min_sequence}..{t.max_sequence}"
                )
        return "\n".join(lines) or "  (no tables)"
