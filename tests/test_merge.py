"""The merge of memtables, tables of level 0 and runs of deeper levels, held against the sorted list of all entries."""
import bisect
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from table_files import DELETE, PUT, open_table, sort_entries, write_table

from lsm import _core

KEYS = [b"", b"\0", b"a", b"a\0", b"aaaaaaaa", b"aaaaaaaa\0", b"aaaaaaaab", b"b", b"bb", b"c", b"\xff" * 8, b"\xff" * 9]


class Sources:
    """A View in the making, on a disk in memory. Give it entries oldest first."""

    def __init__(self):
        self.directory = _core.SimulatedDirectory()
        self.memtables, self.levels, self.entries, self.number = [], [[], []], [], 0

    def memtable(self, entries):
        memtable = _core.Memtable()
        for entry in sorted(entries, key=lambda entry: entry[1]):
            memtable.put(*entry)
        self.memtables.insert(0, memtable)
        self.entries += entries

    def table(self, level, entries):
        self.number += 1
        name = f"{self.number:06d}.table"
        write_table(self.directory, name, sort_entries(entries), number=self.number, block_bytes=64)
        self.levels[level].insert(0 if level == 0 else len(self.levels[level]), open_table(self.directory, name))
        self.entries += entries

    def run(self, level, entries, cuts):
        """Several tables of a deeper level; `cuts` are the keys before which another begins."""
        while len(self.levels) <= level:
            self.levels.append([])
        cuts = sorted(cuts)
        parts = [[entry for entry in entries if bisect.bisect_right(cuts, entry[0]) == at] for at in range(len(cuts) + 1)]
        for part in filter(None, parts):
            self.table(level, part)

    def view(self):
        self.entries = sort_entries(self.entries)
        return _core.View(self.directory, tuple(self.memtables), tuple(map(tuple, self.levels)))


def writes(chance, first, count, keys=KEYS):
    """`count` writes to random keys, from sequence `first` on."""
    return [(chance.choice(keys), sequence, *((PUT, b"%d" % sequence) if chance.random() < 0.7 else (DELETE, b"")))
            for sequence in range(first, first + count)]


def spread(seed, keys=KEYS, each=15):
    """A view with two memtables, three tables of level 0 and runs in levels 1 and 3, all versions of the same keys."""
    chance, sources = random.Random(seed), Sources()
    batches = [writes(chance, 1 + each * turn, each, keys) for turn in range(7)]
    sources.run(3, batches[0], chance.sample(keys, 4))
    sources.run(1, batches[1], chance.sample(keys, 2))
    for batch in batches[2:5]:
        sources.table(0, batch)
    for batch in batches[5:]:
        sources.memtable(batch)
    return sources, sources.view()


def walk(merge, entry):
    found = []
    while entry is not None:
        found.append(entry)
        entry = merge.step()
    return found


def place_of(entries, key, sequence):
    return bisect.bisect_left([(k, -s) for k, s, _, _ in entries], (key, -sequence))


def test_a_merge_of_nothing_is_empty():
    sources = Sources()
    merge = _core._MergeWalk(_core.View(sources.directory, (), ()))
    assert [merge.first(), merge.last(), merge.seek(b""), merge.seek_before(b"\xff"), merge.step()] == [None] * 5
    sources.memtable([])
    assert _core._MergeWalk(sources.view()).first() is None


@pytest.mark.parametrize("seed", range(5))
def test_forward_and_backward_it_is_the_sorted_list(seed):
    sources, view = spread(seed)
    merge = _core._MergeWalk(view)
    assert walk(merge, merge.first()) == sources.entries
    assert walk(merge, merge.last()) == sources.entries[::-1]


@pytest.mark.parametrize("seed", range(2))
def test_from_every_place_in_either_direction(seed):
    sources, view = spread(seed)
    merge = _core._MergeWalk(view)
    entries = sources.entries
    for key in [*KEYS, b"aa", b"\xfe", b"\xff" * 10]:
        for sequence in [0, *(s + more for k, s, _, _ in entries if k == key for more in (-1, 0, 1)), 1 << 40]:
            at = place_of(entries, key, sequence)
            assert walk(merge, merge.seek(key, sequence)) == entries[at:]
            assert walk(merge, merge.seek_before(key, sequence)) == entries[:at][::-1]


