/* base/siphash.h - SipHash-2-4 with 128 bits out: a keyed hash that nobody can find collisions of
 * who does not know the key. */
#ifndef BASE_SIPHASH_H
#define BASE_SIPHASH_H

#include <stdint.h>

#include "base/bytes.h"

struct siphash_key {
    uint64_t k0, k1;
};

struct siphash {
    uint64_t low, high;
};

struct siphash siphash_128(const struct siphash_key *key, struct bytes in);

#endif
