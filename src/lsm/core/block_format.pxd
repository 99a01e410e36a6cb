# cython: language_level=3
"""A block as it lies in a table file: stored contents, compression byte, masked CRC32C of both.

`block_seal` appends one to a buffer; `sealed_block` checks one and states the size of its contents, so that the
reader can make room; `sealed_open` puts the contents there. Nothing of a block is believed before its checksum holds.

Owner: everything is borrowed. Threads: no state.
"""
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdio cimport snprintf
from libc.string cimport memcpy

from lsm.core.buffer cimport Buffer, buffer_append, buffer_reserve
from lsm.core.coding cimport Slice, get_fixed32, put_fixed32
from lsm.core.compress cimport (COMPRESSION_LZ4, COMPRESSION_NONE, COMPRESSION_ZSTD, compress, compression_built,
                                decompress)
from lsm.core.crc32c cimport crc32c, crc_mask
from lsm.core.fault cimport FAULT_UNSUPPORTED, Fault, fault, fault_corrupt, fault_memory


cdef enum:
    BLOCK_TRAILER_BYTES = 5
    BLOCK_SIZE_BYTES = 4                # before compressed bytes: the size of the contents
    BLOCK_BYTES_MAX = 268435456         # 256 MiB, the contents of any block


ctypedef struct SealedBlock:
    const uint8_t *stored
    size_t stored_size                  # without the trailer
    int compression
    size_t size                         # of the contents


cdef inline int block_seal(Buffer *to, Slice contents, int compression) noexcept nogil:
    """Append `contents` as a block, compressed when that saves at least a sixteenth: 0, or -1 for no memory."""
    cdef uint8_t head[BLOCK_SIZE_BYTES]
    cdef size_t start = to.size
    cdef size_t room
    cdef long made = 0
    cdef uint8_t *trailer
    if buffer_reserve(to, contents.size + BLOCK_SIZE_BYTES + BLOCK_TRAILER_BYTES) != 0:
        return -1
    if compression != COMPRESSION_NONE and contents.size >= 32:
        room = contents.size - contents.size // 16 - BLOCK_SIZE_BYTES
        made = compress(compression, contents.data, contents.size, to.data + start + BLOCK_SIZE_BYTES, room)
    if made > 0:
        put_fixed32(head, <uint32_t>contents.size)
        memcpy(to.data + start, head, BLOCK_SIZE_BYTES)
        to.size += BLOCK_SIZE_BYTES + <size_t>made
    else:
        compression = COMPRESSION_NONE
        if buffer_append(to, contents.data, contents.size) != 0:
            return -1
    trailer = to.data + to.size
    trailer[0] = <uint8_t>compression
    put_fixed32(trailer + 1, crc_mask(crc32c(0, to.data + start, to.size - start + 1)))
    to.size += BLOCK_TRAILER_BYTES
    return 0


cdef inline int _unsupported(int compression, const char *file, uint64_t offset, Fault *out) noexcept nogil:
    cdef char text[160]
    cdef const char *name = "an unknown compression"
    if compression == COMPRESSION_LZ4:
        name = "lz4"
    elif compression == COMPRESSION_ZSTD:
        name = "zstd"
    snprintf(text, sizeof(text), "block compressed with %s (id %d), which this build of lsm lacks: install its "
             "header files and build again", name, compression)
    return fault(out, FAULT_UNSUPPORTED, file, offset, text)


cdef inline int sealed_block(SealedBlock *self, const uint8_t *at, size_t size, const char *file, uint64_t offset,
                             Fault *fault) noexcept nogil:
    """Check the block of `size` bytes (trailer included) at `at`, which was read from `offset` of `file`."""
    if size < BLOCK_TRAILER_BYTES:
        return fault_corrupt(fault, file, offset, "block smaller than its trailer")
    if crc_mask(crc32c(0, at, size - 4)) != get_fixed32(at + size - 4):
        return fault_corrupt(fault, file, offset, "block checksum does not match")
    self.stored = at
    self.stored_size = size - BLOCK_TRAILER_BYTES
    self.compression = at[self.stored_size]
    self.size = self.stored_size
    if self.compression != COMPRESSION_NONE:
        if not compression_built(self.compression):
            return _unsupported(self.compression, file, offset, fault)
        if self.stored_size < BLOCK_SIZE_BYTES:
            return fault_corrupt(fault, file, offset, "compressed block without its size")
        self.size = get_fixed32(at)
    if self.size > BLOCK_BYTES_MAX:
        return fault_corrupt(fault, file, offset, "block claims more than 256 MiB")
    if self.compression == COMPRESSION_LZ4 and self.size // 256 > self.stored_size:
        return fault_corrupt(fault, file, offset, "block claims more than lz4 can hold in its bytes")
    if self.compression == COMPRESSION_ZSTD and self.size // 32768 > self.stored_size:      # 128 KiB take 4 bytes at least
        return fault_corrupt(fault, file, offset, "block claims more than zstd can hold in its bytes")
    return 0


cdef inline int sealed_open(const SealedBlock *self, uint8_t *to, const char *file, uint64_t offset,
                            Fault *fault) noexcept nogil:
    """Put the contents (self.size bytes) at `to`."""
    cdef int status
    if self.compression == COMPRESSION_NONE:
        if self.size > 0:
            memcpy(to, self.stored, self.size)
        return 0
    status = decompress(self.compression, self.stored + BLOCK_SIZE_BYTES, self.stored_size - BLOCK_SIZE_BYTES, to, self.size)
    if status == -2:
        return fault_memory(fault)
    return 0 if status == 0 else fault_corrupt(fault, file, offset, "block does not decompress to its stated size")