@pytest.mark.parametrize("seed", range(5))
def test_turning_round_at_any_time(seed):
    """A turn is a seek from where one stands: every child then stands on the other side."""
    sources, view = spread(seed)
    merge, chance, entries = _core._MergeWalk(view), random.Random(seed), sources.entries
    at, backward, entry = 0, False, merge.first()
    for _ in range(500):
        assert entry == (entries[at] if 0 <= at < len(entries) else None)
        if entry is None:
            at, backward = (0, False) if at < 0 else (len(entries) - 1, True)
            entry = merge.last() if backward else merge.first()
        elif chance.random() < 0.3:
            backward = not backward
            at += -1 if backward else 1
            entry = merge.seek_before(*sought(entry)) if backward else merge.seek(entry[0], entry[1] - 1)
        else:
            at += -1 if backward else 1
            entry = merge.step()


def sought(entry):
    return entry[0], entry[1]


@pytest.mark.parametrize("tables", [1, 2, 3, 64])
def test_many_sources_with_interleaved_keys(tables):
    sources = Sources()
    for number in range(tables):
        sources.table(0, [(b"%05d" % (n * tables + number), number * 100 + n + 1, PUT, b"v") for n in range(20)])
    merge = _core._MergeWalk(sources.view())
    assert walk(merge, merge.first()) == sources.entries
    assert walk(merge, merge.last()) == sources.entries[::-1]


def test_a_run_of_many_tables_is_walked_and_sought_across_their_borders():
    sources = Sources()
    entries = [(b"%03d" % n, n + 1, PUT, b"v" * (n % 40)) for n in range(0, 300, 3)]
    sources.run(2, entries, [b"%03d" % n for n in range(0, 300, 10)])
    merge = _core._MergeWalk(sources.view())
    assert len(sources.levels[2]) == 30
    for n in range(-1, 302):
        key = b"%03d" % n if n >= 0 else b""
        assert walk(merge, merge.seek(key)) == [entry for entry in entries if entry[0] >= key]
        assert walk(merge, merge.seek_before(key)) == [entry for entry in entries if entry[0] < key][::-1]


def test_what_is_put_while_a_merge_is_under_way_comes_in_its_place():
    """A cursor over the newest memtable is walked while it grows: what is put in order ahead is met, what lies behind is
    not."""
    sources, view = spread(1)
    newest, merge = sources.memtables[0], _core._MergeWalk(view)
    entry, met, sequence, ahead = merge.first(), [], 1000, []
    while entry is not None:
        met.append(entry)
        if len(met) % 10 == 0 and sequence < 1010:
            sequence += 1
            newest.put(b"", sequence, PUT, b"behind")
            newest.put(b"\xff" * 9 + b"%d" % sequence, sequence + 1000, PUT, b"ahead")
            newest.check()              # which has all that waits put in order
            ahead.append((b"\xff" * 9 + b"%d" % sequence, sequence + 1000, PUT, b"ahead"))
        entry = merge.step()
    assert met == sort_entries([*sources.entries, *ahead])


ENTRIES = st.lists(st.tuples(st.sampled_from(KEYS) | st.binary(max_size=2), st.booleans()), max_size=30)


@given(st.lists(st.tuples(st.sampled_from(["memtable", "young", "run"]), ENTRIES), max_size=5), st.binary(max_size=2))
def test_any_sources(parts, sought_key):
    sources, sequence = Sources(), 0
    for kind, given_entries in sorted(parts, key=lambda part: ["run", "young", "memtable"].index(part[0])):
        entries = [(key, sequence + n, PUT if put else DELETE, b"v" if put else b"")
                   for n, (key, put) in enumerate(given_entries, 1)]
        sequence += len(entries)
        if kind == "memtable":
            sources.memtable(entries)
        elif kind == "young" and entries:
            sources.table(0, entries)
        elif entries and not sources.levels[-1]:
            sources.run(1, entries, KEYS[3::4])
        else:
            sequence -= len(entries)
    merge = _core._MergeWalk(sources.view())
    assert walk(merge, merge.first()) == sources.entries
    assert walk(merge, merge.last()) == sources.entries[::-1]
    at = place_of(sources.entries, sought_key, 1 << 50)
    assert walk(merge, merge.seek(sought_key)) == sources.entries[at:]
    assert walk(merge, merge.seek_before(sought_key)) == sources.entries[:at][::-1]
