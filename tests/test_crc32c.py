"""CRC32C: published vectors, and every way of computing it against a bit-by-bit one."""
import random

import pytest

from lsm import _core

VECTORS = [  # RFC 3720, B.4, and the usual check value
    (b"", 0),
    (b"123456789", 0xE3069283),
    (bytes(32), 0x8A9136AA),
    (b"\xff" * 32, 0x62A8AB43),
    (bytes(range(32)), 0x46DD794E),
    (bytes(range(31, -1, -1)), 0x113FDB5C),
]
SIZES = [*range(0, 40), 63, 64, 65, 255, 767, 768, 769, 1000, 4096, 6143, 6144, 6151, 12288, 20001]


def crc_bit_by_bit(data: bytes, crc: int = 0) -> int:
    crc ^= 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


@pytest.mark.parametrize("data, expected", VECTORS)
def test_published_vectors(data, expected):
    assert set(_core._crc32c_ways(data).values()) == {expected}


def test_every_way_gives_the_same_sum_at_every_length_and_alignment():
    source = random.Random(7).randbytes(21000)
    for size in SIZES:
        for start in (0, 1, 5):
            data = source[start:start + size]
            expected = crc_bit_by_bit(data, 0x1234)
            assert set(_core._crc32c_ways(data, 0x1234).values()) == {expected}, (size, start)


def test_a_sum_can_be_continued():
    data = random.Random(8).randbytes(9000)
    for cut in (0, 1, 8, 777, 8999, 9000):
        assert _core.crc32c(data[cut:], _core.crc32c(data[:cut])) == _core.crc32c(data)


def test_mask_is_undone_by_unmask_and_changes_the_sum():
    rng = random.Random(9)
    for crc in [0, 1, 0xFFFFFFFF, *(rng.getrandbits(32) for _ in range(100))]:
        masked = _core.crc32c_mask(crc)
        assert masked != crc and _core.crc32c_unmask(masked) == crc
        assert masked == (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF
