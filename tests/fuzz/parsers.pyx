# cython: language_level=3
"""The C parsers as functions of bytes, for a coverage-guided fuzzer (driver.c), and what puts the checksums of a mutant right.

The whole core is included, so what is tried are its own functions, built again with instrumentation; the interpreter is
never started, so nothing here may touch a Python object. Each `fuzz_` function reads everything that its bytes hold in
every way the engines do, and answers 0. Faults are what they should be; what counts is that it ends, soon, without a bad access,
a failed assertion or an allocation out of proportion: the driver's limits and the sanitizers see to that.

Owner: what a parser opens it closes; one memtable, one cache and one file are kept from one input to the next. One thread.
"""
include "_core.pyx"

from lsm.core.block cimport block_view as _block_view
from lsm.core.block_cursor cimport (
    block_cursor_next, block_cursor_prev, block_cursor_seek, block_cursor_seek_before,
)
from lsm.core.cache cimport Cache as c_cache, cache_open
from lsm.core.coding cimport Slice, get_fixed32, get_fixed64, input_varint, input_varint32, input_bytes, put_fixed32, put_fixed64
from lsm.core.crc32c cimport crc32c as _crc32c, crc_mask as _crc_mask
from lsm.core.cursor cimport Cursor as _cursor
from lsm.core.env cimport Env as _Env, File as _File
from lsm.core.table_format cimport TABLE_FOOTER_BYTES

cdef extern from "input.h" nogil:
    const uint8_t *fuzz_input
    size_t fuzz_size
    c_memtable *fuzz_memtable
    c_cache *fuzz_cache
    uint64_t fuzz_added
    volatile uint8_t fuzz_sink
    int FUZZ_ENODATA


cdef const uint8_t *IDENTITY() noexcept nogil:
    """Of every file that is made here, and what every reader expects."""
    return <const uint8_t *><const char *>b"\0\1\2\3\4\5\6\7\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f"


cdef void _touch(Slice some) noexcept nogil:
    """Every byte is read: a slice out of bounds is noticed."""
    global fuzz_sink
    if some.size > 0:
        fuzz_sink = <uint8_t>_crc32c(0, some.data, some.size)


# ------------------------------------------------------------ log, payload

cdef int _fresh_memtable() noexcept nogil:
    global fuzz_memtable, fuzz_added
    if fuzz_memtable != NULL and fuzz_added > 2000:
        memtable_free(fuzz_memtable)
        fuzz_memtable = NULL
    if fuzz_memtable == NULL:
        fuzz_memtable = memtable_new(0)
        fuzz_added = 0
    return 0 if fuzz_memtable != NULL else -1


cdef public int fuzz_log(const uint8_t *data, size_t size) noexcept nogil:
    """As `replay_log`, `check_log` and `log_highest_watermark` do."""
    global fuzz_added
    cdef LogReader reader
    cdef RecordHeader header
    cdef Fault fault
    cdef int tail = TAIL_CLEAN
    cdef int status
    if _fresh_memtable() != 0:
        return 0
    log_reader(&reader, slice_of(data, size), 1, b"000001.log")
    status = log_header_check(&reader, 1, IDENTITY(), &fault)
    while status == 0 and log_next(&reader, &header):
        header.sequence += fuzz_added << 16         # no memtable gets one sequence twice
        status = _replay_record(&reader, &header, fuzz_memtable, &fault)
    fuzz_added += 1
    if status == 0:
        log_tail(&reader, &tail, &fault)
    log_reader(&reader, slice_of(data, size), 1, b"000001.log")
    log_watermark(&reader, LOG_HEADER_BYTES if size > LOG_HEADER_BYTES else size)
    return 0


cdef public int fuzz_payload(const uint8_t *data, size_t size) noexcept nogil:
    """A batch: its entries, as a log, a memtable and a hashlog take them."""
    cdef Input payload = input_of(data, size)
    cdef RecordEntry entry
    cdef uint32_t count = 0
    while entry_decode(&payload, &entry) == 0:
        _touch(entry.key)
        _touch(entry.value)
        count += 1
    _framed_bytes(data, size, count)
    _framed_bytes(data, size, count + 3)
    return 0


# ------------------------------------------------------------ hashlog

