/* The parts of wire/reader.h that are not worth inlining. */
#include "wire/reader.h"

#include "base/assert.h"

uint64_t
reader_uvarlong_slow(struct reader *r, int bytes_max)
{
    uint64_t value = 0;

    ASSERT(bytes_max == 5 || bytes_max == 10);
    if (r->err != ERR_OK)
        return 0;
    for (int i = 0; i < bytes_max; i++) {
        if (r->at == r->end) {
            reader_fail(r, ERR_TRUNCATED);
            return 0;
        }
        uint8_t byte = *r->at++;
        value |= (uint64_t)(byte & 0x7f) << (7 * i);
        if (byte < 0x80)
            return value;
    }
    reader_fail(r, ERR_CORRUPT);
    return 0;
}
