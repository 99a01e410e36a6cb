"""Each way a log can be damaged, by name: what a crash leaves is dropped, what it cannot leave is CorruptionError.

Made by hand with log_reference.py; the rules are those of docs/format-log.md.
"""
import struct

import pytest
from crash_engine import open_files, open_on
from log_reference import DATABASE, FIELDS, HEADER, entry, log, log_header, record, recovered, replayed

from lsm import _core
from lsm.errors import CorruptionError, VersionError

FIRST = record(1, entry(b"a", b"first"), entry(b"b", b"first"))
SECOND = record(3, entry(b"a", b"second"), entry(b"c", b"second"))
THIRD = record(5, entry(b"a", b"third"))
START = {"first": HEADER, "second": HEADER + len(FIRST), "third": HEADER + len(FIRST) + len(SECOND)}
WHOLE = log(FIRST, SECOND, THIRD)
AFTER_FIRST = {b"a": b"first", b"b": b"first"}
AFTER_SECOND = {**AFTER_FIRST, b"a": b"second", b"c": b"second"}
AFTER_THIRD = {**AFTER_SECOND, b"a": b"third"}


def torn(data, sequence, **how):
    """Reading ends in a tear after `sequence`, and recovery keeps just that."""
    (last, end, is_torn, _), entries = replayed(data, **how)
    assert (last, is_torn) == (sequence, True) and len(entries) == sequence
    return end


def corrupt(data, offset, match=None, **how):
    with pytest.raises(CorruptionError, match=match) as raised:
        replayed(data, **how)
    assert (raised.value.path, raised.value.offset) == ("/db/000001.log", offset)
    with pytest.raises(CorruptionError):
        recovered(data)
    with pytest.raises(CorruptionError):
        _core.check_log(data, "000001.log", 1, DATABASE, "/db")


def large(sequence, synced=0, sectors=6):
    """A record of some sectors without a zero byte to speak of."""
    return record(sequence, entry(b"large %d" % sequence, b"v" * (sectors * 512)), synced=synced)


def without_sector(data, start, end, which=0):
    """`data` with one of the whole sectors between start and end zero."""
    at = (start + 511) // 512 * 512 + which * 512
    assert start <= at and at + 512 <= end
    return data[:at] + bytes(512) + data[at + 512:]


def test_the_sound_log():
    assert recovered(WHOLE) == (AFTER_THIRD, 5)


# ------------------------------------------------------------------ the end of a log: what a crash leaves


@pytest.mark.parametrize("room", [0, 5, 200])
def test_truncated_at_each_length_it_holds_the_whole_records(room):
    """Room behind it or not: every prefix of a record is a tear, and no prefix is an error."""
    for length in range(HEADER, len(WHOLE) + 1):
        ends = [end for end in (*START.values(), len(WHOLE)) if end <= length]
        (last, end, is_torn, _), _ = replayed(WHOLE[:length] + bytes(room))
        whole = (ends[-1] == length if not room else not any(WHOLE[ends[-1]:length]))
        # zeros may stand for the last bytes of a record that is all padding from there on
        if end == ends[-1]:
            assert last == [0, 2, 4, 5][len(ends) - 1]
            assert is_torn is not whole
        else:
            assert end > length and WHOLE[length:end] == bytes(end - length), "only padding was missing"
        assert recovered(WHOLE[:length] + bytes(room))[1] == last


@pytest.mark.parametrize("name, tail", [
    ("torn header", SECOND[:39]), ("torn payload", SECOND[:50]), ("torn padding", SECOND[:-1].rstrip(b"\0")),
    ("header with a payload of zeros", SECOND[:40] + bytes(len(SECOND) - 40)),
    ("payload with a header of zeros", bytes(40) + SECOND[40:]),
    ("junk", b"\x8f" * 77), ("one byte of junk", b"\x01"), ("junk behind room", bytes(640) + b"junk"),
    ("length beyond the file", record(3, entry(b"c", b"c"), size=1 << 20)),
    ("the largest length", record(3, entry(b"c", b"c"), size=0xFFFFFFFF)),
    ("length up to the last bytes", record(3, entry(b"c", b"c"), size=62)),
    ("length zero", record(3, entry(b"c", b"c"), size=0)),
    ("a record of another log", record(3, entry(b"c", b"stale"), number=2)),
    ("a header of a log", log_header()),
])
def test_as_the_end_of_a_log_it_is_a_tear(name, tail):
    for room in (b"", bytes(24)):
        if room and name == "torn padding":
            continue
        data = log(FIRST) + tail + room
        assert torn(data, 2) == HEADER + len(FIRST)
        assert recovered(data) == (AFTER_FIRST, 2)
        with pytest.raises(CorruptionError):
            _core.check_log(data, "000001.log", 1, DATABASE, "/db")


def test_a_tear_is_corruption_when_what_it_takes_had_been_synced():
    tail = record(5, entry(b"d", b"d"), synced=4)
    lost = without_sector(log(FIRST, large(3), large(4), tail), HEADER + len(FIRST), HEADER + len(FIRST + large(3)))
    assert torn(lost, 2) == HEADER + len(FIRST)
    with pytest.raises(CorruptionError, match="up to 4 had been synced.* none after 2") as raised:
        recovered(lost)
    assert raised.value.offset == HEADER + len(FIRST)