cdef public int fuzz_data(const uint8_t *data, size_t size) noexcept nogil:
    """A data file: once as one made for keeping, once as one that was being written to."""
    cdef LogReader reader
    cdef RecordHeader header
    cdef DataRecord record
    cdef Fault fault
    cdef int tail = TAIL_CLEAN
    cdef int status
    _data_reader(&reader, slice_of(data, size), 1, b"000001.data")
    status = log_header_check(&reader, 1, IDENTITY(), &fault)
    while status == 0 and reader.at < reader.size:
        status = _next_record(&reader, &header, &record, &fault)
        if status == 0:
            _touch(record.key)
            _touch(record.value)
    _data_reader(&reader, slice_of(data, size), 1, b"000001.data")
    status = log_header_check(&reader, 1, IDENTITY(), &fault)
    while status == 0 and log_next(&reader, &header):
        status = _replay_data(&reader, &header, &fault)
    if status == 0:
        log_tail(&reader, &tail, &fault)
    return 0


cdef int _replay_data(LogReader *reader, const RecordHeader *head, Fault *fault) noexcept nogil:
    """HashStore.replay, without its index."""
    cdef LogReader inside = reader[0]
    cdef RecordHeader header
    cdef DataRecord record
    inside.size = reader.at
    inside.at = reader.at - record_bytes(head.size)
    while inside.at < inside.size:
        if _next_record(&inside, &header, &record, fault) != 0:
            return -1
        _touch(record.key)
        _touch(record.value)
    return 0


cdef public int fuzz_hint(const uint8_t *data, size_t size) noexcept nogil:
    """A hint of a data file of 1 MiB."""
    cdef uint64_t entries = 0
    cdef Input left
    cdef HintEntry entry
    if hint_check(slice_of(data, size), 1, IDENTITY(), 1 << 20, &entries) != NULL:
        return 0
    left = hint_entries(slice_of(data, size))
    while hint_next(&left, &entry) == 0 and _hint_fits(&entry, 1 << 20):
        _touch(entry.key)
    return 0


# ------------------------------------------------------------ blocks

cdef void _walk(_cursor *cursor, bint forward) noexcept nogil:
    cdef Fault fault
    cdef int status = cursor.first(cursor, &fault) if forward else cursor.last(cursor, &fault)
    while status == 0 and cursor.valid:
        _touch(cursor.key)
        _touch(cursor.value)
        status = cursor.next(cursor, &fault) if forward else cursor.prev(cursor, &fault)


cdef public int fuzz_block(const uint8_t *data, size_t size) noexcept nogil:
    """The contents of a data block: searched as it lies and by its directory, walked both ways, sought in, gathered. The first
    byte says how long a key, which follows it, is looked for."""
    cdef BlockView view
    cdef BlockEntry entry
    cdef BlockCursor cursor
    cdef Block *block = NULL
    cdef Fault fault
    cdef Slice key, contents
    cdef size_t key_size
    cdef bint found = False, past = False
    if size < 1:
        return 0
    key_size = data[0] if data[0] < size else size - 1
    key = slice_of(data + 1, key_size)
    contents = slice_of(data + 1 + key_size, size - 1 - key_size)
    if _block_view(&view, contents, b"block", 0, &fault) == 0:
        if block_get(&view, key, seek_tag(7), &found, &past, &entry, &fault) == 0 and found:
            _touch(entry.value)
    block_cursor_init(&cursor)
    if block_cursor_open(&cursor, contents, b"block", 0, &fault) == 0:
        _walk(&cursor.cursor, True)
        _walk(&cursor.cursor, False)
        if block_cursor_seek(&cursor.cursor, key, seek_tag(7), &fault) == 0 and cursor.cursor.valid:
            _touch(cursor.cursor.key)
            block_cursor_prev(&cursor.cursor, &fault)
        if block_cursor_seek_before(&cursor.cursor, key, seek_tag(7), &fault) == 0 and cursor.cursor.valid:
            _touch(cursor.cursor.key)
            block_cursor_next(&cursor.cursor, &fault)
    block_cursor_free(&cursor)
    if directory_block(contents, b"block", 0, &block, &fault) == 0:
        if block.count > 0:
            view = directory_view(block, b"block", 0)
            found = past = False
            if directory_get(block, &view, key, seek_tag(7), &found, &past, &entry, &fault) == 0 and found:
                _touch(entry.value)
        block_release(block)
    return 0


