"""Each part of the plain core beside its compiled twin, on random input: the same answers, the same bytes."""
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from log_reference import DATABASE, entry, log, log_header, record, varint as reference_varint
from table_files import DELETE, PUT, sort_entries

from lsm import _core, _pycore
from lsm._pycore import block, bloom, compression, lz4
from lsm._pycore.coding import Malformed, read_varint, shared_bytes, varint
from lsm._pycore.crc32c import crc32c, crc32c_mask, crc32c_unmask
from lsm._pycore.log import encode_header
from lsm._pycore.record import encode_payload, encode_record
from lsm._pycore.retain import retained
from lsm._pycore.table_format import seal, unseal
from lsm._pycore.visible import rows
from lsm.errors import CorruptionError, VersionError

KEYS = st.one_of(st.binary(max_size=6), st.builds(lambda a, b: a * 30 + b, st.sampled_from([b"a", b"\xff"]), st.binary(max_size=3)))
SEQUENCES = st.integers(1, (1 << 56) - 1)


@st.composite
def entries(draw, least=1, sequences=SEQUENCES):
    """Some entries in internal order, no two of one key and sequence."""
    found = draw(st.lists(st.tuples(KEYS, sequences, st.sampled_from([PUT, PUT, PUT, DELETE]), st.binary(max_size=40)),
                          min_size=least, max_size=40, unique_by=lambda one: one[:2]))
    return sort_entries([(key, sequence, kind, value if kind == PUT else b"") for key, sequence, kind, value in found])


# ------------------------------------------------------------------------------------------ numbers and checksums

@given(st.binary(max_size=600), st.integers(0, 0xFFFFFFFF))
def test_crc32c(data, crc):
    assert crc32c(data) == _core.crc32c(data) and crc32c(data, crc) == _core.crc32c(data, crc)
    assert crc32c_mask(crc) == _core.crc32c_mask(crc) and crc32c_unmask(crc32c_mask(crc)) == crc


