/* What: SipHash-2-4-128 after the paper of Aumasson and Bernstein; words are little-endian. */
#include "base/siphash.h"

#include <string.h>

struct state {
    uint64_t v0, v1, v2, v3;
};

static inline uint64_t
rotate(uint64_t x, int bits)
{
    return x << bits | x >> (64 - bits);
}

static inline void
rounds(struct state *s, int count)
{
    while (count-- > 0) {
        s->v0 += s->v1;
        s->v2 += s->v3;
        s->v1 = rotate(s->v1, 13) ^ s->v0;
        s->v3 = rotate(s->v3, 16) ^ s->v2;
        s->v0 = rotate(s->v0, 32);
        s->v2 += s->v1;
        s->v0 += s->v3;
        s->v1 = rotate(s->v1, 17) ^ s->v2;
        s->v3 = rotate(s->v3, 21) ^ s->v0;
        s->v2 = rotate(s->v2, 32);
    }
}

static inline uint64_t
word_at(const uint8_t *p, size_t len)
{
    uint64_t word = 0;
    for (size_t i = 0; i < len; i++)
        word |= (uint64_t)p[i] << (8 * i);
    return word;
}

static inline void
take(struct state *s, uint64_t word)
{
    s->v3 ^= word;
    rounds(s, 2);
    s->v0 ^= word;
}

struct siphash
siphash_128(const struct siphash_key *key, struct bytes in)
{
    struct state s = {UINT64_C(0x736f6d6570736575) ^ key->k0,
        UINT64_C(0x646f72616e646f6d) ^ key->k1 ^ 0xee, UINT64_C(0x6c7967656e657261) ^ key->k0,
        UINT64_C(0x7465646279746573) ^ key->k1};
    struct siphash out;
    size_t at = 0;
    for (; in.len - at >= 8; at += 8)
        take(&s, word_at(in.data + at, 8));
    take(&s, (uint64_t)in.len << 56 | (in.len > at ? word_at(in.data + at, in.len - at) : 0));
    s.v2 ^= 0xee;
    rounds(&s, 4);
    out.low = s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
    s.v1 ^= 0xdd;
    rounds(&s, 4);
    out.high = s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
    return out;
}
