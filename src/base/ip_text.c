#include "base/ip_text.h"

#include <arpa/inet.h>
#include <string.h>

enum { V4_PARTS_MAX = 4 };

/* Digits only, at most `most`. */
static bool
part_parse(struct str text, uint32_t most, uint32_t *out)
{
    uint64_t value = 0;
    if (text.len == 0 || text.len > 10)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
        value = value * 10 + (uint64_t)(text.data[i] - '0');
    }
    *out = (uint32_t)value;
    return value <= most;
}

static bool
v4_parse(struct str text, uint8_t out[IP_BYTES])
{
    uint32_t address = 0;
    for (int part = 0; part < V4_PARTS_MAX; part++) {
        const char *dot = memchr(text.data, '.', text.len);
        size_t len = dot == NULL ? text.len : (size_t)(dot - text.data);
        uint32_t value;
        uint32_t most = dot == NULL ? UINT32_MAX >> (8 * part) : UINT8_MAX;
        if (!part_parse((struct str){text.data, len}, most, &value))
            return false;
        if (dot != NULL) {
            address |= value << (24 - 8 * part);
            text = (struct str){dot + 1, text.len - len - 1};
            continue;
        }
        address |= value;
        memcpy(out, (const uint8_t[IP_BYTES]){[10] = 0xFF, [11] = 0xFF}, 12);
        store_be32(out + 12, address);
        return true;
    }
    return false;
}

static bool
v6_parse(struct str text, uint8_t out[IP_BYTES])
{
    char terminated[INET6_ADDRSTRLEN];
    struct in6_addr address;
    if (text.len >= 2 && text.data[0] == '[' && text.data[text.len - 1] == ']')
        text = (struct str){text.data + 1, text.len - 2};
    if (text.len == 0 || text.len >= sizeof terminated || memchr(text.data, 0, text.len) != NULL)
        return false;
    memcpy(terminated, text.data, text.len);
    terminated[text.len] = '\0';
    if (inet_pton(AF_INET6, terminated, &address) != 1)
        return false;
    memcpy(out, &address, IP_BYTES);
    return true;
}

bool
ip_text_parse(struct str text, uint8_t out[IP_BYTES])
{
    if (str_is_null(text))
        return false;
    return v4_parse(text, out) || v6_parse(text, out);
}
