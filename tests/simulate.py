"""A database without files: flushes and the choices of a policy carried out on dictionaries.

Every table's contents are kept, so that a lookup through the levels can be compared with a model: a choice
that broke recency would be seen as a wrong value. One entry counts ENTRY_BYTES.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, field

from lsm.options import Options
from lsm.tree.compaction import (
    Drop,
    Leveled,
    Merge,
    Move,
    Nothing,
    Policy,
    Tiered,
    merge_everything,
    validate,
)
from lsm.tree.version import TableMeta, Version

ENTRY_BYTES = 1024
Contents = dict[bytes, tuple[int, bool]]  # key -> sequence, whether it is a put


def key_of(number: int) -> bytes:
    return number.to_bytes(8, "big")


@dataclass
class Simulation:
    policy: Policy
    options: Options
    version: Version = field(default_factory=Version.empty)
    contents: dict[int, Contents] = field(default_factory=dict)
    model: Contents = field(default_factory=dict)
    number: int = 0
    sequence: int = 0
    flushed: int = 0  # entries
    merged: int = 0  # entries written by merges
    moves: int = 0
    most_level_0: int = 0
    steps: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, policy: Policy, **keywords: int) -> Simulation:
        return cls(policy, Options(compression="none", compaction=policy, **keywords))  # type: ignore[arg-type]

    def table(self, contents: Contents, created: int) -> TableMeta:
        self.number += 1
        self.contents[self.number] = contents
        sequences = [sequence for sequence, _ in contents.values()]
        return TableMeta(
            self.number,
            len(contents) * ENTRY_BYTES,
            len(contents),
            sum(not put for _, put in contents.values()),
            min(contents),
            max(contents),
            min(sequences),
            max(sequences),
            0,
            8 * len(contents),
            0,
            created,
        )

    def flush(self, writes: Iterable[tuple[int, bool]]) -> None:
        contents: Contents = {}
        for key, put in writes:
            self.sequence += 1
            contents[key_of(key)] = (self.sequence, put)
        self.model.update(contents)
        self.flushed += len(contents)
        self.version = self.version.edit([(0, self.table(contents, self.sequence * 1_000_000))])
        self.most_level_0 = max(self.most_level_0, self.version.table_count(0))

    def settle(self, limit: int = 200) -> None:
        """Carry out choices until there is nothing to do."""
        for _ in range(limit):
            choice = self.policy.choose(self.version, self.options)
            validate(self.version, choice)
            if isinstance(choice, Nothing):
                return
            self.carry_out(choice)
        raise AssertionError(f"still choosing after {limit} steps: {choice}\n{self.version}")

    def carry_out(self, choice: Move | Merge | Drop) -> None:
        self.steps.append(type(choice).__name__)
        numbers = choice.inputs if isinstance(choice, Merge) else choice.numbers
        tables = [table for table in self.version.tables() if table.number in numbers]
        if isinstance(choice, Move):
            self.moves += 1
            self.version = self.version.edit([(choice.to_level, table) for table in tables], numbers)
            return
        add = (
            [(choice.output_level, t) for t in self.merge(choice, tables)]
            if isinstance(choice, Merge)
            else []
        )
        self.version = self.version.edit(add, numbers)
        for number in numbers:
            del self.contents[number]

    def merge(self, choice: Merge, tables: list[TableMeta]) -> list[TableMeta]:
        """`tables` come newest first, as the levels have them."""
        merged: Contents = {}
        for table in reversed(tables):
            merged.update(self.contents[table.number])
        rows = sorted((key, value) for key, value in merged.items() if value[1] or not choice.last_level)
        self.merged += len(rows)
        most = len(rows) if choice.output_level == 0 else self.options.table_bytes // ENTRY_BYTES
        created = max(table.created for table in tables)
        return [self.table(dict(rows[at : at + most]), created) for at in range(0, len(rows), max(most, 1))]

    def compact(self) -> None:
        choice = merge_everything(self.version)
        validate(self.version, choice)
        if isinstance(choice, Merge):
            self.carry_out(choice)

    def get(self, key: bytes) -> tuple[int, bool] | None:
        for table in self.version.overlapping(0, key, key):
            if key in self.contents[table.number]:
                return self.contents[table.number][key]
        for level in range(1, len(self.version.levels)):
            found = self.version.find(key, level)
            if found is not None and key in self.contents[found.number]:
                return self.contents[found.number][key]
        return None

    def check_against_model(self) -> None:
        for key, (sequence, put) in self.model.items():
            found = self.get(key)
            if put:
                assert found == (sequence, True), (key, found, sequence)
            else:
                assert found is None or found == (sequence, False), (key, found)

    @property
    def write_amplification(self) -> float:
        return (self.flushed + self.merged) / self.flushed


def drive(
    simulation: Simulation,
    flushes: int,
    entries: int,
    keys: int,
    seed: int = 1,
    deletes: float = 0.0,
    ascending: bool = False,
) -> Simulation:
    """Flush `entries` writes at a time to keys drawn uniformly (or in ascending order), settling after
    each."""
    chance = random.Random(seed)
    following = 0
    for _ in range(flushes):
        writes = []
        for _ in range(entries):
            following += 1
            key = following if ascending else chance.randrange(keys)
            writes.append((key, chance.random() >= deletes))
        simulation.flush(writes)
        simulation.settle()
    return simulation


def main() -> None:
    for policy in (Leveled(base_bytes=256 * ENTRY_BYTES), Tiered()):
        run = drive(Simulation.of(policy, table_bytes=64 * ENTRY_BYTES), 400, 64, 1 << 60)
        print(
            f"{policy}: write amplification {run.write_amplification:.2f}, "
            f"at most {run.most_level_0} tables in level 0"
        )


if __name__ == "__main__":
    main()
