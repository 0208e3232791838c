/* Any bytes as each small text that is read: ids, addresses, names of files and directories, lines
 * of checkpoints, the vote, base64, and messages as JSON. The first byte picks. */
#include <string.h>

#include "base/alloc.h"
#include "base/arena.h"
#include "base/assert.h"
#include "base/uuid.h"
#include "log/checkpoint.h"
#include "log/file_name.h"
#include "node/listeners.h"
#include "os/env.h"
#include "os/loop.h"
#include "proto/base64.h"
#include "proto/schema.h"
#include "raft/quorum_state.h"

enum { ARENA_BYTES = 4 << 20, OUT_BYTES = 16 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void
as_quorum_state(struct str text)
{
    struct quorum_state state, again;
    struct buf out;
    if (quorum_state_parse(text, &state) != ERR_OK)
        return;
    int32_t voters[] = {1};
    buf_init(&out, OUT_BYTES);
    quorum_state_format(&state, voters, 1, &out);
    ASSERT(quorum_state_parse((struct str){(const char *)out.data, out.len}, &again) == ERR_OK);
    ASSERT(again.leader_epoch == state.leader_epoch && again.voted_id == state.voted_id);
    buf_fini(&out);
}

static void
as_names(const char *z, struct str text)
{
    struct uuid id, again;
    struct str topic;
    int32_t partition;
    int64_t offset;
    char host[NODE_HOST_MAX], back[UUID_TEXT_SIZE];
    uint16_t port;
    struct sock_addr addr;
    (void)log_file_name_parse(z);
    (void)log_dir_name_parse(z, &topic, &partition);
    (void)checkpoint_parse_offset(text, &topic, &partition, &offset);
    while (checkpoint_take_number(&text, &offset))
        continue;
    text = str_of(z);
    if (uuid_parse(text, &id)) {
        uuid_format(id, back);
        ASSERT(uuid_parse(str_of(back), &again) && uuid_eq(id, again));
    }
    (void)node_address_parse(text, host, &port);
    (void)!sock_addr_parse(text, 1, &addr);
}

/* The message of the first two bytes, read from JSON and written again. */
static void
as_message(struct bytes in)
{
    struct arena arena;
    struct buf json;
    struct str what = STR_NULL;
    int count;
    const struct proto_message *all = proto_message_list(&count);
    if (in.len < 3)
        return;
    const struct proto_schema *s = all[load_be16(in.data) % count].schema;
    int16_t min = proto_schema_version_min(s), max = proto_schema_version_max(s);
    if (max < min)
        return;
    int16_t v = (int16_t)(min + in.data[2] % (max - min + 1));
    arena_init(&arena, ARENA_BYTES);
    buf_init(&json, OUT_BYTES);
    void *msg = arena_alloc(&arena, proto_schema_size(s));
    ASSERT(msg != NULL);
    proto_init(s, msg);
    struct str text = {(const char *)in.data + 3, in.len - 3};
    if (proto_from_json(s, v, text, &arena, msg, &what) == ERR_OK)
        (void)!proto_to_json(s, v, msg, &json);
    buf_fini(&json);
    arena_fini(&arena);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len < 2)
        return 0;
    struct str text = {(const char *)data + 1, len - 1};
    char *z = mem_alloc(len);
    if (z == NULL)
        return 0;
    memcpy(z, text.data, text.len);
    z[text.len] = '\0';
    switch (data[0] % 3) {
    case 0: as_quorum_state(text); break;
    case 1: as_names(z, text); break;
    default: as_message((struct bytes){data + 1, len - 1}); break;
    }
    mem_free(z);
    return 0;
}
