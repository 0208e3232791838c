#include "base/hash.h"

#include <string.h>

#include "base/assert.h"
#include "base/attr.h"

uint32_t
hash_murmur2(struct bytes b)
{
    const uint32_t m = 0x5bd1e995;
    uint32_t h = 0x9747b28cu ^ (uint32_t)b.len;
    const uint8_t *p = b.data;
    size_t len = b.len;
    for (; len >= 4; len -= 4, p += 4) {
        uint32_t k;
        memcpy(&k, p, 4); /* little-endian, as the host */
        k *= m;
        k ^= k >> 24;
        k *= m;
        h = h * m ^ k;
    }
    uint32_t tail = 0;
    for (size_t i = 0; i < len; i++)
        tail |= (uint32_t)p[i] << (8 * i);
    if (len > 0)
        h = (h ^ tail) * m;
    h ^= h >> 13;
    h *= m;
    return h ^ h >> 15;
}

/* The next code point of [*at, end); a malformed sequence gives U+FFFD for its longest valid
 * beginning, as Java decodes it. */
static uint32_t
hash_utf8_next(const uint8_t **at, const uint8_t *end)
{
    const uint8_t *p = *at;
    uint8_t first = *p++;
    uint8_t low = 0x80, high = 0xbf; /* bounds of the second byte */
    int more;
    uint32_t code;
    *at = p;
    if (first < 0x80)
        return first;
    if (first >= 0xc2 && first <= 0xdf) {
        more = 1;
        code = first & 0x1f;
    } else if (first >= 0xe0 && first <= 0xef) {
        more = 2;
        code = first & 0x0f;
        low = first == 0xe0 ? 0xa0 : 0x80;
        high = first == 0xed ? 0x9f : 0xbf;
    } else if (first >= 0xf0 && first <= 0xf4) {
        more = 3;
        code = first & 0x07;
        low = first == 0xf0 ? 0x90 : 0x80;
        high = first == 0xf4 ? 0x8f : 0xbf;
    } else {
        return 0xfffd;
    }
    for (; more > 0; more--) {
        if (p == end || *p < low || *p > high) {
            *at = p;
            return 0xfffd;
        }
        code = code << 6 | (*p++ & 0x3f);
        low = 0x80;
        high = 0xbf;
    }
    *at = p;
    return code;
}

int32_t
hash_java_string(struct str s)
{
    const uint8_t *at = (const uint8_t *)s.data;
    const uint8_t *end = s.len == 0 ? at : at + s.len;
    uint32_t h = 0;
    while (at < end) {
        uint32_t code = hash_utf8_next(&at, end);
        if (code >= 0x10000) {
            code -= 0x10000;
            h = 31 * h + (0xd800 + (code >> 10));
            code = 0xdc00 + (code & 0x3ff);
        }
        h = 31 * h + code;
    }
    return (int32_t)h;
}

int32_t
hash_coordinator_partition(struct str key, int32_t count)
{
    ASSERT(count > 0);
    int32_t h = hash_java_string(key);
    if (h == INT32_MIN)
        h = 0;
    return (h < 0 ? -h : h) % count;
}

static uint64_t
hash_fold(uint64_t a, uint64_t b)
{
    __uint128_t product = (__uint128_t)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

uint64_t
hash_bytes(const void *data, size_t len)
{
    const uint64_t k1 = 0x9e3779b97f4a7c15ull, k2 = 0xd6e8feb86659fd93ull;
    const uint8_t *p = data;
    uint64_t h = k2 ^ (uint64_t)len;
    while (len >= 8) {
        uint64_t word;
        memcpy(&word, p, 8);
        h = hash_fold(h ^ word, k1);
        p += 8;
        len -= 8;
    }
    uint64_t tail = 0;
    if (len > 0)
        memcpy(&tail, p, len);
    h = hash_fold(h ^ tail, k2);
    return h ^ h >> 32;
}