# ------------------------------------------------------------ tables

cdef int _open_input(_Env *env, const char *name, int mode, _File **file) noexcept nogil:
    file[0] = <_File *>calloc(1, sizeof(_File))
    if file[0] == NULL:
        return 12
    file[0].env = env
    file[0].size = fuzz_size
    return 0


cdef int _close_input(_File *file) noexcept nogil:
    free(file)
    return 0


cdef int _read_input(_File *file, uint64_t offset, void *to, size_t size) noexcept nogil:
    if offset > fuzz_size or size > fuzz_size - offset:
        return FUZZ_ENODATA
    if size > 0:
        memcpy(to, fuzz_input + offset, size)
    return 0


cdef public int fuzz_table(const uint8_t *data, size_t size) noexcept nogil:
    """A table: opened, verified, scanned both ways, and asked for the first key of what it holds."""
    global fuzz_input, fuzz_size, fuzz_cache
    cdef _Env env
    cdef TableExpected expected
    cdef CTable *table = NULL
    cdef TableVerified verified
    cdef TableAnswer answer
    cdef _cursor *cursor
    cdef Slice key
    cdef Fault fault
    if fuzz_cache == NULL:
        fuzz_cache = cache_open(0)
    fuzz_input = data
    fuzz_size = size
    memset(&env, 0, sizeof(env))
    env.open = _open_input
    env.close = _close_input
    env.pread = _read_input
    memset(&expected, 0, sizeof(expected))
    expected.database_id = IDENTITY()
    if table_open(&env, b"000001.table", &expected, fuzz_cache, &table, &fault) != 0:
        return 0
    table_verify(table, False, 0, &verified, &fault)
    table_verified_free(&verified)
    for scan in range(2):
        cursor = table_cursor_open(table, scan == 1)
        if cursor != NULL:
            _walk(cursor, scan == 1)
            if scan == 0 and cursor.first(cursor, &fault) == 0 and cursor.valid:
                _walk(cursor, True)
            cursor.close(cursor)
    key = table.properties.smallest
    if table_get(table, key, hash64(key.data, key.size), 1 << 40, True, &answer, &fault) == 0 and answer.state != TABLE_ABSENT:
        _touch(answer.value)
        block_release(answer.block)
    key = table.properties.largest
    if table_get(table, key, hash64(key.data, key.size), 1 << 40, True, &answer, &fault) == 0 and answer.state != TABLE_ABSENT:
        _touch(answer.value)
        block_release(answer.block)
    table_close(table)
    return 0


# ------------------------------------------------------------ putting a mutant's checksums right

cdef void _seal(uint8_t *crc_at, const uint8_t *start, size_t size) noexcept nogil:
    put_fixed32(crc_at, _crc_mask(_crc32c(0, start, size)))


cdef void _fix_header(uint8_t *data, const char *magic) noexcept nogil:
    memcpy(data, magic, 8)
    put_fixed32(data + 12, 1)
    put_fixed64(data + 16, 1)
    memcpy(data + 24, IDENTITY(), 16)
    _seal(data + 8, data + 12, 52)


cdef public void fix_log(uint8_t *data, size_t size) noexcept nogil:
    cdef size_t at = LOG_HEADER_BYTES
    cdef size_t total
    cdef uint64_t sequence = 1
    if size < LOG_HEADER_BYTES:
        return
    _fix_header(data, b"lsm.log\n")
    while size - at >= RECORD_HEADER_BYTES:
        total = get_fixed32(data + at + 4)
        if total > size - at - RECORD_HEADER_BYTES or record_bytes(total) > size - at:
            total = (size - at - RECORD_HEADER_BYTES) & ~<size_t>7
            put_fixed32(data + at + 4, <uint32_t>total)
        total = record_bytes(total)
        put_fixed32(data + at + 8, 1)
        if data[at] & 3:                        # the others keep what they say
            put_fixed64(data + at + 16, sequence)
        sequence += get_fixed32(data + at + 12)
        _seal(data + at, data + at + 4, total - 4)
        at += total


cdef public void fix_data(uint8_t *data, size_t size) noexcept nogil:
    cdef uint64_t sequence = 1
    if size >= LOG_HEADER_BYTES:
        _fix_header(data, b"lsm.data")
        _fix_records(data, LOG_HEADER_BYTES, size, &sequence, False)


