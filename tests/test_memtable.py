"""The memtable and its skip list: order, versions, cursors from every place, and cursors amid insertions.

The model is the sorted list of entries (key, sequence, kind, value): keys ascend, sequences of a key descend.
"""
import bisect
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from table_files import DELETE, PUT, sort_entries

from lsm import _core

NODE_ENTRIES = 32               # of a node of the skip list: what is at its border is tried around this number
KEYS = [b"", b"\0", b"\0\0", b"a", b"a\0", b"aaaaaaaa", b"aaaaaaaa\0", b"aaaaaaaab", b"aaaaaaab", b"b", b"\xff" * 8,
        b"\xff" * 9, b"\xff" * 8 + b"\0", b"\xff", b"\xfe\xff"]


def filled(keys, versions=1):
    """A memtable with `versions` rounds of writes to the keys, checked after each, and its sorted entries."""
    memtable, entries = _core.Memtable(), []
    for _ in range(versions):
        for key in keys:
            add(memtable, entries, key)
    return memtable, sort_entries(entries)


def add(memtable, entries, key, value=None):
    sequence = memtable.last_sequence + 1
    kind = DELETE if sequence % 7 == 0 else PUT
    value = b"" if kind == DELETE else b"%d" % sequence if value is None else value
    memtable.put(key, sequence, kind, value)
    memtable.check()
    entries.append((key, sequence, kind, value))


def internal(key, sequence):
    return key, -sequence


def place_of(entries, key, sequence):
    """The index of the first entry at or after (key, sequence) in internal order."""
    return bisect.bisect_left([internal(*entry[:2]) for entry in entries], internal(key, sequence))


def at(entries, index):
    return entries[index] if 0 <= index < len(entries) else None


def forward(cursor):
    found, entry = [], cursor.first()
    while entry is not None:
        found.append(entry)
        entry = cursor.next()
    return found


def backward(cursor):
    found, entry = [], cursor.last()
    while entry is not None:
        found.append(entry)
        entry = cursor.prev()
    return found[::-1]


def test_an_empty_memtable_holds_nothing():
    memtable = _core.Memtable()
    memtable.check()
    cursor = memtable.cursor()
    assert [cursor.first(), cursor.last(), cursor.seek(b""), cursor.seek_before(b"\xff"), cursor.next(),
            cursor.prev(), memtable.get(b"", 9)] == [None] * 7
    assert (memtable.entries, memtable.tombstones, memtable.last_sequence) == (0, 0, 0)


def test_what_it_counts():
    memtable, entries = filled(KEYS, versions=3)
    assert memtable.entries == len(entries) == 3 * len(KEYS)
    assert memtable.tombstones == sum(kind == DELETE for _, _, kind, _ in entries)
    assert memtable.last_sequence == len(entries)
    before = memtable.bytes
    memtable.put(b"large", 1000, PUT, b"v" * 100_000)
    assert memtable.bytes - before >= 100_000


