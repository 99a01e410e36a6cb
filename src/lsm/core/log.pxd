# cython: language_level=3
"""Log: the write-ahead log of one memtable. The format is docs/format-log.md.

log := header record*.  header (64 bytes) := magic "lsm.log\\n", crc u32 (masked, over the 52 bytes that follow), format
version u32, log number u64, database id 16 bytes, 24 zero bytes. Behind the last record a log that was not closed has
zero bytes: the room that was made ready for more.

Writing: a record is built in place, in the window that Env's `reserve` hands out, and is complete when its checksum
is; `commit` makes it survive the death of the process.

Reading: the whole log is in memory (it is about as large as a memtable). `log_next` takes records off the front for as
long as they are unharmed and of consecutive sequence. Where it stops, `log_tail` says what is behind: nothing but
zero bytes (the end), the tear of a crash (dropped), or damage (an error). The rules are in its comment. Every step
advances by at least eight bytes; and what looks like records, each of which claims all that follows, ends a search as damage
when so many bytes were summed that no accident explains it: time stays in proportion to the size.

What is said here of logs holds for the data files of a hashlog, too, whose magic and records are others (data_record.pxd).

Owner: the writer owns its File; a reader borrows the bytes. Threads: the store's write lock; `file.sync` may run beside.
"""
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy, memset

from lsm.core.coding cimport Slice, get_fixed32, get_fixed64, put_fixed32, put_fixed64
from lsm.core.crc32c cimport crc32c, crc_mask
from lsm.core.env cimport File
from lsm.core.fault cimport FAULT_UNSUPPORTED, Fault, fault, fault_corrupt
from lsm.core.record cimport RECORD_ALIGNMENT, RECORD_HEADER_BYTES, RecordHeader, record_bytes, record_open


cdef enum:
    LOG_HEADER_BYTES = 64
    LOG_VERSION = 1
    LOG_SECTOR = 512                    # the smallest piece a disk writes whole
    LOG_EFFORT = 16777216               # bytes that a search may sum, and so many times the log's size
    LOG_EFFORT_TIMES = 4


cdef enum LogTail:
    TAIL_CLEAN = 0                      # nothing but zero bytes, or nothing
    TAIL_TORN = 1                       # what a crash leaves of writes that were never synced


# is there a whole, unharmed record of this file at `at`, with so many bytes left? Its number stands 8 bytes behind `at`
ctypedef bint (*record_function)(const uint8_t *at, size_t left, uint32_t number, RecordHeader *header) noexcept nogil


ctypedef struct LogReader:
    const uint8_t *data
    size_t size
    size_t at                           # where the next record is looked for
    uint32_t number
    const char *name
    const char *magic                   # eight bytes
    record_function open
    uint64_t sequence                   # of the last entry read
    uint64_t synced                     # the highest watermark met
    uint64_t effort                     # bytes that searches may still sum; 0: too many, and what they would find is not known


cdef inline const char *log_magic() noexcept nogil:
    return b"lsm.log\n"


cdef inline void log_reader(LogReader *self, Slice data, uint64_t number, const char *name) noexcept nogil:
    """Begin to read a log, all of whose bytes are given."""
    memset(self, 0, sizeof(LogReader))
    self.data = data.data
    self.size = data.size
    self.number = <uint32_t>number
    self.name = name
    self.magic = log_magic()
    self.open = record_open
    self.effort = LOG_EFFORT + LOG_EFFORT_TIMES * <uint64_t>data.size


cdef inline void log_header_encode(uint8_t *to, const char *magic, uint64_t number, const uint8_t *database) noexcept nogil:
    memset(to, 0, LOG_HEADER_BYTES)
    memcpy(to, magic, 8)
    put_fixed32(to + 12, LOG_VERSION)
    put_fixed64(to + 16, number)
    memcpy(to + 24, database, 16)
    put_fixed32(to + 8, crc_mask(crc32c(0, to + 12, LOG_HEADER_BYTES - 12)))


cdef inline int log_header_check(LogReader *self, uint64_t number, const uint8_t *database, Fault *fault_) noexcept nogil:
    """0 when the log begins with its header, which is durable before the manifest names the log. The checksum covers
    the version and comes first, so that damage is never taken for a newer format."""
    cdef const uint8_t *data = self.data
    if self.size < LOG_HEADER_BYTES or memcmp(data, self.magic, 8) != 0:
        return fault_corrupt(fault_, self.name, 0, b"not a log: its header is missing or damaged")
    if get_fixed32(data + 8) != crc_mask(crc32c(0, data + 12, LOG_HEADER_BYTES - 12)):
        return fault_corrupt(fault_, self.name, 8, b"the checksum of the log's header is wrong")
    if get_fixed32(data + 12) > LOG_VERSION:
        return fault(fault_, FAULT_UNSUPPORTED, self.name, 12, b"format version of the log is newer than this lsm reads")
    if get_fixed32(data + 12) != LOG_VERSION:
        return fault_corrupt(fault_, self.name, 12, b"the log's format version is wrong")
    if get_fixed64(data + 16) != number or memcmp(data + 24, database, 16) != 0:
        return fault_corrupt(fault_, self.name, 16, b"this log belongs to another place or another database")
    self.at = LOG_HEADER_BYTES
    return 0