@pytest.mark.parametrize("which", range(5))
def test_a_hole_of_a_sector_with_good_records_behind_is_dropped_above_the_watermark(which):
    data = log(FIRST, large(3, synced=2), record(4, entry(b"d", b"d"), synced=2), large(5, synced=2))
    start, end = HEADER + len(FIRST), HEADER + len(FIRST) + len(large(3))
    holed = without_sector(data, start, end, which)
    assert torn(holed, 2) == start
    assert recovered(holed) == (AFTER_FIRST, 2)


@pytest.mark.parametrize("which", range(5))
def test_the_same_hole_below_the_watermark_is_corruption(which):
    data = log(FIRST, large(3), record(4, entry(b"d", b"d"), synced=3))
    start, end = HEADER + len(FIRST), HEADER + len(FIRST) + len(large(3))
    with pytest.raises(CorruptionError, match="synced"):
        recovered(without_sector(data, start, end, which))


def test_a_hole_to_the_border_of_a_sector_is_a_hole():
    """The record in front shares the sector with the beginning of what was lost."""
    data = log(FIRST, large(3), large(4))
    start = HEADER + len(FIRST)
    assert torn(data[:start] + bytes(512 - start % 512) + data[512:], 2) == start


# ------------------------------------------------------------------ damage a crash cannot leave


@pytest.mark.parametrize("which", ["first", "second"])
@pytest.mark.parametrize("field", FIELDS)
def test_a_flipped_bit_in_any_field_of_a_record_that_is_not_the_last(which, field):
    place = START[which] + FIELDS[field]
    for bit in range(8):
        data = bytearray(WHOLE)
        data[place] ^= 1 << bit
        corrupt(bytes(data), START[which], "damaged")
        corrupt(bytes(data) + bytes(512), START[which], "damaged")


def test_every_flipped_bit_before_the_last_record_is_noticed():
    for place in range(HEADER, START["third"]):
        data = bytearray(WHOLE)
        data[place] ^= 1 << place % 8
        with pytest.raises(CorruptionError):
            replayed(bytes(data))


def test_a_flipped_bit_in_the_last_record_drops_that_record():
    for place in range(START["third"], len(WHOLE)):
        data = bytearray(WHOLE)
        data[place] ^= 1 << place % 8
        assert torn(bytes(data), 4) == START["third"]


@pytest.mark.parametrize("name, bad", [
    ("length zero", record(3, entry(b"c", b"c"), size=0)), ("length beyond the file", record(3, entry(b"c", b"c"), size=1 << 30)),
    ("length too small", record(3, entry(b"c", b"c" * 30), size=16)),
    ("a record of another log", record(3, entry(b"c", b"c"), number=2)), ("junk", b"\x8f" * 80)])
def test_with_good_records_behind_it_is_damage(name, bad):
    corrupt(log(FIRST, bad, record(4, entry(b"d", b"d"))), START["second"], "damaged")


@pytest.mark.parametrize("name, bad, match", [
    ("unknown kind", record(3, b"\x02\x01\x01cc"), "no entry"),
    ("kind 255", record(3, b"\xff\x01\x01cc"), "no entry"),
    ("key over the limit", record(3, entry(b"k" * 65_536, b"")), "no entry"),
    ("value over the limit", record(3, b"\x01\x01\x81\x80\x80\x40cv"), "no entry"),
    ("key beyond the record", record(3, b"\x01\x05\x00abc"), "no entry"),
    ("value beyond the record", record(3, b"\x01\x01\x05abc"), "no entry"),
    ("a varint without end", record(3, b"\x01" + b"\xff" * 11), "no entry"),
    ("an empty payload", record(3, b""), "no entry"),
    ("count too large", record(3, entry(b"c", b"c"), count=2), "no entry"),
    ("count far too large", record(3, entry(b"c", b"c"), count=0xFFFFFFFF), "no entry"),
    ("count too small", record(3, entry(b"c", b"c"), entry(b"d", b"d"), count=1), "longer than its entries"),
    ("count zero", record(3, entry(b"c", b"c"), count=0), "in sequence"),
    ("a sequence gap", record(4, entry(b"c", b"c")), "in sequence"),
    ("a sequence again", record(2, entry(b"c", b"c")), "in sequence"),
    ("a record repeated", FIRST, "in sequence"),
    ("sequence zero", record(0, entry(b"c", b"c")), "in sequence"),
    ("the highest sequence", record((1 << 64) - 1, entry(b"c", b"c")), "in sequence"),
])
def test_a_whole_record_that_says_nonsense(name, bad, match):
    """The checksum is right, so no crash made it; with records behind it or not."""
    for behind in (b"", record(4, entry(b"d", b"d"))):
        with pytest.raises(CorruptionError, match=match) as raised:
            replayed(log(FIRST, bad) + behind)
        assert raised.value.offset == START["second"]


# ------------------------------------------------------------------ the header


