"""Arrow capsules: how Python libraries hand each other the structs of the Arrow C interfaces (core/arrow.pxd).

A capsule owns its struct; who takes the contents out sets `release` to NULL, who does not leaves it to the capsule.
No Arrow library is needed to make them.

Threads: `get_next` of a stream may be called from any thread, one at a time, with or without the GIL.
"""
ctypedef struct StreamState:
    PyObject *chunks                    # owned: an iterator of Chunk
    bint keys
    bint values
    char error[512]


cdef void _schema_capsule_free(object capsule) noexcept:
    cdef ArrowSchema *schema = _schema_in(capsule)
    if schema.release != NULL:
        schema.release(schema)
    free(schema)


cdef void _array_capsule_free(object capsule) noexcept:
    cdef ArrowArray *array = _array_in(capsule)
    if array.release != NULL:
        array.release(array)
    free(array)


cdef void _stream_capsule_free(object capsule) noexcept:
    cdef ArrowArrayStream *stream = <ArrowArrayStream *>PyCapsule_GetPointer(capsule, "arrow_array_stream")
    if stream.release != NULL:
        stream.release(stream)
    free(stream)


cdef object _capsule(size_t size, const char *name, PyCapsule_Destructor destructor):
    cdef void *struct_ = calloc(1, size)
    if struct_ == NULL:
        raise MemoryError
    try:
        return PyCapsule_New(struct_, name, destructor)
    except BaseException:
        free(struct_)
        raise


cdef object _schema_capsule():
    return _capsule(sizeof(ArrowSchema), "arrow_schema", _schema_capsule_free)


cdef object _array_capsule():
    return _capsule(sizeof(ArrowArray), "arrow_array", _array_capsule_free)


cdef ArrowSchema *_schema_in(object capsule) noexcept:
    return <ArrowSchema *>PyCapsule_GetPointer(capsule, "arrow_schema")


cdef ArrowArray *_array_in(object capsule) noexcept:
    return <ArrowArray *>PyCapsule_GetPointer(capsule, "arrow_array")


cdef object _chunk_schema(bint keys, bint values):
    cdef object capsule = _schema_capsule()
    if arrow_schema(_schema_in(capsule), keys, values) != 0:
        raise MemoryError
    return capsule


# ------------------------------------------------------------------------------------------------ streams

cdef int _stream_schema(ArrowArrayStream *stream, ArrowSchema *out) noexcept with gil:
    cdef StreamState *state = <StreamState *>stream.private_data
    if arrow_schema(out, state.keys, state.values) != 0:
        return ENOMEM
    return 0


cdef int _stream_next(ArrowArrayStream *stream, ArrowArray *out) noexcept with gil:
    """The next chunk; an array that is released already says that there are no more."""
    cdef StreamState *state = <StreamState *>stream.private_data
    cdef bytes text
    memset(out, 0, sizeof(ArrowArray))
    try:
        for chunk in <object>state.chunks:
            (<Chunk?>chunk).export(out)
            break
        return 0
    except BaseException as error:
        text = f"{type(error).__name__}: {error}".encode("ascii", "backslashreplace")[:sizeof(state.error) - 1]
        memcpy(state.error, <const char *>text, len(text))
        state.error[len(text)] = 0
        return EIO


cdef const char *_stream_error(ArrowArrayStream *stream) noexcept with gil:
    cdef StreamState *state = <StreamState *>stream.private_data
    return state.error if state.error[0] else NULL


cdef void _stream_release(ArrowArrayStream *stream) noexcept with gil:
    cdef StreamState *state = <StreamState *>stream.private_data
    Py_XDECREF(state.chunks)
    free(state)
    stream.release = NULL


cdef object _stream_of(object chunks, bint keys, bint values):
    """A capsule with the Arrow stream of an iterator of Chunk."""
    cdef object capsule = _capsule(sizeof(ArrowArrayStream), "arrow_array_stream", _stream_capsule_free)
    cdef ArrowArrayStream *stream = <ArrowArrayStream *>PyCapsule_GetPointer(capsule, "arrow_array_stream")
    cdef StreamState *state = <StreamState *>calloc(1, sizeof(StreamState))
    if state == NULL:
        raise MemoryError
    Py_INCREF(chunks)
    state.chunks = <PyObject *>chunks
    state.keys = keys
    state.values = values
    stream.private_data = state
    stream.get_schema = _stream_schema
    stream.get_next = _stream_next
    stream.get_last_error = _stream_error
    stream.release = _stream_release
    return capsule
