# cython: language_level=3
"""Mutants of a corpus, a few a microsecond, for the parsers in Python (plain.py): what tries them shall cost the time, not this.

The mutants of one seed are the same each time. Owner: whoever made the Mutator; inputs that are appended to its lists are
taken up from then on. One thread.
"""
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport uint8_t, uint64_t
from libc.string cimport memcpy, memmove

cdef enum:
    ROOM = 8192


cdef uint8_t *STEPS = [1, 255, 16, 240]


cdef class Mutator:
    cdef uint8_t data[ROOM]
    cdef size_t size
    cdef uint64_t state
    cdef readonly list corpus, sound
    cdef readonly tuple words
    cdef readonly size_t longest

    def __init__(self, list corpus not None, list sound not None, tuple words not None, size_t longest, uint64_t seed):
        if not corpus or longest > ROOM // 2:
            raise ValueError("a corpus of one input or more, of half the room each")
        self.corpus, self.sound, self.words, self.longest, self.state = corpus, sound, words, longest, seed

    cdef uint64_t below(self, uint64_t limit) noexcept:
        """Of splitmix64, which takes any seed."""
        cdef uint64_t x
        self.state += <uint64_t>0x9E3779B97F4A7C15
        x = self.state
        x = (x ^ (x >> 30)) * <uint64_t>0xBF58476D1CE4E5B9
        x = (x ^ (x >> 27)) * <uint64_t>0x94D049BB133111EB
        return ((x ^ (x >> 31)) >> 16) % limit

    cdef void put(self, size_t at, const char *piece, size_t size, size_t over) noexcept:
        """The piece instead of `over` bytes; what does not fit is cut."""
        cdef size_t behind
        if size > ROOM - at:
            size = ROOM - at
        if over > self.size - at:
            over = self.size - at
        behind = self.size - at - over
        if behind > ROOM - at - size:
            behind = ROOM - at - size
        memmove(self.data + at + size, self.data + at + over, behind)
        memcpy(self.data + at, piece, size)
        self.size = at + size + behind

    cdef bytes one(self, inputs):
        return inputs[self.below(len(inputs))]

    def mutant(self):
        """A few changes to one of the inputs, every other time to one of the sound ones."""
        cdef bytes other = self.one(self.sound if self.sound and self.below(2) else self.corpus)
        cdef char piece[64]
        cdef size_t at, start, some
        cdef int how, changes = 1 << self.below(4)
        self.size = 0
        self.put(0, PyBytes_AS_STRING(other), PyBytes_GET_SIZE(other), 0)
        if self.size > self.longest:
            self.size = self.longest
        while changes > 0:
            changes -= 1
            at = self.below(self.size + 1)
            how = <int>self.below(8)
            if how == 0 and at > 0:
                self.data[at - 1] ^= 1 << self.below(8)
            elif how == 1 and at > 0:
                self.data[at - 1] = <uint8_t>self.below(256)
            elif how == 2:
                other = self.one(self.words)
                self.put(at, PyBytes_AS_STRING(other), PyBytes_GET_SIZE(other), 0)
            elif how == 3:
                self.put(at, piece, 0, 1 + self.below(16))
            elif how == 4:
                some = min(1 + self.below(64), self.size - at)
                memcpy(piece, self.data + at, some)
                self.put(self.below(self.size + 1), piece, some, 0)
            elif how == 5:
                other = self.one(self.corpus)
                start = self.below(PyBytes_GET_SIZE(other) + 1)
                self.put(at, PyBytes_AS_STRING(other) + start, PyBytes_GET_SIZE(other) - start, self.size)
            elif how == 6:
                other = self.one(self.words)
                self.put(at, PyBytes_AS_STRING(other), PyBytes_GET_SIZE(other), PyBytes_GET_SIZE(other))
            elif at > 0:
                self.data[at - 1] += STEPS[self.below(4)]
        self.size = min(self.size, self.longest)
        return PyBytes_FromStringAndSize(<char *>self.data, self.size)
