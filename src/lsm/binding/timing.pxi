"""Doors for benchmarks/: each does one part of the core many times in C, so that the call from Python is not what is
measured. Whoever calls holds the clock; the answer counts something, so that no loop can be left out.

Nothing here is used by the engine. Owner: `_Keys` holds copies, one after the other, as keys lie that were just made.
Threads: one; the GIL is held throughout.
"""
from lsm.core.coding cimport VARINT64_MAX, input_varint, put_varint
from lsm.core.block_builder cimport block_builder_reset
from lsm.core.memtable cimport memtable_order
from lsm.core.table cimport TABLE_FOUND


@cython.final
cdef class _Keys:
    """Keys (or values) ready for a loop in C."""
    cdef bytes joined
    cdef Slice *slices
    cdef size_t count

    def __cinit__(self, list keys not None):
        cdef const uint8_t *at
        cdef size_t i
        self.joined = b"".join(keys)
        self.count = <size_t>len(keys)
        self.slices = <Slice *>malloc((self.count + 1) * sizeof(Slice))
        if self.slices == NULL:
            raise MemoryError
        at = <const uint8_t *><const char *>self.joined
        for i in range(self.count):
            self.slices[i] = slice_of(at, <size_t>len(keys[i]))
            at += self.slices[i].size

    def __dealloc__(self):
        free(self.slices)

    def __len__(self):
        return self.count


def _time_crc32c(bytes data not None, size_t times):
    cdef const uint8_t *at = <const uint8_t *><const char *>data
    cdef size_t size = <size_t>len(data)
    cdef uint32_t crc = 0
    cdef size_t i
    for i in range(times):
        crc = _crc32c(crc, at, size)
    return crc


def _time_varint_encode(list values not None, size_t times):
    """All values, so many times; how many bytes the last pass wrote."""
    cdef size_t count = <size_t>len(values)
    cdef uint64_t *numbers = <uint64_t *>malloc((count + 1) * sizeof(uint64_t))
    cdef uint8_t *room = <uint8_t *>malloc(count * VARINT64_MAX + 1)
    cdef uint8_t *to = room
    cdef size_t i
    cdef size_t j
    if numbers == NULL or room == NULL:
        free(numbers)
        free(room)
        raise MemoryError
    for j in range(count):
        numbers[j] = values[j]
    for i in range(times):
        to = room
        for j in range(count):
            to = put_varint(to, numbers[j])
    encoded = PyBytes_FromStringAndSize(<const char *>room, to - room)
    free(numbers)
    free(room)
    return encoded


def _time_varint_decode(bytes encoded not None, size_t times):
    """All varints of these bytes, so many times; their sum."""
    cdef Input left
    cdef uint64_t value = 0
    cdef uint64_t total = 0
    cdef size_t i
    for i in range(times):
        left = input_of(<const char *>encoded, <size_t>len(encoded))
        while input_varint(&left, &value) == 0:
            total += value
    return total


def _time_memtable_insert(_Keys keys not None, bytes value not None, Memtable before=None):
    """A memtable of these keys, in the order given; `before` as for a Memtable."""
    cdef Memtable into = Memtable(before)
    cdef Slice held = slice_of_bytes(value)
    cdef size_t i
    for i in range(keys.count):
        if memtable_ensure(into.table, 1, entry_bytes(keys.slices[i].size, held.size)) != 0:
            raise MemoryError
        memtable_add(into.table, keys.slices[i], key_hash(keys.slices[i]),
                     tag_of(i + 1, KIND_PUT), held)
    memtable_order(into.table)
    return into


def _time_memtable_find(Memtable memtable not None, _Keys keys not None):
    """How many of the keys are there."""
    cdef Slice key
    cdef size_t found = 0
    cdef size_t i
    for i in range(keys.count):
        key = keys.slices[i]
        found += memtable_get(memtable.table, key, key_hash(key), sequence_max()) != NULL
    return found


