"""LogWriter and the reading of logs (core/log.pxd).

A LogWriter owns the File of one log. It is made complete on disk, header and name, before the manifest names it, so a
log that is listed is there. Threads: append under the store's write lock; `sync` beside it.
"""
@cython.final
@cython.no_gc_clear         # __dealloc__ needs what it refers to
cdef class LogWriter(SyncedFile):
    def __init__(self, Directory directory not None, uint64_t number, bytes database not None):
        """Create log `number` of the database with this 16-byte id; durable when this returns."""
        cdef uint8_t header[LOG_HEADER_BYTES]
        log_header_encode(header, log_magic(), number, _identity(database))
        self.make(directory, number, f"{number:06d}.log", header, "the log")

    cdef int append(self, const uint8_t *payload, RecordHeader *header, Fault *fault) noexcept nogil:
        """Frame the payload as one record and make it part of the log."""
        cdef size_t total = record_bytes(header.size)
        cdef uint8_t *at = NULL
        cdef int error = self.file.env.reserve(self.file, total, &at)
        if error == 0:
            memcpy(at + RECORD_HEADER_BYTES, payload, header.size)
            record_seal(at, header, <uint32_t>self.number)
            error = self.file.env.commit(self.file, total)
        if error != 0:
            return fault_system(fault, self.file.name, error, b"cannot write to the log")
        return 0

    cdef int append_entry(self, int kind, Slice key, Slice value, RecordHeader *header, Fault *fault) noexcept nogil:
        """The same for a batch of one entry, encoded where it will lie."""
        cdef size_t total = record_bytes(header.size)
        cdef uint8_t *at = NULL
        cdef int error = self.file.env.reserve(self.file, total, &at)
        if error == 0:
            entry_encode(at + RECORD_HEADER_BYTES, kind, key, value)
            record_seal(at, header, <uint32_t>self.number)
            error = self.file.env.commit(self.file, total)
        if error != 0:
            return fault_system(fault, self.file.name, error, b"cannot write to the log")
        return 0


cdef const uint8_t *_identity(bytes database) except NULL:
    if len(database) != 16:
        raise ValueError(f"a database id is 16 bytes, not {len(database)}")
    return <const uint8_t *><const char *>database


def replay_log(bytes data not None, str name not None, uint64_t number, bytes database not None, uint64_t sequence,
               Memtable into not None, str path not None):
    """Add every whole batch of a log to a memtable, in order.

    `sequence` is that of the last write recovered before this log. Answers (last sequence, offset where the run ended,
    whether it ended in a tear, highest sync watermark in the log). Raises CorruptionError where bytes are damaged.
    """
    cdef Fault fault
    cdef LogReader reader
    cdef RecordHeader header
    cdef bytes c_name = name.encode()
    cdef const uint8_t *identity = _identity(database)
    cdef int tail = TAIL_CLEAN
    cdef int status
    log_reader(&reader, slice_of_bytes(data), number, c_name)
    reader.sequence = sequence
    with nogil:
        status = log_header_check(&reader, number, identity, &fault)
        while status == 0 and log_next(&reader, &header):
            status = _replay_record(&reader, &header, into.table, &fault)
        if status == 0:
            status = log_tail(&reader, &tail, &fault)
    if status != 0:
        raise_fault(&fault, path)
    return reader.sequence, reader.at, tail == TAIL_TORN, reader.synced


def log_highest_watermark(bytes data not None, uint64_t number):
    """The highest sync watermark of any unharmed record in a log, 0 when there is none."""
    cdef LogReader reader
    log_reader(&reader, slice_of_bytes(data), number, b"")
    with nogil:
        log_watermark(&reader, LOG_HEADER_BYTES if reader.size > LOG_HEADER_BYTES else reader.size)
    return reader.synced


def check_log(bytes data not None, str name not None, uint64_t number, bytes database not None, str path not None):
    """Check a log, all of whose bytes are given and were committed; answers how many records there are."""
    cdef Fault fault
    cdef LogReader reader
    cdef RecordHeader header
    cdef bytes c_name = name.encode()
    cdef const uint8_t *identity = _identity(database)
    cdef uint64_t records = 0
    cdef int status
    log_reader(&reader, slice_of_bytes(data), number, c_name)
    with nogil:
        status = log_header_check(&reader, number, identity, &fault)
        while status == 0 and reader.at < reader.size:
            if records == 0 and record_open(reader.data + reader.at, reader.size - reader.at, reader.number, &header):
                reader.sequence = header.sequence - 1       # a log begins where the one before it ended
            if log_next(&reader, &header):
                records += 1
            else:
                status = fault_corrupt(&fault, reader.name, reader.at, b"a record is damaged")
    if status != 0:
        raise_fault(&fault, path)
    return records


LOG_HEADER = LOG_HEADER_BYTES


cdef int _replay_record(LogReader *reader, RecordHeader *header, c_memtable *table, Fault *fault) noexcept nogil:
    cdef size_t start = reader.at - record_bytes(header.size)
    cdef Input payload = input_of(reader.data + start + RECORD_HEADER_BYTES, header.size)
    cdef RecordEntry entry
    cdef uint64_t sequence = header.sequence
    cdef uint32_t i
    for i in range(header.count):
        if entry_decode(&payload, &entry) != 0:
            return fault_corrupt(fault, reader.name, start, b"a record holds something that is no entry")
        if memtable_ensure(table, 1, entry_bytes(entry.key.size, entry.value.size)) != 0:
            return fault_memory(fault)
        memtable_add(table, entry.key, key_hash(entry.key), tag_of(sequence + i, entry.kind),
                     entry.value)
    if input_left(&payload) != 0:
        return fault_corrupt(fault, reader.name, start, b"a record is longer than its entries")
    return 0
