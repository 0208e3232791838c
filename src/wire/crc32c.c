/* CRC-32C through ISA-L, whose function is the bare division: the inversions before and after,
 * which Kafka's checksum has, are done here. */
#include "wire/crc32c.h"

#include <isa-l/crc.h>
#include <limits.h>

uint32_t
crc32c_extend(uint32_t crc, struct bytes b)
{
    const uint8_t *at = b.data;
    size_t left = b.len;

    crc = ~crc;
    while (left > 0) {
        int n = left > INT_MAX ? INT_MAX : (int)left;
        /* The library takes a mutable pointer and only reads. */
        crc = crc32_iscsi((unsigned char *)(uintptr_t)at, n, crc);
        at += n;
        left -= (size_t)n;
    }
    return ~crc;
}

uint32_t
crc32c(struct bytes b)
{
    return crc32c_extend(0, b);
}