ORDERS = {
    "ascending": lambda keys: keys,
    "descending": lambda keys: keys[::-1],
    "random": lambda keys: random.Random(1).sample(keys, len(keys)),
    "from the middle out": lambda keys: [keys[len(keys) // 2 + (n + 1) // 2 * (-1) ** n] for n in range(len(keys) - 1)],
    "two runs": lambda keys: keys[::2] + keys[1::2],
}


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("count", [1, 2, NODE_ENTRIES - 1, NODE_ENTRIES, NODE_ENTRIES + 1, 3 * NODE_ENTRIES + 1, 1500])
def test_every_order_of_insertion_gives_the_order_of_the_keys(order, count):
    keys = ORDERS[order]([b"%05d" % n for n in range(count)])
    memtable, entries = filled(keys)
    cursor = memtable.cursor()
    assert forward(cursor) == entries and backward(cursor) == entries
    for key, sequence, kind, value in entries:
        assert memtable.get(key, sequence) == (sequence, kind, value)
        assert memtable.get(key + b"\0", 1 << 50) is None


@pytest.mark.parametrize("stem", [b"", b"\0" * 8, b"\xff" * 8, b"eight by", b"more than eight bytes"])
def test_keys_with_equal_prefixes_are_told_apart(stem):
    """The eight bytes kept in a node say nothing here, for node after node; some keys are prefixes of others."""
    keys = [stem + bytes((a, b)) for a in (0, 1, 127, 128, 255) for b in range(0, 256, 7)]
    keys += [stem, *(stem[:size] for size in range(len(stem))), stem + b"\0", stem + b"\0\0"]
    memtable, entries = filled(random.Random(2).sample(sorted(set(keys)), len(set(keys))))
    assert forward(memtable.cursor()) == entries and backward(memtable.cursor()) == entries
    cursor = memtable.cursor()
    for index, entry in enumerate(entries):
        assert cursor.seek(entry[0]) == entry
        assert cursor.seek_before(entry[0]) == at(entries, index - 1)


def test_a_get_sees_the_newest_version_at_or_below_its_sequence():
    memtable, entries = filled(KEYS, versions=5)
    for key in [*KEYS, b"absent", b"aaaaaaaaa"]:
        for sequence in range(len(entries) + 2):
            seen = [entry for entry in entries if entry[0] == key and entry[1] <= sequence]
            assert memtable.get(key, sequence) == (max(seen, key=lambda entry: entry[1])[1:] if seen else None)


def test_seek_and_seek_before_from_every_place_to_every_place():
    memtable, entries = filled(KEYS, versions=3)
    top = len(entries)
    cursor = memtable.cursor()
    for key in [*KEYS, b"aaaaaaaa\0\0", b"c", b"\xff\xff"]:
        for sequence in [0, *(own[1] + more for own in entries if own[0] == key for more in (-1, 0, 1)), top + 1]:
            # an entry (key, s) sorts at or after the place (key, sequence) when s <= sequence
            index = place_of(entries, key, sequence)
            assert cursor.seek(key, sequence) == at(entries, index), (key, sequence)
            assert cursor.next() == (at(entries, index + 1) if index < top else None)
            assert cursor.seek(key, sequence) == at(entries, index)
            assert cursor.prev() == (at(entries, index - 1) if index < top else None)
            assert cursor.seek_before(key, sequence) == at(entries, index - 1), (key, sequence)
            assert cursor.next() == (at(entries, index) if index > 0 else None)
            assert cursor.seek_before(key, sequence) == at(entries, index - 1)
            assert cursor.prev() == at(entries, index - 2)


def test_from_every_entry_every_step_in_either_direction_and_back():
    memtable, entries = filled([b"%03d" % n for n in range(90)], versions=2)
    cursor = memtable.cursor()
    for index, entry in enumerate(entries):
        assert cursor.seek(entry[0], entry[1]) == entry
        assert cursor.next() == at(entries, index + 1)
        if index + 1 < len(entries):
            assert cursor.prev() == entry
        assert cursor.seek(entry[0], entry[1]) == entry
        assert cursor.prev() == at(entries, index - 1)
        if index > 0:
            assert cursor.next() == entry


@pytest.mark.parametrize("move", ["next", "prev"])
@pytest.mark.parametrize("where", ["before", "after", "same"])
def test_a_cursor_is_right_while_entries_are_put_around_it(move, where):
    """Move, insert next to it, move: over nodes that split under it."""
    memtable, entries = filled([b"%04d" % n for n in range(0, 2000, 40)])
    cursor = memtable.cursor()
    entry = cursor.first() if move == "next" else cursor.last()
    chance, steps = random.Random(f"{move} {where}"), 0
    while entry is not None and steps < 400:
        steps += 1
        number = int(entry[0]) + {"before": -1, "after": 1, "same": 0}[where] * chance.randrange(1, 20)
        if len(entries) < 700:
            add(memtable, entries, b"%04d" % max(number, 0))
        entries = sort_entries(entries)
        index = entries.index(entry)
        entry = cursor.next() if move == "next" else cursor.prev()
        assert entry == at(entries, index + (1 if move == "next" else -1))


def test_values_and_keys_of_any_size_come_back_whole():
    memtable, entries = _core.Memtable(), []
    for size in [0, 1, 7, 8, 9, 31, 4095, 4096, 4097, 65535]:
        add(memtable, entries, b"k" * size, b"v" * (size * 3 % 200_001))
        add(memtable, entries, b"\0" * size, b"")
    add(memtable, entries, b"large", b"x" * (3 << 20))
    assert forward(memtable.cursor()) == sort_entries(entries)


KEY = st.one_of(st.sampled_from(KEYS), st.binary(max_size=3), st.integers(0, 60).map(lambda n: b"prefixed%02d" % n))
STEP = st.one_of(
    st.tuples(st.just("put"), KEY),
    st.tuples(st.just("seek"), KEY, st.integers(0, 150)),
    st.tuples(st.just("seek_before"), KEY, st.integers(0, 150)),
    st.tuples(st.sampled_from(["first", "last"])),
    st.tuples(st.sampled_from(["next", "next", "prev"])),
)


@given(st.lists(STEP, max_size=150))
def test_any_steps_of_a_cursor_amid_any_writes(steps):
    memtable, entries, index = _core.Memtable(), [], None
    cursor = memtable.cursor()
    for name, *arguments in steps:
        if name == "put":
            standing = at(entries, index) if index is not None else None
            add(memtable, entries, *arguments)
            entries = sort_entries(entries)
            index = entries.index(standing) if standing else None
            continue
        if name in ("seek", "seek_before"):
            index = place_of(entries, *arguments) - (name == "seek_before")
        elif name in ("first", "last"):
            index = 0 if name == "first" else len(entries) - 1
        elif index is not None:
            index += 1 if name == "next" else -1
        expected = at(entries, index) if index is not None else None
        index = index if expected else None
        assert getattr(cursor, name)(*arguments) == expected
    assert forward(cursor) == entries and backward(cursor) == entries


@pytest.mark.parametrize("start", [b"", b"alike   "], ids=["apart", "first eight bytes alike"])
def test_seeks_amid_insertions_find_their_place_whatever_signposts_there_are(rng, start):
    """Signposts are made by seeks, some at each, and are behind what is inserted meanwhile."""
    memtable, keys = _core.Memtable(), []
    cursor = memtable.cursor()
    for number in range(6000):
        key = start + rng.randbytes(6)
        memtable.put(key, number + 1, PUT, b"v")
        bisect.insort(keys, key)
        if number % 7 == 0:
            wanted = rng.choice(keys) if number % 2 else start + rng.randbytes(rng.randint(0, 7))
            place = bisect.bisect_left(keys, wanted)
            found = memtable.cursor() if number % 70 == 0 else cursor
            memtable.cursor()                       # links what waits
            entry = found.seek(wanted, number + 1)
            assert (entry and entry[0]) == (keys[place] if place < len(keys) else None)
            if entry and place + 1 < len(keys):
                assert found.next()[0] == keys[place + 1]
            entry = found.seek_before(wanted, number + 1)
            assert (entry and entry[0]) == (keys[place - 1] if place > 0 else None)
    memtable.check()