cdef inline bint log_next(LogReader *self, RecordHeader *header) noexcept nogil:
    """The next record: True, with its payload at data + at - record_bytes + header. False where the run ends."""
    if self.at > self.size:
        return False
    if not self.open(self.data + self.at, self.size - self.at, self.number, header):
        return False
    if header.sequence != self.sequence + 1 or header.count == 0:
        return False
    self.at += record_bytes(header.size)
    self.sequence += header.count
    if header.synced > self.synced:
        self.synced = header.synced
    return True


cdef inline size_t _log_scan(LogReader *self, size_t start, RecordHeader *header) noexcept nogil:
    """Where the first unharmed record of this log at or after `start` stands; the size of the log when nowhere, or given up."""
    cdef size_t at = start
    cdef uint64_t claimed
    while self.effort > 0 and self.size - at >= RECORD_HEADER_BYTES:
        if get_fixed32(self.data + at + 8) == self.number:
            if self.open(self.data + at, self.size - at, self.number, header):
                return at
            claimed = get_fixed32(self.data + at + 4)       # the bytes behind the header: they were summed if there are so many
            if claimed <= self.size - at:
                self.effort -= min(claimed, self.effort)
        at += RECORD_ALIGNMENT
    return self.size


cdef inline bint _log_zero(const uint8_t *data, size_t start, size_t end) noexcept nogil:
    while start < end:
        if data[start] != 0:
            return False
        start += 1
    return True


cdef inline bint _log_hole(LogReader *self, size_t start, size_t end) noexcept nogil:
    """Is any disk sector's part of [start, end) all zero, as where a write never reached the disk?"""
    cdef size_t sector = start
    cdef size_t next
    while sector < end:
        next = (sector // LOG_SECTOR + 1) * LOG_SECTOR
        if next > end:
            next = end
        if _log_zero(self.data, sector, next):
            return True
        sector = next
    return False


cdef inline void log_watermark(LogReader *self, size_t start) noexcept nogil:
    """Raise `synced` to the highest watermark of any unharmed record from `start` on; when that cannot be told, above all."""
    cdef RecordHeader header
    cdef size_t at = _log_scan(self, start, &header)
    while at < self.size:
        if header.synced > self.synced:
            self.synced = header.synced
        at = _log_scan(self, at + record_bytes(header.size), &header)
    if self.effort == 0:
        self.synced = <uint64_t>0xFFFFFFFFFFFFFF            # as high as a sequence can be


cdef inline int log_tail(LogReader *self, int *tail, Fault *fault_) noexcept nogil:
    """What stands behind the last record that was read: sets `tail`, or -1 when it is damage.

    1. Nothing but zeros: the end of a log, and its unused room.
    2. Bytes, but no unharmed record behind them: the last write was torn.
    3. Unharmed records behind a gap. Either a power loss kept later sectors and lost earlier ones: then a sector of
       the gap is still zero. Or the bytes of the gap are there and wrong: damage, for the checksum says so.
    4. No gap, but the sequence jumps: at the head of a log this is how the loss of the end of the log before it looks;
       anywhere else it is damage, and so is a whole record without entries.
    Whether what is missing had been synced, and is damage for that reason, recovery decides: `synced` holds the
    highest watermark of the whole log after this.
    """
    cdef RecordHeader header
    cdef size_t start = self.at
    cdef size_t first
    tail[0] = TAIL_CLEAN
    if _log_zero(self.data, start, self.size):
        return 0
    tail[0] = TAIL_TORN
    first = _log_scan(self, start, &header)
    if self.effort == 0:
        return fault_corrupt(fault_, self.name, start, b"a record is damaged, and too much behind it looks like records")
    if first == self.size:
        return 0
    if first == start:
        if start > LOG_HEADER_BYTES or header.sequence <= self.sequence + 1:    # equal: it is without entries
            return fault_corrupt(fault_, self.name, start, b"records are not in sequence")
    elif not _log_hole(self, start, first):
        return fault_corrupt(fault_, self.name, start, b"a record is damaged: unharmed records follow it")
    log_watermark(self, first)
    return 0
