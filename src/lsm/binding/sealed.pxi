# Sealed blocks, one by one, for salvage: of a table that does not open, and without its index. Any thread.
from lsm.core.block_cursor cimport block_cursor_first, block_cursor_next
from lsm.core.block_format cimport BLOCK_TRAILER_BYTES, SealedBlock, sealed_block, sealed_open
from lsm.core.coding cimport get_fixed32
from lsm.core.crc32c cimport crc32c as _sum, crc_mask as _masked


def sealed_end(bytes data not None, size_t start, size_t stop):
    """Where the block that begins at `start` ends, checksum included, told by that alone: the nearest place at or before `stop`
    where the checksum of all between is stored. 0 when there is none."""
    cdef const uint8_t *at = <const uint8_t *><const char *>data
    cdef size_t end
    cdef uint32_t crc = 0
    if stop > <size_t>len(data) or start > stop or stop - start < BLOCK_TRAILER_BYTES:
        return 0
    with nogil:
        end = start + BLOCK_TRAILER_BYTES
        while end <= stop:
            crc = _sum(crc, at + end - BLOCK_TRAILER_BYTES, 1)
            if _masked(crc) == get_fixed32(at + end - 4):
                break
            end += 1
    return end if end <= stop else 0


def unsealed(bytes sealed not None, str path not None, uint64_t offset=0):
    """The contents of a block, which lies at `offset` of the file; its checksum is checked."""
    cdef const uint8_t *at = <const uint8_t *><const char *>sealed
    cdef size_t size = <size_t>len(sealed)
    cdef SealedBlock block
    cdef Fault fault
    cdef uint8_t *to = NULL
    cdef int status
    with nogil:
        status = sealed_block(&block, at, size, b"", offset, &fault)
        if status == 0:
            to = <uint8_t *>malloc(block.size + 1)
            status = fault_memory(&fault) if to == NULL else sealed_open(&block, to, b"", offset, &fault)
    try:
        if status != 0:
            raise_fault(&fault, path)
        return bytes_of_slice(slice_of(to, block.size))
    finally:
        free(to)


def block_entries(bytes contents not None, str path not None, uint64_t offset=0):
    """[(key, sequence, kind, value)] of the contents of a data block; order, sizes and restart points are checked."""
    cdef BlockCursor block
    cdef BlockView view
    cdef Fault fault
    cdef int status
    found = []
    block_cursor_init(&block)
    try:
        status = block_cursor_open(&block, slice_of_bytes(contents), b"", offset, &fault)
        if status == 0:
            view = block.view
            status = check_restarts(&view, &fault)
        if status == 0:
            status = block_cursor_first(&block.cursor, &fault)
        while status == 0 and block.cursor.valid:
            found.append((bytes_of_slice(block.cursor.key), tag_sequence(block.cursor.tag), tag_kind(block.cursor.tag),
                          bytes_of_slice(block.cursor.value)))
            status = block_cursor_next(&block.cursor, &fault)
        if status != 0:
            raise_fault(&fault, path)
        return found
    finally:
        block_cursor_free(&block)
