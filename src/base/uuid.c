#include "base/uuid.h"

#include "base/assert.h"
#include "base/attr.h"

static const char uuid_alphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

enum { UUID_RESERVED_COUNT = 100 };

void
uuid_format(struct uuid u, char out[UUID_TEXT_SIZE])
{
    uint32_t bits = 0;
    int have = 0, at = 0;
    for (int i = 0; i < 16; i++) {
        bits = bits << 8 | u.b[i];
        have += 8;
        while (have >= 6) {
            have -= 6;
            out[at++] = uuid_alphabet[bits >> have & 63];
        }
    }
    out[at++] = uuid_alphabet[bits << (6 - have) & 63];
    ASSERT(at == UUID_TEXT_LEN);
    out[at] = '\0';
}

static int
uuid_digit(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '-' ? 62 : c == '_' ? 63 : -1;
}

bool
uuid_parse(struct str text, struct uuid *out)
{
    struct uuid u;
    uint32_t bits = 0;
    int have = 0, at = 0;
    /* Kafka also takes the padded form. */
    if (text.len == UUID_TEXT_LEN + 2 && memcmp(text.data + UUID_TEXT_LEN, "==", 2) == 0)
        text.len = UUID_TEXT_LEN;
    if (text.len != UUID_TEXT_LEN)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        int digit = uuid_digit(text.data[i]);
        if (digit < 0)
            return false;
        bits = bits << 6 | (uint32_t)digit;
        have += 6;
        if (have >= 8) {
            have -= 8;
            u.b[at++] = (uint8_t)(bits >> have);
        }
    }
    ASSERT(at == 16); /* the last digit's four low bits mean nothing, as in Java */
    *out = u;
    return true;
}

struct uuid
uuid_from_random(const uint8_t random[16])
{
    struct uuid u;
    memcpy(u.b, random, 16);
    u.b[6] = (uint8_t)((u.b[6] & 0x0f) | 0x40);
    u.b[8] = (uint8_t)((u.b[8] & 0x3f) | 0x80);
    return u;
}

bool
uuid_is_usable(struct uuid u)
{
    if (load_be64(u.b) == 0 && load_be64(u.b + 8) < UUID_RESERVED_COUNT)
        return false;
    return u.b[0] >> 2 != 62; /* '-' would look like an option on a command line */
}
