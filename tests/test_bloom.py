"""The filter: never forgets a key, lets through about as many strangers as theory says, and hashes as documented."""
import math
import random

import pytest

from lsm import _core

MASK = (1 << 64) - 1


def hash64(key: bytes) -> int:
    """docs/format-table.md, in Python."""
    hash = 0x51ED270B9F3D2A4B ^ (len(key) * 0x9E3779B97F4A7C15 & MASK)
    for at in range(0, len(key), 8):
        hash = (hash ^ int.from_bytes(key[at:at + 8], "little")) * 0x9E3779B97F4A7C15 & MASK
        hash ^= hash >> 32
    hash = hash * 0xD6E8FEB86659FD93 & MASK
    return hash ^ (hash >> 32)


def may_contain(lines: bytes, probes: int, key: bytes) -> bool:
    bits = hash64(key)
    line = ((bits >> 32) * (len(lines) // 64) >> 32) * 64
    for _ in range(probes):
        bits = bits * 0xA0761D6478BD642F & MASK
        if not lines[line + (bits >> 58)] >> (bits >> 55 & 7) & 1:
            return False
    return True


def test_hash_and_probe_are_as_documented():
    rng = random.Random(1)
    keys = [rng.randbytes(size) for size in range(70)]
    lines, probes = _core._bloom_build(keys, 10)
    for key in keys + [rng.randbytes(12) for _ in range(300)]:
        assert _core._hash64(key) == hash64(key)
        assert _core._bloom_may_contain(lines, probes, key) == may_contain(lines, probes, key)


@pytest.mark.parametrize("bits_per_key, count", [(10, 1), (10, 100), (1, 1000), (4, 20_000), (10, 20_000), (24, 5000)])
def test_every_key_added_is_there(bits_per_key, count):
    keys = [b"key%07d" % i for i in range(count)]
    lines, probes = _core._bloom_build(keys, bits_per_key)
    assert len(lines) == -(-count * bits_per_key // 512) * 64
    assert all(_core._bloom_may_contain(lines, probes, key) for key in keys)


@pytest.mark.parametrize("bits_per_key", [4, 8, 10, 12])
@pytest.mark.parametrize("kind", ["counted", "random"])
def test_strangers_let_through_stay_near_theory(bits_per_key, kind):
    count, asked = 40_000, 200_000
    rng = random.Random(2)
    if kind == "counted":
        keys, strangers = ([b"%012d" % i for i in range(count)], [b"%012d" % i for i in range(count, count + asked)])
    else:
        keys, strangers = ([rng.randbytes(16) for _ in range(count)], [rng.randbytes(16) for _ in range(asked)])
    lines, probes = _core._bloom_build(keys, bits_per_key)
    passed = sum(_core._bloom_may_contain(lines, probes, key) for key in strangers)
    theory = (1 - math.exp(-probes / bits_per_key)) ** probes
    print(f"{bits_per_key} bits, {probes} probes: {passed / asked:.5f}, theory {theory:.5f}")
    assert passed / asked < 1.5 * theory


def test_without_bits_or_keys_there_is_no_filter_and_everything_may_be_there():
    for lines, probes in (_core._bloom_build([b"a"], 0), _core._bloom_build([], 10)):
        assert lines == b"" and _core._bloom_may_contain(lines, probes, b"stranger")