@pytest.mark.parametrize("data", [b"", b"l", log_header()[:63], bytes(64), bytes(10_000), b"\xff" * 200])
def test_a_file_without_a_header(data):
    corrupt(data, 0, "header")


def test_every_flipped_bit_of_the_header_is_noticed():
    for place in range(HEADER):
        data = bytearray(WHOLE)
        data[place] ^= 1 << place % 8
        corrupt(bytes(data), 0 if place < 8 else 8)


def test_a_log_of_another_number_or_database():
    corrupt(log(FIRST, number=2), 16, "another")
    corrupt(log(FIRST, database=bytes(16)), 16, "another")
    with pytest.raises(ValueError, match="16 bytes"):
        replayed(WHOLE, database=b"short")


def test_a_newer_version_is_said_to_be_newer_and_version_zero_to_be_damage():
    with pytest.raises(VersionError, match="newer"):
        replayed(log(FIRST, version=2))
    corrupt(log(FIRST, version=0), 12, "version")


# ------------------------------------------------------------------ several logs


def test_a_tear_drops_the_logs_behind_it_too():
    later = log(record(5, entry(b"late", b"1"), number=2), number=2)
    assert recovered(log(FIRST, SECOND[:30]), later) == (AFTER_FIRST, 2)
    assert recovered(log(FIRST), later) == (AFTER_FIRST, 2), "the end of the first log is missing altogether"
    assert recovered(log(FIRST, SECOND), later) == ({**AFTER_SECOND, b"late": b"1"}, 5)


def test_but_not_when_a_later_log_says_that_what_is_missing_was_synced():
    later = log(record(5, entry(b"late", b"1"), number=2, synced=4), number=2)
    for first, offset in ((log(FIRST, SECOND[:30]), START["second"]), (log(FIRST), START["second"])):
        with pytest.raises(CorruptionError) as raised:
            recovered(first, later)
        assert (raised.value.path, raised.value.offset) == ("/db/000001.log", offset)


def test_a_later_log_that_begins_too_early_is_damage():
    with pytest.raises(CorruptionError, match="sequence"):
        recovered(log(FIRST), log(record(2, entry(b"x", b"x"), number=2), number=2))


# ------------------------------------------------------------------ through the whole engine


def killed():
    directory = _core.SimulatedDirectory()
    db = open_on(directory, {})
    for n in range(10):
        db.put(b"%d" % n, b"v" * n)
    files = directory.crashed_process()
    db.close()
    return files, next(name for name in files if name.endswith(".log"))


def test_the_engine_opens_with_a_torn_log_and_refuses_a_damaged_one_without_changing_it():
    files, name = killed()
    data = files[name]
    last = data.rindex(b"\x01\x01\x099")                # the entry of the last put
    with open_files({**files, name: data[:last] + b"\xee" + data[last + 1:]}, {}) as db:
        assert list(db) == [b"%d" % n for n in range(9)] and db.verify()
    first = data.index(b"\x01\x01\x000") - FIELDS["payload"] + FIELDS["time"]
    directory = _core.SimulatedDirectory({**files, name: data[:first] + b"\xee" + data[first + 1:]})
    before = {n: b for n, b in directory.files().items() if n != "LOCK"}
    with pytest.raises(CorruptionError) as raised:
        open_on(directory, {})
    assert (raised.value.path, raised.value.offset) == (f"/simulated/{name}", HEADER)
    assert {n: b for n, b in directory.files().items() if n != "LOCK"} == before


def test_verify_finds_damage_in_the_log_that_is_being_written(path):
    import lsm
    with lsm.open(path) as db:
        db[b"a"], db[b"b"] = b"1", b"2"
        name, = path.glob("*.log")
        with open(name, "r+b") as file:
            file.seek(HEADER + FIELDS["time"])
            stamp, = struct.unpack("<Q", file.read(8))
            file.seek(HEADER + FIELDS["time"])
            file.write(struct.pack("<Q", stamp ^ 1))
        damage, = db.verify().damage
        assert (damage.path, damage.offset) == (str(name), HEADER)


def looks_like_records(size):
    """At each place where a record might be, the header of one of this log that would take half of what is there."""
    return struct.pack("<II", 1, size // 2) * (size // 8)


def test_behind_a_gap_too_much_that_looks_like_records_is_not_searched_and_counts_as_synced():
    """To sum all of it would take as long as its size squared: what is missing may have been promised, so it is damage."""
    gap = bytes(-(len(FIRST) + HEADER) % 512 + 1024)
    sound = log(FIRST, gap, record(100, entry(b"z", b"kept by the crash"), synced=1))
    (last, _, is_torn, watermark), _ = replayed(sound)
    assert (last, is_torn, watermark) == (2, True, 1)
    (last, _, is_torn, watermark), _ = replayed(sound + looks_like_records(1 << 20))
    assert (last, is_torn, watermark) == (2, True, (1 << 56) - 1)
    with pytest.raises(CorruptionError):
        recovered(sound + looks_like_records(1 << 20))


def test_a_tail_that_looks_like_too_many_records_is_damage():
    corrupt(log(FIRST, looks_like_records(1 << 20)), START["second"], "too much behind it looks like records")
