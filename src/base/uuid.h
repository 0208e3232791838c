/* base/uuid.h - 128-bit ids as Kafka writes them: URL-safe base64 without padding, 22 characters.
 */
#ifndef BASE_UUID_H
#define BASE_UUID_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

enum { UUID_TEXT_LEN = 22, UUID_TEXT_SIZE = 23 };

struct uuid {
    uint8_t b[16];
};

#define UUID_ZERO ((struct uuid){{0}})

static inline bool
uuid_is_zero(struct uuid u)
{
    return load_be64(u.b) == 0 && load_be64(u.b + 8) == 0;
}

static inline bool
uuid_eq(struct uuid a, struct uuid b)
{
    return memcmp(a.b, b.b, 16) == 0;
}

/* Writes 22 characters and a NUL. */
void uuid_format(struct uuid u, char out[UUID_TEXT_SIZE]);
/* False when the text is not a base64url id of 16 bytes; *out is then untouched. */
bool uuid_parse(struct str text, struct uuid *out);
/* Turns 16 random bytes into a version-4 id. Not every value is one that Kafka would use: see
 * uuid_is_usable. */
struct uuid uuid_from_random(const uint8_t random[16]);
/* False for Kafka's reserved ids (the first 100 values) and for ids whose text starts with '-'. */
bool uuid_is_usable(struct uuid u);

#endif
