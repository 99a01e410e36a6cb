"""Makers of tables and versions for tests: literals, and random valid ones."""

from __future__ import annotations

import random
from typing import Any

from lsm.tree.version import TableMeta, Version


def table(
    number: int,
    smallest: bytes | str,
    largest: bytes | str,
    sequences: tuple[int, int] = (0, 0),
    **change: Any,
) -> TableMeta:
    """A table of 100 bytes with ten entries; its sequences follow its number unless given."""
    low, high = sequences if sequences != (0, 0) else (number * 100, number * 100 + 99)
    given: dict[str, Any] = dict(
        number=number,
        size=100,
        entries=10,
        tombstones=0,
        smallest=smallest.encode() if isinstance(smallest, str) else smallest,
        largest=largest.encode() if isinstance(largest, str) else largest,
        min_sequence=low,
        max_sequence=high,
        crc=0,
        key_bytes=40,
        value_bytes=60,
        created=number * 1_000_000,
    )
    return TableMeta(**{**given, **change})


def version(*levels: list[TableMeta], count: int = 7) -> Version:
    """A checked version with these levels (level 0 in any order) and empty ones below."""
    return Version.empty(count).edit([(level, t) for level, tables in enumerate(levels) for t in tables])


def random_version(random: random.Random, levels: int = 7, key_space: int = 200) -> Version:
    """Any valid version: level 0 of whole flushes, deeper levels cut at random."""
    number, sequence = 0, 1_000_000
    adds: list[tuple[int, TableMeta]] = []

    def make(low: int, high: int, sequences: tuple[int, int]) -> TableMeta:
        nonlocal number
        number += 1
        entries = random.randint(1, 50)
        return table(
            number,
            b"%05d" % low,
            b"%05d" % high,
            sequences,
            size=random.randint(1, 5000),
            entries=entries,
            tombstones=random.choice([0, 0, random.randint(0, entries)]),
            created=random.randint(0, 10**9),
        )

    for _ in range(random.choice([0, 0, 1, 2, 4, 8, 12])):
        low = random.randrange(key_space)
        span = random.choice([0, 5, key_space])
        adds.append(
            (0, make(low, min(low + span, key_space), (sequence - random.randint(1, 99), sequence - 1)))
        )
        sequence -= 100
    for level in range(1, levels):
        if random.random() < 0.4:
            continue
        cuts = sorted(random.sample(range(key_space), 2 * random.randint(1, 12)))
        for low, high in zip(cuts[::2], cuts[1::2], strict=True):
            adds.append((level, make(low, high, (random.randint(1, 500), random.randint(500, sequence)))))
    return Version.empty(levels).edit(adds)
