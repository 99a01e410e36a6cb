/* The compression libraries this build has, behind four functions. A missing library is a stub that says so (-1), so
 * nothing above knows how the build was made. Contexts are made once a thread and freed when it ends.
 *
 * lsm_compress answers the compressed size, 0 when it would not fit into `room`, or -1 (no such library, no memory).
 * lsm_decompress answers 0 only if exactly `size` bytes came out, -1 if not, -2 when there is no memory to tell. Any thread.
 */
#ifndef LSM_COMPRESS_H
#define LSM_COMPRESS_H

#include <limits.h>
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#ifdef LSM_HAVE_LZ4
#include <lz4.h>
#endif
#ifdef LSM_HAVE_ZSTD
#include <zstd.h>
#endif

enum { LSM_COMPRESSION_NONE = 0, LSM_COMPRESSION_LZ4 = 1, LSM_COMPRESSION_ZSTD = 2 };
enum { LSM_ZSTD_LEVEL = 3 };

struct lsm_codec {
    void *lz4;                      /* LZ4_sizeofState() bytes */
    void *zstd_in, *zstd_out;       /* ZSTD_CCtx, ZSTD_DCtx */
};

static __thread struct lsm_codec *lsm_codec_here;
static pthread_key_t lsm_codec_key;
static int lsm_codec_key_made;

static void lsm_codec_free(void *p) {
    struct lsm_codec *codec = p;
    free(codec->lz4);
#ifdef LSM_HAVE_ZSTD
    ZSTD_freeCCtx(codec->zstd_in);
    ZSTD_freeDCtx(codec->zstd_out);
#endif
    free(codec);
}

__attribute__((constructor)) static void lsm_codec_prepare(void) {
    lsm_codec_key_made = pthread_key_create(&lsm_codec_key, lsm_codec_free) == 0;
}

static struct lsm_codec *lsm_codec_mine(void) {
    if (lsm_codec_here == NULL && lsm_codec_key_made) {
        struct lsm_codec *codec = calloc(1, sizeof *codec);
        if (codec != NULL && pthread_setspecific(lsm_codec_key, codec) != 0) {
            free(codec);
            codec = NULL;
        }
        lsm_codec_here = codec;
    }
    return lsm_codec_here;
}

static inline int lsm_compression_built(int compression) {
    switch (compression) {
    case LSM_COMPRESSION_NONE:
        return 1;
#ifdef LSM_HAVE_LZ4
    case LSM_COMPRESSION_LZ4:
        return 1;
#endif
#ifdef LSM_HAVE_ZSTD
    case LSM_COMPRESSION_ZSTD:
        return 1;
#endif
    default:
        return 0;
    }
}

static long lsm_compress(int compression, const uint8_t *data, size_t size, uint8_t *to, size_t room) {
    struct lsm_codec *codec = lsm_codec_mine();
    if (codec == NULL || size > INT_MAX / 2)
        return -1;
    if (room > INT_MAX)
        room = INT_MAX;
    switch (compression) {
#ifdef LSM_HAVE_LZ4
    case LSM_COMPRESSION_LZ4:
        if (codec->lz4 == NULL && (codec->lz4 = malloc((size_t)LZ4_sizeofState())) == NULL)
            return -1;
        return LZ4_compress_fast_extState(codec->lz4, (const char *)data, (char *)to, (int)size, (int)room, 1);
#endif
#ifdef LSM_HAVE_ZSTD
    case LSM_COMPRESSION_ZSTD: {
        if (codec->zstd_in == NULL && (codec->zstd_in = ZSTD_createCCtx()) == NULL)
            return -1;
        size_t made = ZSTD_compressCCtx(codec->zstd_in, to, room, data, size, LSM_ZSTD_LEVEL);
        return ZSTD_isError(made) ? 0 : (long)made;
    }
#endif
    default:
        (void)data, (void)to;
        return -1;
    }
}

static int lsm_decompress(int compression, const uint8_t *data, size_t stored, uint8_t *to, size_t size) {
    if (stored > INT_MAX || size > INT_MAX)
        return -1;
    switch (compression) {
#ifdef LSM_HAVE_LZ4
    case LSM_COMPRESSION_LZ4:
        return LZ4_decompress_safe((const char *)data, (char *)to, (int)stored, (int)size) == (int)size ? 0 : -1;
#endif
#ifdef LSM_HAVE_ZSTD
    case LSM_COMPRESSION_ZSTD: {
        struct lsm_codec *codec = lsm_codec_mine();
        if (codec == NULL || (codec->zstd_out == NULL && (codec->zstd_out = ZSTD_createDCtx()) == NULL))
            return -2;
        size_t made = ZSTD_decompressDCtx(codec->zstd_out, to, size, data, stored);
        return !ZSTD_isError(made) && made == size ? 0 : -1;
    }
#endif
    default:
        (void)data, (void)to;
        return -1;
    }
}

#endif