def _time_log_append(LogWriter log not None, _Keys keys not None, bytes value not None):
    """A record of one put for each key; the size of the log after that."""
    cdef RecordHeader header
    cdef Fault fault
    cdef Slice held = slice_of_bytes(value)
    cdef size_t i
    memset(&header, 0, sizeof(header))
    header.count = 1
    for i in range(keys.count):
        header.size = <uint32_t>entry_payload(KIND_PUT, keys.slices[i].size, held.size)
        header.sequence = i + 1
        if log.append_entry(KIND_PUT, keys.slices[i], held, &header, &fault) != 0:
            raise_fault(&fault, log.directory.path)
    return log.size


def _time_block_build(_Keys keys not None, bytes value not None, size_t times):
    """A block of these ascending keys, so many times; its size."""
    cdef BlockBuilder builder
    cdef Slice contents = slice_of(NULL, 0)
    cdef Slice held = slice_of_bytes(value)
    cdef int status = 0
    cdef size_t i
    cdef size_t j
    block_builder_init(&builder, 16)
    for i in range(times):
        block_builder_reset(&builder)
        for j in range(keys.count):
            status |= block_builder_add(&builder, keys.slices[j], tag_of(j + 1, KIND_PUT), held)
        status |= block_builder_finish(&builder, &contents)
    size = contents.size
    block_builder_free(&builder)
    if status != 0:
        raise MemoryError
    return size


def _time_block_search(bytes contents not None, _Keys keys not None, bint by_directory):
    """How many of the keys are in the block: by its restart points, or by the directory kept beside a cached block."""
    cdef BlockView view
    cdef BlockEntry entry
    cdef Block *block = NULL
    cdef Fault fault
    cdef uint64_t tag = seek_tag(sequence_max())
    cdef bint found = False
    cdef bint past = False
    cdef size_t hits = 0
    cdef size_t i
    cdef int status = directory_block(slice_of_bytes(contents), b"block", 0, &block, &fault)
    if status == 0:
        view = directory_view(block, b"block", 0)
        for i in range(keys.count):
            if by_directory:
                status = directory_get(block, &view, keys.slices[i], tag, &found, &past, &entry, &fault)
            else:
                status = block_get(&view, keys.slices[i], tag, &found, &past, &entry, &fault)
            if status != 0:
                break
            hits += found
        block_release(block)
    if status != 0:
        raise_fault(&fault, "")
    return hits


def _time_filter_probe(bytes lines not None, int probes, _Keys keys not None):
    """How many of the keys the filter lets through; a key is hashed for it."""
    cdef Bloom filter
    cdef size_t through = 0
    cdef size_t i
    filter.lines = <const uint8_t *><const char *>lines
    filter.line_count = <uint64_t>len(lines) // BLOOM_LINE_BYTES
    filter.probes = probes
    for i in range(keys.count):
        through += bloom_may_contain(&filter, hash64(keys.slices[i].data, keys.slices[i].size))
    return through


def _time_table_get(Table table not None, _Keys keys not None):
    """How many of the keys the table holds: filter, index, cache, block."""
    cdef TableAnswer answer
    cdef Fault fault
    cdef Slice key
    cdef size_t hits = 0
    cdef size_t i
    for i in range(keys.count):
        key = keys.slices[i]
        if table_get(table.table, key, hash64(key.data, key.size), sequence_max(), True, &answer, &fault) != 0:
            raise_fault(&fault, table.directory.path)
        if answer.state == TABLE_FOUND:
            block_release(answer.block)
            hits += 1
    return hits


def _time_merge(View view not None):
    """Walk the merge of all memtables and tables of a view to its end; how many entries there were."""
    cdef Merge merge
    cdef Fault fault
    cdef size_t entries = 0
    cdef int status
    if view.cursors(&merge, &_without_gil) != 0:
        merge_close(&merge)
        raise MemoryError
    status = merge_first(&merge, &fault)
    while status == 0 and merge_top(&merge) != NULL:
        entries += 1
        status = merge_step(&merge, &fault)
    merge_close(&merge)
    if status != 0:
        raise_fault(&fault, view.directory.path)
    return entries
