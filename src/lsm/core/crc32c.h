/* CRC32C (Castagnoli, reflected polynomial 0x82f63b78), three ways that agree: the SSE4.2 instruction, the ARMv8
 * instruction, and slicing-by-8 tables. The way is chosen once, when the module is loaded, before any thread can ask.
 *
 * The instruction takes three cycles and can start every cycle, so long inputs run as three streams whose sums are
 * joined by multiplying with x^(8n), kept as tables for the two lengths n in use.
 *
 * The masked form is what is stored beside the bytes a sum covers: the CRC of bytes that hold their own CRC is a
 * constant, and a masked one is not. Tables are written only by the constructor. Any thread may call the rest.
 */
#ifndef LSM_CRC32C_H
#define LSM_CRC32C_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__x86_64__)
#define LSM_CRC_SSE42 1
#include <nmmintrin.h>
#elif defined(__aarch64__) && defined(__linux__) && defined(__GNUC__)
#define LSM_CRC_ARM 1
#include <arm_acle.h>
#include <sys/auxv.h>
#ifndef HWCAP_CRC32
#define HWCAP_CRC32 (1 << 7)
#endif
#endif

enum { LSM_CRC_TABLE = 0, LSM_CRC_INSTRUCTION = 1 };
enum { LSM_CRC_LONG = 2048, LSM_CRC_SHORT = 256 };

static uint32_t lsm_crc_slices[8][256];
static uint32_t lsm_crc_long[4][256], lsm_crc_short[4][256];
static int lsm_crc_way = LSM_CRC_TABLE;

static inline uint64_t lsm_crc_load64(const uint8_t *p) {
    uint64_t v;
    memcpy(&v, p, 8);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    v = __builtin_bswap64(v);
#endif
    return v;
}

static uint32_t lsm_crc32c_table(uint32_t crc, const uint8_t *p, size_t size) {
    crc = ~crc;
    for (; size >= 8; p += 8, size -= 8) {
        uint64_t w = lsm_crc_load64(p) ^ crc;
        crc = lsm_crc_slices[7][w & 0xff] ^ lsm_crc_slices[6][(w >> 8) & 0xff]
            ^ lsm_crc_slices[5][(w >> 16) & 0xff] ^ lsm_crc_slices[4][(w >> 24) & 0xff]
            ^ lsm_crc_slices[3][(w >> 32) & 0xff] ^ lsm_crc_slices[2][(w >> 40) & 0xff]
            ^ lsm_crc_slices[1][(w >> 48) & 0xff] ^ lsm_crc_slices[0][w >> 56];
    }
    for (; size > 0; p++, size--)
        crc = lsm_crc_slices[0][(crc ^ *p) & 0xff] ^ (crc >> 8);
    return ~crc;
}

#if defined(LSM_CRC_SSE42) || defined(LSM_CRC_ARM)
#if defined(LSM_CRC_SSE42)
#define LSM_CRC_TARGET __attribute__((target("sse4.2")))
#define LSM_CRC_64(crc, v) ((uint32_t)_mm_crc32_u64((crc), (v)))
#define LSM_CRC_8(crc, v) _mm_crc32_u8((crc), (v))
#else
#define LSM_CRC_TARGET __attribute__((target("+crc")))
#define LSM_CRC_64(crc, v) __crc32cd((crc), (v))
#define LSM_CRC_8(crc, v) __crc32cb((crc), (v))
#endif

/* The sum as it would stand after the table's number of further zero bytes. */
static inline uint32_t lsm_crc_shift(const uint32_t table[4][256], uint32_t crc) {
    return table[0][crc & 0xff] ^ table[1][(crc >> 8) & 0xff] ^ table[2][(crc >> 16) & 0xff] ^ table[3][crc >> 24];
}

