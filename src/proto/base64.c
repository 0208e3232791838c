/* proto/base64.c */
#include "proto/base64.h"

#include "base/assert.h"

static const char ALPHABET[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void
proto_base64_append(struct buf *out, struct bytes b)
{
    for (size_t i = 0; i < b.len; i += 3) {
        size_t left = b.len - i;
        uint32_t v = (uint32_t)b.data[i] << 16;
        if (left > 1)
            v |= (uint32_t)b.data[i + 1] << 8;
        if (left > 2)
            v |= b.data[i + 2];
        char quad[4] = {ALPHABET[v >> 18], ALPHABET[v >> 12 & 63],
            left > 1 ? ALPHABET[v >> 6 & 63] : '=', left > 2 ? ALPHABET[v & 63] : '='};
        buf_append(out, quad, sizeof quad);
    }
}

static int
digit(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

enum err
proto_base64_parse(struct str text, struct arena *arena, struct bytes *out)
{
    ASSERT(text.data != NULL);
    if (text.len % 4 != 0)
        return ERR_INVALID;
    uint8_t *data = arena_alloc(arena, text.len / 4 * 3);
    if (data == NULL)
        return ERR_NOMEM;
    size_t len = 0;
    for (size_t i = 0; i < text.len; i += 4) {
        int pad = 0;
        uint32_t v = 0;
        for (int k = 0; k < 4; k++) {
            char c = text.data[i + (size_t)k];
            int d = digit(c);
            /* Padding only at the very end, and nothing after it. */
            if (c == '=' && k >= 2 && i + 4 == text.len)
                pad++;
            else if (d < 0 || pad > 0)
                return ERR_INVALID;
            v = v << 6 | (uint32_t)(d < 0 ? 0 : d);
        }
        data[len++] = (uint8_t)(v >> 16);
        if (pad < 2)
            data[len++] = (uint8_t)(v >> 8);
        if (pad < 1)
            data[len++] = (uint8_t)v;
    }
    *out = (struct bytes){data, len};
    return ERR_OK;
}
