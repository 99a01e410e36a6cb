"""Choice: what a policy may ask for, and the check that it harms nothing.

A policy looks at a Version and answers one Choice. The executor validates it, does it, installs the next
version and asks again, until the answer is Nothing. `validate` holds whatever the policy, so that a wrong one
(a user's, or ours) gets a PolicyError and the database stays as it was. Invariant kept: for any key, what
stays shallower (or newer in level 0) is newer than what lies deeper, and a tombstone goes only when nothing
older can reappear.

Pure functions of immutable values; any thread.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol, TypeAlias, runtime_checkable

from lsm.errors import PolicyError
from lsm.options import Options
from lsm.tree.version import TableMeta, Version, hull


@dataclass(frozen=True)
class Nothing:
    """The version is as the policy wants it."""


@dataclass(frozen=True)
class Move:
    """Put tables into a deeper level as they are: only the manifest changes."""

    numbers: tuple[int, ...]
    from_level: int
    to_level: int


@dataclass(frozen=True)
class Merge:
    """Merge tables (of one level or several) into new ones in `output_level`.

    Into level 0 the output must be ONE table, whatever its size. The outputs' `created` is the newest of the
    inputs. `last_level`: nothing older than the inputs lies beneath their keys, so tombstones that no
    snapshot needs are dropped, and `last_level_compression` is used.
    """

    inputs: tuple[int, ...]
    output_level: int
    last_level: bool = False


@dataclass(frozen=True)
class Drop:
    """Forget tables and all that is in them."""

    numbers: tuple[int, ...]
    reason: str


Choice: TypeAlias = Nothing | Move | Merge | Drop
NOTHING = Nothing()


@runtime_checkable
class Policy(Protocol):
    """Decides what to compact next. Must be a pure function of its arguments: no clock, no I/O, no memory of
    its own.

    It must come to Nothing when its choices are carried out one after the other, and keep level 0 below
    `options.slowdown_tables`, or writers are slowed for ever.
    """

    def choose(self, version: Version, options: Options) -> Choice: ...


def older_tables(version: Version, table: TableMeta, level: int) -> list[tuple[int, TableMeta]]:
    """(level, table) of all that overlaps `table`, which lies in `level`, and may hold older writes of its
    keys."""
    older = [
        (deeper, other)
        for deeper in range(max(level, 0) + 1, len(version.levels))
        for other in version.overlapping(deeper, table.smallest, table.largest)
    ]
    if level == 0:
        older += [
            (0, other)
            for other in version.overlapping(0, table.smallest, table.largest)
            if other.max_sequence < table.min_sequence
        ]
    return older


def movable(version: Version) -> tuple[TableMeta, ...]:
    """The tables of level 0 that nothing older overlaps, in any level: keys written in ascending order give
    such."""
    return tuple(table for table in version.levels[0] if not older_tables(version, table, 0))


def is_last(version: Version, tables: Iterable[TableMeta], output_level: int) -> bool:
    """Whether nothing older than a merge of `tables` into `output_level` would remain beneath any of their
    keys."""
    held = tuple(tables)
    numbers = {table.number for table in held}
    smallest, largest = hull(held)
    beneath = [
        other
        for level in range(output_level + 1, len(version.levels))
        for other in version.overlapping(level, smallest, largest)
    ]
    if output_level == 0:
        newest = max(table.max_sequence for table in held)
        beneath += [t for t in version.overlapping(0, smallest, largest) if t.min_sequence <= newest]
    return all(other.number in numbers for other in beneath)


def merge(version: Version, tables: Iterable[TableMeta], output_level: int) -> Merge:
    """A Merge of these tables with `last_level` as it truly is."""
    held = tuple(tables)
    return Merge(tuple(table.number for table in held), output_level, is_last(version, held, output_level))


def merge_everything(version: Version, output_level: int | None = None) -> Merge | Nothing:
    """What `compact()` does: all tables into one sorted run in the deepest level in use (or in
    `output_level`)."""
    used = [level for level, tables in enumerate(version.levels) if tables]
    if not used:
        return NOTHING
    deepest = max(used[-1], 1)
    return merge(version, version.tables(), deepest if output_level is None else max(output_level, deepest))


def validate(version: Version, choice: Choice) -> None:
    """Raise PolicyError when carrying out `choice` on `version` could lose, resurrect or reorder a write."""
    if isinstance(choice, Nothing):
        return
    if isinstance(choice, Move):
        _validate_move(version, choice)
    elif isinstance(choice, Merge):
        _validate_merge(version, choice)
    elif isinstance(choice, Drop):
        _validate_drop(version, choice)
    else:
        raise PolicyError(choice, "a policy answers Nothing, Move, Merge or Drop (lsm.tree.compaction)")


def is_harmless(version: Version, choice: Choice) -> bool:
    """Whether `validate` accepts the choice: for policies that try one and have another."""
    try:
        validate(version, choice)
    except PolicyError:
        return False
    return True


def _named(version: Version, choice: Choice, numbers: object) -> list[tuple[int, TableMeta]]:
    """(level, table) of the chosen numbers, each of which must occur in the version, once in the choice."""
    if not isinstance(numbers, tuple) or not numbers or any(type(n) is not int for n in numbers):
        raise PolicyError(choice, "tables are named by a tuple of at least one table number")
    if len(set(numbers)) != len(numbers):
        raise PolicyError(choice, "a table is named twice")
    places = {table.number: (level, table) for level, tables in enumerate(version.levels) for table in tables}
    missing = sorted(set(numbers) - set(places))
    if missing:
        raise PolicyError(choice, f"tables {missing} are not in the version")
    return [places[number] for number in numbers]


def _check_level(version: Version, choice: Choice, level: object) -> None:
    if type(level) is not int or not 0 <= level < len(version.levels):
        raise PolicyError(choice, f"there are levels 0 to {len(version.levels) - 1}")


def _check_nothing_older_above(
    version: Version, choice: Choice, chosen: list[tuple[int, TableMeta]], to_level: int
) -> None:
    """What is older than a chosen table must end deeper than it, or be chosen with it."""
    numbers = {table.number for _, table in chosen}
    for level, table in chosen:
        for older_level, older in older_tables(version, table, level):
            if older_level <= to_level and older.number not in numbers:
                raise PolicyError(
                    choice,
                    f"table {older.number} in level {older_level} holds older writes of keys of "
                    f"table {table.number} and would come to lie above or beside them",
                )


def _validate_move(version: Version, choice: Move) -> None:
    chosen = _named(version, choice, choice.numbers)
    for level in (choice.from_level, choice.to_level):
        _check_level(version, choice, level)
    if choice.to_level <= choice.from_level:
        raise PolicyError(choice, "tables move to deeper levels only")
    for level, table in chosen:
        if level != choice.from_level:
            raise PolicyError(choice, f"table {table.number} is in level {level}, not {choice.from_level}")
    _check_nothing_older_above(version, choice, chosen, choice.to_level)
    ordered = sorted((table for _, table in chosen), key=lambda table: table.smallest)
    for left, right in zip(ordered, ordered[1:], strict=False):
        if left.largest >= right.smallest:
            raise PolicyError(choice, f"tables {left.number} and {right.number} overlap: they must be merged")


def _validate_merge(version: Version, choice: Merge) -> None:
    chosen = _named(version, choice, choice.inputs)
    _check_level(version, choice, choice.output_level)
    tables = [table for _, table in chosen]
    numbers = set(choice.inputs)
    smallest, largest = hull(tables)
    for level, table in chosen:
        if level > choice.output_level:
            raise PolicyError(
                choice, f"table {table.number} of level {level} would rise to {choice.output_level}"
            )
    if choice.output_level == 0:
        _validate_merge_within_level_0(version, choice, tables)
    else:
        _check_nothing_older_above(version, choice, chosen, choice.output_level)
        for other in version.overlapping(choice.output_level, smallest, largest):
            if other.number not in numbers:
                raise PolicyError(
                    choice,
                    f"table {other.number} of level {choice.output_level} lies within the range "
                    "of the outputs: it must be an input",
                )
    if type(choice.last_level) is not bool:
        raise PolicyError(choice, "last_level is True or False")
    if choice.last_level and not is_last(version, tables, choice.output_level):
        raise PolicyError(
            choice,
            "last_level is set although older tables lie beneath the inputs: deleted keys would reappear",
        )


def _validate_merge_within_level_0(version: Version, choice: Merge, tables: list[TableMeta]) -> None:
    """The one output spans all keys and sequences of its inputs; whatever meets it there must be an input."""
    oldest = min(table.min_sequence for table in tables)
    newest = max(table.max_sequence for table in tables)
    for other in version.overlapping(0, *hull(tables)):
        apart = other.max_sequence < oldest or newest < other.min_sequence
        if other.number not in choice.inputs and not apart:
            raise PolicyError(
                choice,
                f"table {other.number} was written between the inputs: only neighbours in time "
                "merge within level 0",
            )


def _validate_drop(version: Version, choice: Drop) -> None:
    chosen = _named(version, choice, choice.numbers)
    if not isinstance(choice.reason, str) or not choice.reason:
        raise PolicyError(choice, "a drop states its reason")
    _check_nothing_older_above(version, choice, chosen, len(version.levels))