LSM_CRC_TARGET static inline uint32_t lsm_crc_three(uint32_t crc, const uint8_t *p, size_t stride,
                                                    const uint32_t table[4][256]) {
    uint32_t b = 0, c = 0;
    for (size_t i = 0; i < stride; i += 8) {
        crc = LSM_CRC_64(crc, lsm_crc_load64(p + i));
        b = LSM_CRC_64(b, lsm_crc_load64(p + stride + i));
        c = LSM_CRC_64(c, lsm_crc_load64(p + 2 * stride + i));
    }
    return lsm_crc_shift(table, lsm_crc_shift(table, crc) ^ b) ^ c;
}

LSM_CRC_TARGET static uint32_t lsm_crc32c_instruction(uint32_t crc, const uint8_t *p, size_t size) {
    crc = ~crc;
    for (; size >= 3 * LSM_CRC_LONG; p += 3 * LSM_CRC_LONG, size -= 3 * LSM_CRC_LONG)
        crc = lsm_crc_three(crc, p, LSM_CRC_LONG, lsm_crc_long);
    for (; size >= 3 * LSM_CRC_SHORT; p += 3 * LSM_CRC_SHORT, size -= 3 * LSM_CRC_SHORT)
        crc = lsm_crc_three(crc, p, LSM_CRC_SHORT, lsm_crc_short);
    for (; size >= 8; p += 8, size -= 8)
        crc = LSM_CRC_64(crc, lsm_crc_load64(p));
    for (; size > 0; p++, size--)
        crc = LSM_CRC_8(crc, *p);
    return ~crc;
}
#else
#define lsm_crc32c_instruction lsm_crc32c_table
#endif

/* Continue `crc` (0 to begin) over `size` more bytes; `p` is not looked at when size is 0. */
static inline uint32_t lsm_crc32c(uint32_t crc, const uint8_t *p, size_t size) {
    return lsm_crc_way == LSM_CRC_INSTRUCTION ? lsm_crc32c_instruction(crc, p, size) : lsm_crc32c_table(crc, p, size);
}

static inline uint32_t lsm_crc_mask(uint32_t crc) { return ((crc >> 15) | (crc << 17)) + 0xa282ead8u; }

static inline uint32_t lsm_crc_unmask(uint32_t masked) {
    uint32_t rotated = masked - 0xa282ead8u;
    return (rotated >> 17) | (rotated << 15);
}

static void lsm_crc_fill_shift(uint32_t table[4][256], int zero_bytes) {
    for (int byte = 0; byte < 4; byte++)
        for (uint32_t value = 0; value < 256; value++) {
            uint32_t crc = value << (8 * byte);
            for (int i = 0; i < zero_bytes; i += 8) {       /* one slicing step over eight zeros */
                uint32_t next = 0;
                for (int k = 0; k < 4; k++)
                    next ^= lsm_crc_slices[7 - k][(crc >> (8 * k)) & 0xff];
                crc = next;
            }
            table[byte][value] = crc;
        }
}

__attribute__((constructor)) static void lsm_crc_prepare(void) {
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t crc = i;
        for (int bit = 0; bit < 8; bit++)
            crc = (crc >> 1) ^ (crc & 1 ? 0x82f63b78u : 0);
        lsm_crc_slices[0][i] = crc;
    }
    for (int slice = 1; slice < 8; slice++)
        for (int i = 0; i < 256; i++)
            lsm_crc_slices[slice][i] = lsm_crc_slices[0][lsm_crc_slices[slice - 1][i] & 0xff]
                                     ^ (lsm_crc_slices[slice - 1][i] >> 8);
#if defined(LSM_CRC_SSE42)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("sse4.2"))
        lsm_crc_way = LSM_CRC_INSTRUCTION;
#elif defined(LSM_CRC_ARM)
    if (getauxval(AT_HWCAP) & HWCAP_CRC32)
        lsm_crc_way = LSM_CRC_INSTRUCTION;
#endif
    if (lsm_crc_way == LSM_CRC_INSTRUCTION) {
        lsm_crc_fill_shift(lsm_crc_long, LSM_CRC_LONG);
        lsm_crc_fill_shift(lsm_crc_short, LSM_CRC_SHORT);
    }
}

#endif
