"""One data block: what is built is found and walked both ways; what is not a block is refused."""
import bisect
import random
import struct

import pytest

from lsm import _core
from lsm.errors import CorruptionError

PUT, DELETE = 1, 0


def internal(entry):
    return entry[0], -((entry[1] << 8) | entry[2])


def entries_of(seed: int, count: int, alphabet: bytes = b"ab\x00\xff", longest: int = 12):
    rng = random.Random(seed)
    found = {}
    while len(found) < count:
        key = bytes(rng.choice(alphabet) for _ in range(rng.randrange(longest)))
        sequence = rng.randrange(1, 50) if rng.random() < 0.8 else rng.getrandbits(56)
        value = rng.randbytes(rng.choice([0, 1, 5, 130, 300]))
        found[key, sequence] = (key, sequence, rng.choice([PUT, PUT, DELETE]), value)
    return sorted(found.values(), key=internal)


def first_at(entries, key, sequence):
    return bisect.bisect_left([internal(e) for e in entries], (key, -((sequence << 8) | 0xFF)))


@pytest.mark.parametrize("interval", [1, 2, 16, 1000])
@pytest.mark.parametrize("count", [1, 2, 17, 150])
def test_walks_both_ways(interval, count):
    entries = entries_of(count, count)
    cursor = _core._block_cursor(_core._block_build(entries, interval))
    forward, at = [], cursor.first()
    while at is not None:
        forward.append(at)
        at = cursor.next()
    backward, at = [], cursor.last()
    while at is not None:
        backward.append(at)
        at = cursor.prev()
    assert forward == entries and backward == entries[::-1]


@pytest.mark.parametrize("interval", [1, 3, 16])
def test_seeks_and_turns_anywhere(interval):
    entries = entries_of(5, 90)
    contents = _core._block_build(entries, interval)
    cursor = _core._block_cursor(contents)
    rng = random.Random(6)
    for _ in range(1500):
        key = rng.choice(entries)[0] if rng.random() < 0.6 else rng.randbytes(rng.randrange(4))
        sequence = rng.randrange(60) if rng.random() < 0.7 else (1 << 56) - 1
        at = first_at(entries, key, sequence)
        if rng.random() < 0.5:
            found = cursor.seek(key, sequence)
        else:
            found, at = cursor.seek_before(key, sequence), at - 1
        for _ in range(rng.randrange(25)):
            assert found == (entries[at] if 0 <= at < len(entries) else None)
            if found is None:
                break
            step = rng.choice([-1, 1, 1]) if rng.random() < 0.5 else -1
            found, at = (cursor.next(), at + 1) if step > 0 else (cursor.prev(), at - 1)


@pytest.mark.parametrize("interval", [1, 3, 16])
@pytest.mark.parametrize("seed", range(4))
def test_get_agrees_with_the_list(interval, seed):
    entries = entries_of(seed, 80, longest=5 + seed * 4)
    contents = _core._block_build(entries, interval)
    rng = random.Random(seed)
    for _ in range(1200):
        key = rng.choice(entries)[0] if rng.random() < 0.5 else bytes(rng.choices(b"ab\0\xff", k=rng.randrange(9)))
        sequence = rng.randrange(60)
        at = first_at(entries, key, sequence)
        hit = at < len(entries) and entries[at][0] == key
        for get in (_core._block_get, _core._directory_get):
            found, past = get(contents, key, sequence)
            assert found == (entries[at][1:] if hit else None)
            assert past == (at < len(entries))


KEYS = {
    "random": lambda rng: rng.randbytes(16),
    "one common prefix": lambda rng: b"users/by-name/" + rng.randbytes(rng.randrange(6)),
    "common prefix of eight": lambda rng: b"8 bytes:" + rng.randbytes(rng.randrange(9)),
    "decimal": lambda rng: b"%08d" % rng.randrange(200),
    "zeros at the end": lambda rng: b"k" * rng.randrange(3) + bytes(rng.randrange(12)),
    "groups of more than four common bytes": lambda rng: b"%d/the same/%d" % (rng.randrange(3), rng.randrange(100)),
    "one long group": lambda rng: b"x" * 30 + b"%d" % rng.randrange(1000),
    "few keys, many versions": lambda rng: b"key-%d" % rng.randrange(4),
}


@pytest.mark.parametrize("shape", KEYS)
@pytest.mark.parametrize("interval", [1, 4, 16])
def test_the_directory_finds_what_the_restart_points_find(shape, interval):
    make, rng = KEYS[shape], random.Random(8)
    for count in (1, 2, 40, 200):
        found = {(key, n): (key, n, PUT, b"%d" % n) for key, n in ((make(rng), n) for n in range(1, count + 1))}
        entries = sorted(found.values(), key=internal)
        contents = _core._block_build(entries, interval)
        keys = [rng.choice(entries)[0] for _ in range(150)] + [make(rng) for _ in range(150)]
        keys += [key[:rng.randrange(len(key) + 1)] for key in keys] + [key + b"\0" for key in keys[:100]]
        for key in keys:
            sequence = rng.randrange(count + 2)
            at = first_at(entries, key, sequence)
            hit = at < len(entries) and entries[at][0] == key
            expected = (entries[at][1:] if hit else None), at < len(entries)
            assert _core._directory_get(contents, key, sequence) == expected == _core._block_get(contents, key, sequence)


def crafted(*entries: bytes, restarts=(0,), count=None):
    body = b"".join(entries)
    restarts_bytes = b"".join(struct.pack("<I", at) for at in restarts)
    return body + restarts_bytes + struct.pack("<I", len(restarts) if count is None else count)


