"""Salvaged: what `lsm.salvage` tells. Immutable; prints as some lines."""
from __future__ import annotations

from dataclasses import dataclass

from lsm.errors import CorruptionError

Range = tuple[bytes, bytes]
SHOWN = 20              # ranges of keys that are printed; all are kept


@dataclass(frozen=True)
class Salvaged:
    """What was rescued of a damaged database, and what was not; true, and `ok`, when nothing at all was damaged.

    rows, bytes     written into the new database: rows, and bytes of their keys and values
    damage          a CorruptionError (path, offset, detail, keys) for each damaged stretch, by file and offset; where `keys` is
                    None no row is lost by it
    doubtful        rows that may be stale: a damaged stretch may have held a newer value of their key, or its deletion
    doubtful_keys   between which keys these lay: the first and the last of each run of them
    kept_doubtful   were they written too?
    notes           what else had to be decided
    """

    rows: int
    bytes: int
    damage: tuple[CorruptionError, ...] = ()
    doubtful: int = 0
    doubtful_keys: tuple[Range, ...] = ()
    kept_doubtful: bool = True
    notes: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Was nothing damaged?"""
        return not self.damage

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        lines = [f"{self.rows:,} rows of {self.bytes:,} bytes rescued"]
        for error in self.damage:
            concerned = error.range()
            lines.append(f"  {error.path}: byte {error.offset}: {error.detail}: "
                         + (f"lost: {concerned}" if concerned else "no row is lost by it"))
        if self.doubtful:
            lines.append(f"{self.doubtful:,} {'of these' if self.kept_doubtful else 'more'} may be stale, or may have been deleted"
                         + (":" if self.kept_doubtful else ", and were left out:"))
            lines += [f"  {first!r} to {last!r}" for first, last in self.doubtful_keys[:SHOWN]]
            if len(self.doubtful_keys) > SHOWN:
                lines.append(f"  and {len(self.doubtful_keys) - SHOWN:,} more ranges")
        return "\n".join(lines + list(self.notes)) + ("\nnothing was damaged" if self.ok else "")
