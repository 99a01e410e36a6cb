"""CRC32C in plain Python: the reference for lsm._core.crc32c."""

from __future__ import annotations

TABLE: list[int] = []
for index in range(256):
    for _ in range(8):
        index = (index >> 1) ^ (0x82F63B78 if index & 1 else 0)
    TABLE.append(index)


def crc32c(data: bytes, crc: int = 0) -> int:
    crc ^= 0xFFFFFFFF
    for byte in data:
        crc = (crc >> 8) ^ TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF
