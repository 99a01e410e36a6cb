/* What the parsers of parsers.pyx keep from one input to the next. Included once, by the C file that Cython makes of it. */
#ifndef FUZZ_INPUT_H
#define FUZZ_INPUT_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>

static const uint8_t *fuzz_input;
static size_t fuzz_size;
static void *fuzz_memtable, *fuzz_cache;
static uint64_t fuzz_added;
static volatile uint8_t fuzz_sink;
enum { FUZZ_ENODATA = ENODATA };

#endif
