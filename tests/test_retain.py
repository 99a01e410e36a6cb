"""What a flush or a compaction keeps: every snapshot, and now, reads exactly as before, and no more is kept than that takes.

A TableMerge writes random histories out under random sets of snapshots; the definition is replaying the writes.
"""
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from table_files import DATABASE, DELETE, PUT, open_table
from test_merge import KEYS, Sources, writes
from test_visible import rows_at

from lsm import _core

HUGE = 1 << 40


def merged(sources, snapshots=(), bottom=False, memtables=(), table_bytes=HUGE, step_bytes=HUGE, first=900):
    """The tables that a merge of memtables and all tables of `sources` writes, as lists of entries."""
    runs = [(table,) for table in sources.levels[0]] + [tuple(level) for level in sources.levels[1:] if level]
    merge = _core.TableMerge(sources.directory, DATABASE, list(memtables), runs, list(snapshots), bottom=bottom,
                             compression="none", block_bytes=64, restart_interval=4, bloom_bits=10)
    outputs, number = [], first
    while not merge.done:
        summary = merge.step(number, table_bytes, step_bytes)
        if summary is not None:
            table = open_table(sources.directory, f"{number:06d}.table", number=number, database_id=DATABASE)
            table.verify(summary["crc"])
            entries = table.entries_list()
            sequences = [entry[1] for entry in entries]
            assert (summary["entries"], summary["smallest"], summary["largest"]) == (
                len(entries), entries[0][0], entries[-1][0])
            assert (summary["min_sequence"], summary["max_sequence"]) == (min(sequences), max(sequences))
            assert summary["tombstones"] == sum(entry[2] == DELETE for entry in entries)
            outputs.append(entries)
            number += 1
    return outputs


def kept(sources, *arguments, **keywords):
    return [entry for table in merged(sources, *arguments, **keywords) for entry in table]


def strata(snapshots):
    """Stratum of a sequence: how many snapshots cannot see it."""
    return lambda sequence: sum(snapshot < sequence for snapshot in snapshots)


def by_definition(entries, snapshots, bottom):
    """Of each key the newest of each stratum; at the bottom, in the oldest stratum: no tombstone, and sequence 0."""
    stratum, expected, seen = strata(snapshots), [], set()
    for key, sequence, kind, value in entries:
        place = key, stratum(sequence)
        if place in seen:
            continue
        seen.add(place)
        if bottom and place[1] == 0:
            if kind == PUT:
                expected.append((key, 0, kind, value))
        else:
            expected.append((key, sequence, kind, value))
    return expected