A = b"\x00\x01\x01\x81\x02a1"       # key a, sequence 1, put, value 1
B = b"\x00\x01\x01\x81\x02b2"

BAD = {
    "empty": b"",
    "shorter than a frame": b"\0" * 7,
    "no entries": crafted(),
    "no restart points": crafted(A, restarts=(), count=0),
    "restart count larger than the block": crafted(A, count=1000),
    "restart count that overflows": crafted(A, count=0x40000001),
    "restart count of all ones": crafted(A, count=0xFFFFFFFF),
    "first restart point elsewhere": crafted(A, B, restarts=(7,)),
    "restart point past the entries": crafted(A, B, restarts=(0, 14)),
    "restart point far outside": crafted(A, B, restarts=(0, 0xFFFFFFF0)),
    "restart point at an entry that shares": crafted(A, b"\x01\x01\x01\x81\x02b2", restarts=(0, 7)),
    "first entry shares": crafted(b"\x01\x01\x01\x81\x02a1"),
    "shared longer than the key before": crafted(A, b"\x02\x01\x01\x81\x02b2"),
    "shared of 32 bits": crafted(A, b"\xff\xff\xff\xff\x0f\x01\x01\x81\x02b2"),
    "unshared past the end": crafted(b"\x00\x40\x01\x81\x02a1"),
    "unshared of 32 bits": crafted(b"\x00\xff\xff\xff\xff\x0f\x01\x81\x02a1"),
    "value past the end": crafted(b"\x00\x01\x40\x81\x02a1"),
    "value of 32 bits": crafted(b"\x00\x01\xff\xff\xff\xff\x0f\x81\x02a1"),
    "sizes that add up past 32 bits": crafted(A, b"\x01\xff\xff\xff\xff\x0f\xff\xff\xff\xff\x0f\x81\x02b2"),
    "varint that does not end": crafted(b"\xff" * 30),
    "tag that does not end": crafted(b"\x00\x01\x01" + b"\xff" * 12),
    "tag of more than 64 bits": crafted(b"\x00\x01\x01" + b"\xff" * 9 + b"\x02" + b"a1" + bytes(9)),
    "kind of the future": crafted(b"\x00\x01\x01\x82\x02a1"),
    "keys that descend": crafted(B, A),
    "the same entry twice": crafted(A, A),
    "older version first": crafted(A, b"\x01\x00\x01\x81\x04" + b"2"),
    "half an entry at the end": crafted(A, b"\x00\x01"),
}


@pytest.mark.parametrize("name", BAD)
def test_refuses(name):
    contents = BAD[name]
    with pytest.raises(CorruptionError) as caught:
        cursor = _core._block_cursor(contents)
        at = cursor.first()
        while at is not None:
            at = cursor.next()
        at = cursor.last()
        while at is not None:
            at = cursor.prev()
        cursor.seek(b"zz")
    assert caught.value.path.endswith("block")
    for key in (b"", b"a", b"b", b"zz"):
        for get in (_core._block_get, _core._directory_get):
            try:
                get(contents, key)
            except CorruptionError:
                pass


def test_random_bytes_and_every_bit_flipped_never_do_harm():
    rng = random.Random(11)
    good = _core._block_build(entries_of(3, 30), 4)
    tries = [rng.randbytes(rng.randrange(200)) for _ in range(400)]
    tries += [good[:at // 8] + bytes([good[at // 8] ^ 1 << at % 8]) + good[at // 8 + 1:] for at in range(len(good) * 8)]
    for contents in tries:
        for step in ("first", "last"):
            try:
                cursor = _core._block_cursor(contents)
                at, steps = getattr(cursor, step)(), 0
                while at is not None and steps < 2000:
                    at, steps = cursor.next() if step == "first" else cursor.prev(), steps + 1
                assert steps < 2000
                cursor.seek(b"ab")
                _core._block_get(contents, b"ab")
                _core._directory_get(contents, b"ab")
            except CorruptionError:
                pass


@pytest.mark.parametrize("asked, kept", [(0, 1), (1, 1), (1024, 1024), (5000, 1024)])
def test_a_restart_interval_is_kept_within_its_limits(asked, kept):
    entries = [(b"%06d" % n, 1, PUT, b"") for n in range(3000)]
    contents = _core._block_build(entries, asked)
    assert struct.unpack("<I", contents[-4:])[0] == -(-len(entries) // kept)
    assert _core.block_entries(contents, "block") == entries


@pytest.mark.parametrize("size", range(5))
def test_what_is_smaller_than_the_trailer_of_a_block_is_refused(size):
    with pytest.raises(CorruptionError, match="smaller than its trailer") as caught:
        _core.unsealed(bytes(size), "a table", 17)
    assert (caught.value.path, caught.value.offset) == ("a table", 17)


@pytest.mark.parametrize("seed", range(20))
def test_a_block_out_of_order_is_looked_through_without_harm(seed):
    """Its checksum may hold. What is found has the key that was asked for, wherever the search is led."""
    rng = random.Random(f"out of order {seed}")
    entries = [(bytes(rng.choices(b"ab\0", k=rng.randrange(9))), rng.randrange(1, 99), PUT, b"%d" % n) for n in range(60)]
    contents = _core._block_build(entries, 16)
    for key in [bytes(rng.choices(b"ab\0", k=rng.randrange(7))) for _ in range(400)]:
        for get in (_core._block_get, _core._directory_get):
            found, _ = get(contents, key)
            assert found is None or (key, *found) in entries, key


def test_an_empty_block_is_opened():
    sealed = struct.pack("<BI", 0, _core.crc32c_mask(_core.crc32c(b"\0")))
    assert _core.unsealed(sealed, "a table") == b""
