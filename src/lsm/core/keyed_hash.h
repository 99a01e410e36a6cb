/* The hash of keys in memory, keyed by a secret of the process: who chooses keys cannot know which of them collide.

   Sixteen bytes a step: each half is mixed with what is secret, and both are multiplied to 128 bits, whose halves are
   folded together (as in wyhash, Wang Yi). It is never written to disk; the hash of filters is another (bloom.pxd).
   The secret is set once, when the module is made, before any key is hashed. */
#ifndef LSM_KEYED_HASH_H
#define LSM_KEYED_HASH_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

static uint64_t lsm_hash_secret[3];

static inline uint64_t lsm_multiply_fold(uint64_t a, uint64_t b) {
#ifdef __SIZEOF_INT128__
    unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
#else
    uint64_t a1 = a >> 32, a0 = (uint32_t)a, b1 = b >> 32, b0 = (uint32_t)b;
    uint64_t middle = a1 * b0 + ((a0 * b0) >> 32), other = a0 * b1 + (uint32_t)middle;
    return ((other << 32) | (uint32_t)(a0 * b0)) ^ (a1 * b1 + (middle >> 32) + (other >> 32));
#endif
}

static inline uint64_t lsm_hash_word(const uint8_t *data, size_t size) {
    uint64_t word = 0;
    if (size >= 8) {
        memcpy(&word, data, 8);
    } else if (size > 0) {
        memcpy(&word, data, size);
    }
    return word;
}

static inline uint64_t lsm_keyed_hash(const uint8_t *data, size_t size) {
    uint64_t hash = lsm_hash_secret[0] ^ (uint64_t)size;
    for (;;) {
        size_t second = size > 8 ? size - 8 : 0;
        hash = lsm_multiply_fold(lsm_hash_word(data, size) ^ lsm_hash_secret[1],
                                 lsm_hash_word(second ? data + 8 : data, second) ^ hash);
        if (size <= 16) break;
        data += 16;
        size -= 16;
    }
    return lsm_multiply_fold(hash ^ lsm_hash_secret[2], lsm_hash_secret[1] ^ 0x9E3779B97F4A7C15u);
}

#endif