def history(seed, count=80):
    """Writes of one key after the other in three tables and a memtable, as Sources and its memtable."""
    chance, sources = random.Random(seed), Sources()
    entries = writes(chance, 1, count)
    sources.run(1, entries[: count // 4], chance.sample(KEYS, 3))
    for part in (1, 2):
        sources.table(0, entries[part * count // 4: (part + 1) * count // 4])
    sources.memtable(entries[3 * count // 4:])
    sources.view()
    return chance, sources


@pytest.mark.parametrize("bottom", [False, True])
@pytest.mark.parametrize("seed", range(12))
def test_every_snapshot_and_now_read_as_before(seed, bottom):
    chance, sources = history(seed)
    snapshots = sorted(chance.sample(range(0, 82), chance.choice([0, 1, 2, 5, 30])))
    entries = kept(sources, snapshots, bottom, sources.memtables)
    for moment in [*snapshots, 80, 81, 1 << 50]:
        assert rows_at(entries, moment) == rows_at(sources.entries, moment), (moment, snapshots)
    assert entries == by_definition(sources.entries, snapshots, bottom)


def test_with_a_snapshot_of_every_write_all_is_kept():
    _, sources = history(1)
    assert kept(sources, range(81), False, sources.memtables) == sources.entries


def test_without_snapshots_one_version_a_key_is_kept():
    _, sources = history(2)
    entries = kept(sources, [], False, sources.memtables)
    assert [entry[0] for entry in entries] == sorted({entry[0] for entry in sources.entries})


def only(*entries):
    sources = Sources()
    sources.memtable(list(entries))
    return sources


@pytest.mark.parametrize("snapshots, bottom, expected", [
    ([], False, [(b"k", 5, DELETE, b"")]),                              # older versions may lie deeper
    ([], True, []),                                                     # nothing lies deeper, nobody looks back
    ([4], True, [(b"k", 5, DELETE, b""), (b"k", 0, PUT, b"v")]),        # hides the put from those after the snapshot
    ([2], True, [(b"k", 5, DELETE, b"")]),                              # the snapshot saw nothing; harmless, and kept
    ([5], True, []),                                                    # the snapshot sees the deletion too
    ([9], True, []),
    ([3, 5], True, [(b"k", 5, DELETE, b""), (b"k", 0, PUT, b"v")]),
    ([3], False, [(b"k", 5, DELETE, b""), (b"k", 3, PUT, b"v")]),
    ([2, 9], False, [(b"k", 5, DELETE, b"")]),
])
def test_a_tombstone_goes_only_when_it_hides_nothing(snapshots, bottom, expected):
    sources = only((b"k", 3, PUT, b"v"), (b"k", 5, DELETE, b""))
    assert kept(sources, snapshots, bottom, sources.memtables) == expected


@pytest.mark.parametrize("snapshots, bottom, sequence", [
    ([], False, 7), ([], True, 0), ([7], True, 0), ([8], True, 0), ([6], True, 7), ([6, 8], True, 7), ([8], False, 7)])
def test_a_sequence_becomes_zero_only_at_the_bottom_and_when_every_reader_sees_it(snapshots, bottom, sequence):
    sources = only((b"k", 7, PUT, b"v"))
    assert kept(sources, snapshots, bottom, sources.memtables) == [(b"k", sequence, PUT, b"v")]


def test_what_has_become_zero_merges_again_below_newer_writes():
    chance, sources = history(3)
    lower = kept(sources, [], True, sources.memtables)
    again = Sources()
    again.run(1, lower, [b"a"])
    newer = writes(chance, 100, 40)
    again.memtable(newer)
    again.view()
    expected = rows_at([*sources.entries, *newer], 1 << 50)
    assert rows_at(kept(again, [120], True, again.memtables), 1 << 50) == expected
    assert rows_at(kept(again, [], True, again.memtables, first=950), 1 << 50) == expected


@pytest.mark.parametrize("step_bytes", [1, 100, HUGE])
@pytest.mark.parametrize("table_bytes", [1, 200, 1000, HUGE])
def test_versions_of_one_key_never_straddle_two_tables(table_bytes, step_bytes):
    chance = random.Random(9)
    sources = Sources()
    sources.memtable(writes(chance, 1, 400))
    sources.view()
    outputs = merged(sources, range(0, 400, 3), False, sources.memtables, table_bytes, step_bytes)
    assert [entry for table in outputs for entry in table] == by_definition(sources.entries, range(0, 400, 3), False)
    for left, right in zip(outputs, outputs[1:]):
        assert left[-1][0] < right[0][0]
    if table_bytes == 1:
        assert len(outputs) == len({entry[0] for entry in sources.entries})
    assert (len(outputs) == 1) is (table_bytes == HUGE)


def test_a_table_ends_only_when_something_follows_so_that_none_is_empty():
    """The last keys are tombstones that go: no table is begun for them."""
    sources = only(*((b"%d" % n, n, PUT if n < 5 else DELETE, b"v" * 100 if n < 5 else b"") for n in range(1, 9)))
    outputs = merged(sources, [], True, sources.memtables, table_bytes=100)
    assert [[entry[0] for entry in table] for table in outputs] == [[b"%d" % n] for n in range(1, 5)]
    assert merged(only((b"k", 1, DELETE, b"")), [], True, only((b"k", 1, DELETE, b"")).memtables) == []


def test_a_merge_given_up_leaves_no_file_and_a_merge_of_nothing_is_done():
    _, sources = history(4)
    before = sorted(sources.directory.files())
    merge = _core.TableMerge(sources.directory, DATABASE, sources.memtables, [], [], bottom=False, compression="none",
                             block_bytes=64, restart_interval=4, bloom_bits=10)
    assert merge.step(900, HUGE, 1) is None and not merge.done
    del merge
    assert sorted(sources.directory.files()) == before
    assert merged(Sources()) == []


def test_a_snapshot_of_the_engine_reads_the_same_through_flushes_and_compactions(path):
    """The whole way: snapshots taken at random moments, everything flushed and compacted again and again."""
    import lsm
    chance, model, snapshots = random.Random(5), {}, []
    with lsm.open(path, block_bytes=64, bloom_bits_per_key=5) as db:
        for turn in range(12):
            for key, sequence, kind, value in writes(chance, 100 * turn, 30):
                if kind == PUT:
                    db[key] = model[key] = value
                else:
                    db.delete(key)
                    model.pop(key, None)
                if chance.random() < 0.1:
                    snapshots.append((db.snapshot(), dict(model)))
            chance.choice([db.flush, db.compact])()
            if len(snapshots) > 8:
                snapshots.pop(chance.randrange(len(snapshots)))[0].close()
            assert dict(db.items()) == model
            for snapshot, then in snapshots:
                assert dict(snapshot.scan()) == then and list(snapshot.scan(reverse=True)) == sorted(then.items())[::-1]
                assert all(snapshot.get(key) == then.get(key) for key in KEYS)
        for snapshot, _ in snapshots:
            snapshot.close()
        db.compact()
        assert db.stats().entries == len(model)


WRITES = st.lists(st.tuples(st.sampled_from(KEYS[:5]), st.booleans()), min_size=1, max_size=40)


@given(WRITES, st.sets(st.integers(0, 41), max_size=6), st.booleans(), st.sampled_from([1, 60, HUGE]))
def test_any_history_under_any_snapshots(written, snapshots, bottom, table_bytes):
    entries = [(key, n, PUT if put else DELETE, b"%d" % n if put else b"") for n, (key, put) in enumerate(written, 1)]
    sources = only(*entries)
    sources.view()
    found = kept(sources, sorted(snapshots), bottom, sources.memtables, table_bytes=table_bytes)
    assert found == by_definition(sources.entries, sorted(snapshots), bottom)
    for moment in [*snapshots, 1 << 50]:
        assert rows_at(found, moment) == rows_at(entries, moment)
