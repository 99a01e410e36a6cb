"""Reading a data file of a hashlog from end to end, every record checked; its hint; and DataBuilder, which makes both anew.

Threads: no state; a builder has one user.
"""


cdef int _next_record(LogReader *reader, RecordHeader *header, DataRecord *record, Fault *fault) noexcept nogil:
    """The record at reader.at, or the first of the batch there, of a file in which all has to be whole; moves behind it."""
    while True:
        if not data_record_whole(reader.data + reader.at, reader.size - reader.at, reader.number, header):
            return fault_corrupt(fault, reader.name, reader.at, b"a record is damaged")
        if (data_record_decode(reader.data + reader.at, record) != 0 or record.sequence == 0
                or record.sequence > hash_sequence_max()):
            return fault_corrupt(fault, reader.name, reader.at, b"a record says what no version wrote")
        if record.place != DATA_BATCH:
            reader.at += record_bytes(header.size)
            return 0
        if reader.at + RECORD_HEADER_BYTES == reader.size:
            return fault_corrupt(fault, reader.name, reader.at, b"a batch holds no record")
        reader.at += RECORD_HEADER_BYTES


def hint_of(bytes image not None, uint64_t number, bytes database not None, str path not None):
    """(hint, records, bytes of tombstones, least sequence, highest sequence) of a data file, all of whose bytes are given and
    count: every record is checked."""
    cdef Fault fault
    cdef LogReader reader
    cdef RecordHeader header
    cdef DataRecord record
    cdef Buffer hint
    cdef bytes name = data_file_name(number).encode()
    cdef const uint8_t *identity = _identity(database)
    cdef uint64_t records = 0, tombstones = 0, least = 0, highest = 0
    cdef size_t at
    cdef int status
    _data_reader(&reader, slice_of_bytes(image), number, name)
    buffer_init(&hint)
    try:
        with nogil:
            status = log_header_check(&reader, number, identity, &fault)
            if status == 0 and hint_begin(&hint) != 0:
                status = fault_memory(&fault)
            while status == 0 and reader.at < reader.size:
                status = _next_record(&reader, &header, &record, &fault)
                at = reader.at - record_bytes(header.size)
                if status == 0 and hint_add(&hint, &record, at) != 0:
                    status = fault_memory(&fault)
                if status == 0:
                    records += 1
                    if record.kind == KIND_DELETE:
                        tombstones += reader.at - at
                    if record.sequence < least or least == 0:
                        least = record.sequence
                    if record.sequence > highest:
                        highest = record.sequence
            if status == 0:
                hint_seal(&hint, number, identity, reader.size, records)
        if status != 0:
            raise_fault(&fault, path)
        return bytes_of(buffer_slice(&hint)), records, tombstones, least, highest
    finally:
        buffer_free(&hint)


@cython.final
cdef class DataBuilder:
    """DataBuilder(number, database, limit): a data file, and its hint, made in memory of records that are to be kept."""
    cdef Buffer data
    cdef Buffer hint
    cdef readonly uint64_t number
    cdef bytes database
    cdef readonly uint64_t limit
    cdef readonly uint64_t records
    cdef readonly uint64_t tombstone_bytes
    cdef readonly uint64_t min_sequence
    cdef readonly uint64_t max_sequence

    def __cinit__(self, uint64_t number, bytes database not None, uint64_t limit):
        buffer_init(&self.data)
        buffer_init(&self.hint)
        self.number = number
        self.database = database
        self.limit = limit
        if buffer_reserve(&self.data, LOG_HEADER_BYTES) != 0 or hint_begin(&self.hint) != 0:
            raise MemoryError
        log_header_encode(self.data.data, _data_magic(), number, _identity(database))
        self.data.size = LOG_HEADER_BYTES

    def __dealloc__(self):
        buffer_free(&self.data)
        buffer_free(&self.hint)

    cdef bint has_room(self, const DataRecord *record) noexcept nogil:
        return (self.records == 0
                or self.data.size + data_record_bytes(record.key.size, record.value.size) <= self.limit)

    cdef int add(self, const DataRecord *given) noexcept nogil:
        """A record of its own, as old as it is; -1 for no memory."""
        cdef DataRecord record = given[0]
        cdef size_t total = data_record_bytes(record.key.size, record.value.size)
        record.place = DATA_ALONE
        record.count = 1
        record.synced = record.sequence
        if buffer_reserve(&self.data, total) != 0 or hint_add(&self.hint, &record, self.data.size) != 0:
            return -1
        data_record_encode(self.data.data + self.data.size, &record, <uint32_t>self.number)
        self.data.size += total
        self.records += 1
        if record.kind == KIND_DELETE:
            self.tombstone_bytes += total
        if record.sequence < self.min_sequence or self.min_sequence == 0:
            self.min_sequence = record.sequence
        if record.sequence > self.max_sequence:
            self.max_sequence = record.sequence
        return 0

    def finished(self):
        """(bytes of the data file, bytes of its hint)."""
        hint_seal(&self.hint, self.number, _identity(self.database), self.data.size, self.records)
        return bytes_of(buffer_slice(&self.data)), bytes_of(buffer_slice(&self.hint))

    @property
    def size(self):
        """Bytes of the data file so far."""
        return self.data.size
