"""TableMerge: the work of a flush or a compaction: sorted sources in, tables out, in steps.

Python decides what is merged and when to look at something else; a step reads some megabytes without the GIL. It holds
its inputs, so they cannot go away. A table being written is the merge's until `step` answers its summary; one that is
not finished is removed when the merge goes.

Threads: one.
"""
@cython.final
@cython.no_gc_clear         # __dealloc__ needs what it refers to
cdef class TableMerge:
    cdef Directory directory
    cdef list inputs                        # what the cursors borrow from
    cdef Run *runs
    cdef size_t run_count
    cdef Merge merge
    cdef bint merging
    cdef Retain retain
    cdef uint64_t *snapshots
    cdef TableOptions options
    cdef TableBuilder builder
    cdef bint building
    cdef readonly bint done

    def __init__(self, Directory directory not None, bytes database not None, list memtables not None,
                 list runs not None, list snapshots not None, *, bint bottom, str compression not None,
                 uint32_t block_bytes, uint32_t restart_interval, int bloom_bits):
        cdef Fault fault
        cdef size_t i
        cdef int status
        self.directory = directory
        self.inputs = [memtables, runs]
        table_options_default(&self.options)
        self.options.block_bytes = block_bytes
        self.options.restart_interval = restart_interval
        self.options.bits_per_key = bloom_bits
        self.options.compression = _COMPRESSION_IDS[compression]
        memcpy(self.options.database_id, <const char *>database, 16)
        self.snapshots = <uint64_t *>malloc((len(snapshots) + 1) * sizeof(uint64_t))
        if self.snapshots == NULL or merge_init(&self.merge, <unsigned int>(len(memtables) + len(runs))) != 0:
            raise MemoryError
        self.merging = True
        for i in range(<size_t>len(snapshots)):
            self.snapshots[i] = snapshots[i]
        retain_init(&self.retain, self.snapshots, len(snapshots), bottom)
        self.add_sources(memtables, runs)
        with nogil:
            status = merge_first(&self.merge, &fault)
        if status != 0:
            raise_fault(&fault, directory.path)
        self.done = merge_top(&self.merge) == NULL

    cdef int add_sources(self, list memtables, list runs) except -1:
        cdef Memtable memtable
        cdef tuple run
        cdef size_t i
        cdef size_t j
        for memtable in memtables:
            if merge_add(&self.merge, memtable_cursor(memtable.table)) != 0:
                raise MemoryError
        self.runs = <Run *>calloc(len(runs) + 1, sizeof(Run))
        if self.runs == NULL:
            raise MemoryError
        self.run_count = len(runs)
        for i in range(self.run_count):
            run = runs[i]
            if run_init(&self.runs[i], len(run)) != 0:
                raise MemoryError
            for j in range(<size_t>len(run)):
                self.runs[i].table[j] = (<Table?>run[j]).table
            if merge_add(&self.merge, run_cursor_open(&self.runs[i], True)) != 0:
                raise MemoryError
        return 0

    def __dealloc__(self):
        cdef size_t i
        if self.building:
            with nogil:
                table_builder_free(&self.builder)
        if self.merging:
            merge_close(&self.merge)
            retain_free(&self.retain)
        if self.runs != NULL:
            for i in range(self.run_count):
                free(self.runs[i].table)
        free(self.runs)
        free(self.snapshots)

    def step(self, uint64_t number, uint64_t table_bytes, uint64_t step_bytes):
        """Go on with table `number` for about so many bytes of input.

        Answers its summary, as keywords of a TableMeta, when it is finished: it has reached `table_bytes`, or the
        sources are at their end. None when there is more to do, or when there was nothing to write (`done` tells).
        """
        cdef Fault fault
        cdef TableSummary summary
        cdef bint finished = False
        cdef int status
        cdef bytes name = f"{number:06d}.table".encode()
        cdef const char *c_name = name
        with nogil:
            status = self.run(c_name, number, table_bytes, step_bytes, &finished, &summary, &fault)
        if status != 0:
            raise_fault(&fault, self.directory.path)
        if not finished:
            return None
        try:
            return self.summarise(&summary)
        finally:
            table_builder_free(&self.builder)
            self.building = False

    cdef int run(self, const char *name, uint64_t number, uint64_t table_bytes, uint64_t step_bytes, bint *finished,
                 TableSummary *summary, Fault *fault) noexcept nogil:
        cdef uint64_t read = 0
        cdef uint64_t tag
        cdef bint keep = False
        cdef c_cursor *top = merge_top(&self.merge)
        while top != NULL and read < step_bytes:
            tag = top.tag
            read += top.key.size + top.value.size + 16
            if retain_entry(&self.retain, top.key, &tag, &keep) != 0:
                return fault_memory(fault)
            if keep:
                if not self.building and self.begin(name, number, fault) != 0:
                    return -1
                if table_builder_add(&self.builder, top.key, tag, top.value, fault) != 0:
                    return -1
            if merge_step(&self.merge, fault) != 0:
                return -1
            top = merge_top(&self.merge)
            if self.building and top != NULL and table_builder_size(&self.builder) >= table_bytes:
                if compare_slices(top.key, buffer_slice(&self.retain.key)) != 0:
                    finished[0] = True          # versions of one key never straddle two tables
                    break
        if top == NULL:
            self.done = True
            finished[0] = self.building
        if finished[0]:
            return table_builder_finish(&self.builder, summary, fault)
        return 0

    cdef int begin(self, const char *name, uint64_t number, Fault *fault) noexcept nogil:
        self.options.number = number
        self.building = True
        return table_builder_open(&self.builder, self.directory.env, name, &self.options, fault)

    cdef dict summarise(self, const TableSummary *summary):
        cdef const TableProperties *p = &summary.properties
        return {"size": summary.file_size, "entries": p.entries, "tombstones": p.tombstones,
                "smallest": bytes_of(p.smallest), "largest": bytes_of(p.largest), "min_sequence": p.min_sequence,
                "max_sequence": p.max_sequence, "crc": summary.crc, "key_bytes": p.key_bytes,
                "value_bytes": p.value_bytes}
