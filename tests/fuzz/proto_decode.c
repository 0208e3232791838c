/* Any bytes as any message of any version: refused cleanly, or decoded into something that encodes,
 * decodes to the same again, and prints. Input: int16 index of the message in the list of all,
 * int16 version, body. Seeds: codec_peer seeds DIR. */
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/assert.h"
#include "base/bytes.h"
#include "proto/schema.h"

enum { BUDGET = 4 << 20, OUTPUT = 64 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void
examine(const struct proto_schema *s, int16_t v, struct bytes body, struct arena *arena)
{
    void *a = arena_alloc(arena, proto_schema_size(s));
    void *b = arena_alloc(arena, proto_schema_size(s));
    struct writer w;
    struct reader r;
    struct buf json;

    reader_init(&r, body);
    if (a == NULL || b == NULL || proto_decode(s, v, &r, arena, a) != ERR_OK)
        return;
    writer_init(&w, OUTPUT);
    buf_init(&json, OUTPUT);
    enum err err = proto_encode(s, v, a, &w);
    ASSERT(err == ERR_OK || err == ERR_NOMEM);
    err = proto_to_json(s, v, a, &json);
    ASSERT(err == ERR_OK || err == ERR_NOMEM || err == ERR_LIMIT);
    reader_init(&r, buf_bytes(&w.buf));
    err = proto_decode(s, v, &r, arena, b);
    ASSERT(err == ERR_OK || err == ERR_NOMEM);
    ASSERT(err != ERR_OK || proto_equal(s, a, b));
    buf_fini(&json);
    writer_fini(&w);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    int count;
    const struct proto_message *all = proto_message_list(&count);
    struct arena arena;

    if (len < 4)
        return 0;
    const struct proto_schema *s = all[load_be16(data) % count].schema;
    int min = proto_schema_version_min(s);
    int versions = proto_schema_version_max(s) - min + 1;
    int v = (int16_t)load_be16(data + 2);
    if (v < min || v >= min + versions)
        v = min + (int)((unsigned)v % (unsigned)versions);
    arena_init(&arena, BUDGET);
    examine(s, (int16_t)v, (struct bytes){data + 4, len - 4}, &arena);
    arena_fini(&arena);
    return 0;
}