cdef void _fix_records(uint8_t *data, size_t at, size_t end, uint64_t *sequence, bint inside) noexcept nogil:
    cdef size_t total, key_size, body
    while end - at >= RECORD_HEADER_BYTES:
        key_size = data[at + 12] | <size_t>data[at + 13] << 8
        total = get_fixed32(data + at + 4)
        if total > end - at or record_bytes(total + key_size) > end - at:
            data[at + 12] = data[at + 13] = 0
            key_size = 0
            total = (end - at - RECORD_HEADER_BYTES) & ~<size_t>7
            put_fixed32(data + at + 4, <uint32_t>total)
        body = record_bytes(total + key_size)
        put_fixed32(data + at + 8, 1)
        if data[at] & 3:
            put_fixed64(data + at + 16, sequence[0])
        if data[at + 15] == 2 and not inside:
            _fix_records(data, at + RECORD_HEADER_BYTES, at + body, sequence, True)
        else:
            sequence[0] += 1
        _seal(data + at, data + at + 4, body - 4)
        at += body


cdef public void fix_hint(uint8_t *data, size_t size) noexcept nogil:
    if size < 64:
        return
    memcpy(data, <const char *>b"lsm.hint", 8)
    put_fixed32(data + 12, 1)
    put_fixed64(data + 16, 1)
    memcpy(data + 24, IDENTITY(), 16)
    put_fixed64(data + 40, 1 << 20)
    _seal(data + 8, data + 12, size - 12)


cdef bint _fix_block(uint8_t *data, uint64_t offset, uint64_t block, uint64_t end) noexcept nogil:
    """Seal the block that lies there, if it does."""
    if offset > end or block < 5 or block > end - offset:
        return False
    _seal(data + offset + block - 4, data + offset, <size_t>block - 4)
    return True


cdef public void fix_table(uint8_t *data, size_t size) noexcept nogil:
    """The handles of the footer stay as they are; each block they lead to, and that the index leads to, gets its checksum."""
    cdef uint8_t *footer = data + size - TABLE_FOOTER_BYTES
    cdef uint64_t end, offset = 0, stored = 0
    cdef uint32_t key_size = 0
    cdef Slice key
    cdef Input index
    cdef int i
    if size < TABLE_FOOTER_BYTES:
        return
    end = size - TABLE_FOOTER_BYTES
    for i in range(3):
        _fix_block(data, get_fixed64(footer + 16 * i), get_fixed64(footer + 16 * i + 8), end)
    offset = get_fixed64(footer + 16)
    stored = get_fixed64(footer + 24)
    if offset <= end and 5 <= stored <= end - offset:
        index = input_of(data + offset, <size_t>stored - 5)
        while (input_varint32(&index, &key_size) == 0 and input_bytes(&index, key_size, &key) == 0
               and input_varint(&index, &offset) == 0 and input_varint(&index, &stored) == 0):
            _fix_block(data, offset, stored, end)
    for i in range(3):                              # again: a block may have been written into
        _fix_block(data, get_fixed64(footer + 16 * i), get_fixed64(footer + 16 * i + 8), end)
    put_fixed32(footer + 48, 1)
    memcpy(footer + 56, <const char *>b"lsmtable", 8)
    _seal(footer + 52, footer, 52)


cdef public size_t table_region(const uint8_t *data, size_t size, unsigned int which, size_t *region) noexcept nogil:
    """Where one of the parts of a table lies that a mutation may stay within: filter, index, properties, footer, first block. 0
    bytes when it cannot be told."""
    cdef const uint8_t *footer = data + size - TABLE_FOOTER_BYTES
    cdef uint64_t offset, stored
    if size < TABLE_FOOTER_BYTES:
        return 0
    which %= 6
    if which < 3:
        offset = get_fixed64(footer + 16 * which)
        stored = get_fixed64(footer + 16 * which + 8)
    elif which == 3:
        offset = size - TABLE_FOOTER_BYTES
        stored = 48
    else:
        offset = 0
        stored = get_fixed64(footer)
    if offset > size or stored > size - offset:
        return 0
    region[0] = <size_t>offset
    return <size_t>stored