@pytest.mark.parametrize("size", [0, 3, 132, 133, 136, 137, 4096, 8196, 8197, 16387, 16388, 16389, 16391, 16525, 100_003])
def test_crc32c_of_long_data(rng, size):
    """Around each length from which on it is folded in another way."""
    data, crc = rng.randbytes(size), rng.getrandbits(32)
    assert crc32c(data, crc) == _core.crc32c(data, crc)
    assert crc32c(memoryview(data)) == crc32c(data[size // 3:], crc32c(data[:size // 3]))


@given(st.integers(0, (1 << 64) - 1), st.binary(max_size=3))
def test_varints(number, behind):
    encoded = varint(number)
    assert encoded == reference_varint(number)
    assert read_varint(encoded + behind, 0, len(encoded + behind)) == (number, len(encoded))
    for end in range(len(encoded)):
        with pytest.raises(Malformed):
            read_varint(encoded, 0, end)


@pytest.mark.parametrize("wrong", [b"\x80" * 10 + b"\0", b"\xff" * 9 + b"\x02", b"\x80" * 20])
def test_a_varint_of_more_than_64_bits_is_refused(wrong):
    with pytest.raises(Malformed):
        read_varint(wrong, 0, len(wrong))


@given(st.binary(max_size=40), st.binary(max_size=40), st.binary(max_size=40))
def test_shared_bytes(common, a, b):
    a, b = common + a, common + b
    assert shared_bytes(a, b) == next((i for i, (x, y) in enumerate(zip(a, b)) if x != y), min(len(a), len(b)))


# ------------------------------------------------------------------------------------------ the log

@given(st.lists(st.tuples(KEYS, st.none() | st.binary(max_size=200)), min_size=1, max_size=10), SEQUENCES, st.integers(1, 1 << 40))
def test_records(operations, sequence, number):
    made = encode_record(encode_payload(operations), len(operations), number, sequence, sequence - 1, 77)
    assert made == record(sequence, *(entry(*one) for one in operations), number=number, synced=sequence - 1, time=77)
    assert encode_header(number, DATABASE) == log_header(number)


def outcome(core, data, number, sequence):
    """What replaying, checking and looking for watermarks answers, or what it raises."""
    told = []
    memtable = core.Memtable()
    for ask in (lambda: core.replay_log(data, "000001.log", number, DATABASE, sequence, memtable, "/db"),
                lambda: core.check_log(data, "000001.log", number, DATABASE, "/db"),
                lambda: core.log_highest_watermark(data, number)):
        try:
            told.append(ask())
        except (CorruptionError, VersionError) as error:
            told.append((type(error), getattr(error, "offset", None), error.detail))
    return told, memtable.entries, memtable.tombstones, memtable.last_sequence


@st.composite
def logs(draw):
    """Logs of whole records, torn, flipped, with holes, with records left out."""
    records, sequence = [], 1
    for _ in range(draw(st.integers(0, 5))):
        count = draw(st.integers(1, 3))
        records.append(record(sequence, *(entry(b"k%d" % i, draw(st.none() | st.binary(max_size=600))) for i in range(count)),
                              synced=draw(st.integers(0, sequence)), number=draw(st.sampled_from([1, 1, 1, 1, 2]))))
        sequence += count + draw(st.sampled_from([0, 0, 0, 0, 1]))
    data = bytearray(log(*records) + bytes(draw(st.integers(0, 100))))
    for _ in range(draw(st.integers(0, 2))):
        at = draw(st.integers(0, len(data) - 1))
        what = draw(st.sampled_from(["flip", "zeros", "cut"]))
        if what == "flip":
            data[at] ^= 1 << draw(st.integers(0, 7))
        elif what == "zeros":
            size = min(draw(st.integers(1, 1500)), len(data) - at)
            data[at:at + size] = bytes(size)
        else:
            del data[max(at, 1):]
    return bytes(data)


@given(logs())
def test_logs_whole_torn_and_damaged(data):
    assert outcome(_pycore, data, 1, 0) == outcome(_core, data, 1, 0)


def test_a_newer_log_is_told_apart_from_a_damaged_one():
    for data in (log(version=2), log(number=9), log(database=b"x" * 16), b"", log()[:50]):
        assert outcome(_pycore, data, 1, 0) == outcome(_core, data, 1, 0)


@given(st.lists(st.tuples(KEYS, st.sampled_from([PUT, DELETE]), st.binary(max_size=20)), max_size=60), st.integers(0, 70))
def test_memtables(writes, moment):
    plain, compiled = _pycore.Memtable(), _core.Memtable()
    for sequence, (key, kind, value) in enumerate(writes, 1):
        for memtable in (plain, compiled):
            memtable.put(key, sequence, kind, value if kind == PUT else b"")
        assert plain.get(key, moment) == compiled.get(key, moment)
    assert (plain.entries, plain.tombstones, plain.last_sequence) == (compiled.entries, compiled.tombstones, compiled.last_sequence)
    walked, cursor = [], compiled.cursor()
    found = cursor.first()
    while found is not None:
        walked.append(found)
        found = cursor.next()
    assert told(plain.ascending()) == walked and told(plain.descending()) == walked[::-1]
    for key in {key for key, _, _ in writes} | {b"", b"a"}:
        assert told(plain.ascending(key)) == [one for one in walked if one[0] >= key]
        assert told(plain.descending(key)) == [one for one in walked if one[0] < key][::-1]


def told(entries_):
    """(key, -tag, value) as the doors of the compiled core tell it."""
    return [(key, -order >> 8, -order & 0xFF, value) for key, order, value in entries_]


# ------------------------------------------------------------------------------------------ blocks and filters

@given(st.lists(KEYS, max_size=60), st.integers(0, 40), st.lists(st.binary(max_size=12), max_size=10))
def test_filters(keys, bits, strangers):
    assert [bloom.hash64(key) for key in keys] == [_core._hash64(key) for key in keys]
    hashes = [bloom.hash64(key) for key in keys]
    lines, probes = bloom.line_count(len(keys), bits, 1 << 28), bloom.probes_of(bits)
    built = bloom.build(hashes, lines, probes)
    assert (built, probes) == _core._bloom_build(keys, bits)
    for key in keys + strangers:
        assert bloom.may_contain(built, lines, probes, bloom.hash64(key)) == _core._bloom_may_contain(built, probes, key)


@given(entries(), st.sampled_from([1, 2, 16, 1000]))
def test_blocks(given_entries, interval):
    builder = block.BlockBuilder(interval)
    for key, sequence, kind, value in given_entries:
        builder.add(key, sequence << 8 | kind, value)
    size, contents = builder.size, builder.finish()
    assert size == len(contents) and contents == _core._block_build(given_entries, interval)
    decoded = block.decode_block(contents)
    assert told(decoded.ascending()) == given_entries == told(decoded.descending())[::-1]
    for key, sequence, _, _ in given_entries + [(b"a", 5, 0, b""), (b"\xff" * 9, 5, 0, b"")]:
        found = decoded.find(key, sequence << 8 | 0xFF)
        asked = _core._block_get(contents, key, sequence)[0]
        assert (found and (found[0] >> 8, found[0] & 0xFF, found[1])) == asked


@given(entries(), st.sampled_from([1, 3, 16]), st.data())
def test_a_damaged_block_is_never_read_as_another(given_entries, interval, data):
    """Whatever the compiled core refuses, this refuses; what both read, they read alike. (This one checks a block whole.)"""
    contents = bytearray(_core._block_build(given_entries, interval))
    for _ in range(data.draw(st.integers(1, 3))):
        contents[data.draw(st.integers(0, len(contents) - 1))] = data.draw(st.integers(0, 255))
    contents = bytes(contents)
    try:
        found = told(block.decode_block(contents).ascending())
    except Malformed:
        return
    cursor = _core._block_cursor(contents)
    walked, one = [], cursor.first()
    while one is not None:
        walked.append(one)
        one = cursor.next()
    assert found == walked


@given(st.binary(max_size=300), st.lists(st.tuples(st.integers(0, 299), st.integers(1, 600)), max_size=8))
def test_lz4(noise, copies):
    data = bytearray(noise)
    for at, size in copies:
        data += (bytes(data[at:]) or b"x")[:1 + at % 7] * (size // (1 + at % 7)) + noise[:at]
    data = bytes(data)
    packed = lz4.compress(data)
    assert lz4.decompress(packed, len(data)) == data
    for wrong in (len(data) + 1, len(data) - 1):
        with pytest.raises(Malformed):
            lz4.decompress(packed, wrong)


@given(st.binary(max_size=80), st.integers(0, 200))
def test_lz4_of_anything_is_the_stated_size_or_refused(junk, size):
    try:
        assert len(lz4.decompress(junk, size)) == size
    except Malformed:
        pass


@pytest.mark.parametrize("name", sorted(set(_pycore.compressions) & set(_core.compressions)))
def test_sealed_blocks_of_each_compression_open_in_the_other(tmp_path, rng, name):
    """Compressed bytes differ; what they hold does not."""
    given_entries = sort_entries([(b"key%05d" % n, n + 1, PUT, rng.randbytes(9) + b"-" * 90) for n in range(2000)])
    written = {}
    for core, number in ((_core, 1), (_pycore, 2)):
        directory = core.Directory(str(tmp_path), create=True)
        writer = core.TableWriter(directory, f"{number:06d}.table", compression=name, number=number, created=1)
        for one in given_entries:
            writer.add(*one)
        written[number] = writer.finish()
    for core in (_core, _pycore):
        for number, facts in written.items():
            table = core.Table(core.Directory(str(tmp_path)), f"{number:06d}.table", core.BlockCache(1 << 16))
            assert table.entries_list() == given_entries
            table.verify(facts["crc"])
    assert abs(written[1]["size"] - written[2]["size"]) < (0.3 * written[1]["size"])


@given(st.binary(max_size=400))
def test_a_sealed_block_is_what_was_sealed_or_damaged(contents):
    for number in compression.CODECS:
        sealed = seal(contents, number)
        assert unseal(sealed) == contents
        with pytest.raises(Malformed):
            unseal(sealed[:-1] + bytes((sealed[-1] ^ 1,)))


# ------------------------------------------------------------------------------------------ tables

def table_of(core, path, name, given_entries, **options):
    directory = core.Directory(str(path), create=True)
    writer = core.TableWriter(directory, name, database_id=DATABASE, created=5, number=7, **options)
    sizes = []
    for one in given_entries:
        writer.add(*one)
        sizes.append(writer.size)
    facts = writer.finish()
    return facts, sizes, (path / name).read_bytes()


@given(entries(), st.sampled_from([64, 256, 4096]), st.sampled_from([1, 4, 16]), st.sampled_from([0, 10]))
def test_tables_byte_for_byte(tmp_path_factory, given_entries, block_bytes, interval, bits):
    path = tmp_path_factory.mktemp("tables")
    how = {"block_bytes": block_bytes, "restart_interval": interval, "bits_per_key": bits}
    compiled = table_of(_core, path, "000001.table", given_entries, **how)
    plain = table_of(_pycore, path, "000002.table", given_entries, **how)
    assert plain == compiled
    directory = _pycore.Directory(str(path))
    table = _pycore.Table(directory, "000001.table", _pycore.BlockCache(1 << 16), size=len(compiled[2]), number=7,
                          database_id=DATABASE)
    twin = _core.Table(_core.Directory(str(path)), "000002.table", _core.BlockCache(1 << 16))
    assert table.properties == twin.properties and table.filter_bytes == twin.filter_bytes
    assert table.entries_list() == given_entries and table.entries_list(reverse=True) == given_entries[::-1]
    for key, sequence, _, _ in given_entries + [(b"b", 9, 0, b"")]:
        for moment in (sequence, sequence - 1, None):
            assert table.get(key, moment) == twin.get(key, moment)
        assert told(table.ascending(key)) == [one for one in given_entries if one[0] >= key]
        assert told(table.descending(key)) == [one for one in given_entries if one[0] < key][::-1]
    assert table.verify(compiled[0]["crc"]) == twin.verify(compiled[0]["crc"])


def test_damage_to_every_byte_of_a_table_is_told_alike(tmp_path):
    """Both refuse the same, with the same place; words may differ where one looks earlier than the other."""
    given_entries = sort_entries([(b"k%03d" % n, n + 1, PUT, b"v" * (n % 9)) for n in range(40)])
    facts, _, data = table_of(_core, tmp_path, "000007.table", given_entries, block_bytes=128, restart_interval=4)

    def answer(core, changed):
        (tmp_path / "000007.table").write_bytes(changed)
        try:
            table = core.Table(core.Directory(str(tmp_path)), "000007.table", core.BlockCache(0), size=len(data), number=7,
                               database_id=DATABASE)
            return [error.offset for error in table.damage(facts["crc"])[3]]
        except (CorruptionError, VersionError) as error:
            return type(error), getattr(error, "offset", None)

    for at in range(len(data)):
        changed = data[:at] + bytes((data[at] ^ 1 << at % 8,)) + data[at + 1:]
        assert answer(_pycore, changed) == answer(_core, changed), at
    for size in (0, 10, 63, 64, 200, len(data) - 1):
        assert answer(_pycore, data[:size]) == answer(_core, data[:size]), size


# ------------------------------------------------------------------------------------------ merging, retaining, seeing

def sources_of(core, path, groups):
    """Memtables of the first two groups, tables of the others; the same in both cores, newest first."""
    directory = core.Directory(str(path), create=True)
    memtables = []
    for group in groups[:2]:
        memtable = core.Memtable()
        for key, sequence, kind, value in sorted(group, key=lambda one: one[1]):
            memtable.put(key, sequence, kind, value)
        memtables.append(memtable)
    tables = []
    for number, group in enumerate(groups[2:], 1):
        name = f"{core.__name__.rpartition('.')[2]}{number}.table"
        writer = core.TableWriter(directory, name, block_bytes=64, created=1)
        for one in group:
            writer.add(*one)
        writer.finish()
        tables.append(core.Table(directory, name, core.BlockCache(1 << 14)))
    return directory, memtables, tables


@st.composite
def histories(draw):
    """Groups of entries, newest first: each sequence is of one write, as in a database."""
    everything = draw(entries(least=4, sequences=st.integers(1, 60)))
    unique = {one[1]: one for one in everything}
    count = draw(st.integers(1, 4))
    edges = sorted(draw(st.lists(st.integers(0, 60), min_size=count - 1, max_size=count - 1)))
    groups = [sort_entries([one for one in unique.values() if low < one[1] <= high])
              for low, high in zip([0, *edges], [*edges, 60])]
    return [group for group in groups[::-1] if group]


@given(histories(), st.lists(st.integers(0, 60), max_size=3, unique=True).map(sorted), st.booleans(), st.integers(100, 3000))
def test_merges_write_the_same_tables(tmp_path_factory, groups, snapshots, bottom, table_bytes):
    path = tmp_path_factory.mktemp("merge")
    written = {}
    for core in (_core, _pycore):
        _, memtables, tables = sources_of(core, path, groups)
        folder = path / core.__name__.rpartition(".")[2]
        merge = core.TableMerge(core.Directory(str(folder), create=True), DATABASE, memtables, [(table,) for table in tables],
                                snapshots, bottom=bottom, compression="none", block_bytes=64, restart_interval=4, bloom_bits=10)
        summaries = []
        number = 1
        while not merge.done:
            summary = merge.step(number, table_bytes, 150)
            if summary is not None:
                summaries.append({name: value for name, value in summary.items() if name != "crc"})
                number += 1
        written[core] = summaries, [without_time((folder / f"{n:06d}.table").read_bytes()) for n in range(1, number)]
    assert written[_core] == written[_pycore]


def without_time(table):
    """A table's bytes but for the time it was made at, and the checksum of the properties that holds it."""
    offset, size = struct.unpack_from("<QQ", table, len(table) - 64 + 32)
    return table[:offset + 72] + table[offset + 80:offset + size - 4] + table[offset + size:]


@given(histories(), st.integers(0, 61), st.none() | KEYS, st.none() | KEYS)
def test_what_is_visible_at_a_moment(tmp_path_factory, groups, moment, lower, upper):
    path = tmp_path_factory.mktemp("view")
    views = {}
    for core in (_core, _pycore):
        directory, memtables, tables = sources_of(core, path, groups)
        views[core] = core.View(directory, tuple(memtables), (tuple(tables),))
    walk = _core._VisibleWalk(views[_core], moment, lower, upper)
    forward, row = [], walk.first()
    while row is not None:
        forward.append(row)
        row = walk.next()
    plain = views[_pycore]
    assert list(rows(plain, moment, lower, upper, reverse=False)) == forward
    assert list(rows(plain, moment, lower, upper, reverse=True)) == forward[::-1]
    for key in {one[0] for group in groups for one in group} | {b"a"}:
        found = plain.find(key, moment << 8 | 0xFF)
        assert (found[1] if found and found[0] & 0xFF == PUT else None) == _core._view_get(views[_core], key, moment)


def test_of_a_key_the_newest_version_of_each_stratum_is_kept():
    versions = [(b"k", -(sequence << 8 | PUT), b"%d" % sequence) for sequence in (9, 7, 5, 3, 1)]
    kept = [tag >> 8 for _, tag in retained(versions, [4, 6], bottom=False) if tag is not None]
    assert kept == [9, 5, 3]
    kept = [tag >> 8 for _, tag in retained(versions, [4, 6], bottom=True) if tag is not None]
    assert kept == [9, 5, 0]
