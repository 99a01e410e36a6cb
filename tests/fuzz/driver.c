/* One parser under libFuzzer: PARSER is its name, fuzz_PARSER what tries an input, fix_PARSER what puts its checksums right.
 *
 * Seven mutants of eight get the right checksums, so that the parser meets what stands behind them; of a table every second is
 * changed within one of its parts. The rest goes as libFuzzer made it.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)

int JOIN(fuzz_, PARSER)(const uint8_t *data, size_t size);
void fix_log(uint8_t *data, size_t size);
void fix_data(uint8_t *data, size_t size);
void fix_hint(uint8_t *data, size_t size);
void fix_table(uint8_t *data, size_t size);
size_t table_region(const uint8_t *data, size_t size, unsigned int which, size_t *region);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);

static void fix_payload(uint8_t *data, size_t size) { (void)data, (void)size; }
static void fix_block(uint8_t *data, size_t size) { (void)data, (void)size; }

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    return JOIN(fuzz_, PARSER)(data, size);
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed) {
    (void)fix_payload, (void)fix_block;
#ifdef PARTS
    size_t region = 0;
    size_t stored = table_region(data, size, seed >> 8, &region);
    if (seed & 16 && stored > 0) {
        size_t made = LLVMFuzzerMutate(data + region, stored, stored);
        memset(data + region + made, 0, stored - made);
    } else
#endif
        size = LLVMFuzzerMutate(data, size, max_size);
    if (seed & 7)
        JOIN(fix_, PARSER)(data, size);
    return size;
}
