/* raft/quorum_state.c - reads and writes quorum-state. A flat scan for known keys: the file is ours
 * or Apache's, one object, and anything unexpected is CORRUPT rather than guessed at. */
#include "raft/quorum_state.h"

#include <stdbool.h>
#include <stdlib.h>

#include "base/assert.h"

enum { NUMBER_MAX = 24 };

/* The text after "key": or null when the key is missing. */
static struct str
after_key(struct str text, const char *key)
{
    struct buf quoted;
    struct str rest = STR_NULL;
    buf_init(&quoted, 64);
    buf_printf(&quoted, "\"%s\":", key);
    if (quoted.err == ERR_OK && text.len > quoted.len) {
        const char *at = memmem(text.data, text.len, quoted.data, quoted.len);
        if (at != NULL)
            rest = (struct str){at + quoted.len, text.len - (size_t)(at - text.data) - quoted.len};
    }
    buf_fini(&quoted);
    return rest;
}

static bool
number_of(struct str text, const char *key, int64_t min, int64_t max, int64_t *out)
{
    char digits[NUMBER_MAX];
    char *end;
    struct str rest = after_key(text, key);
    if (str_is_null(rest))
        return false;
    size_t len = rest.len < NUMBER_MAX - 1 ? rest.len : NUMBER_MAX - 1;
    memcpy(digits, rest.data, len);
    digits[len] = '\0';
    long long v = strtoll(digits, &end, 10);
    if (end == digits || (*end != ',' && *end != '}') || v < min || v > max)
        return false;
    *out = v;
    return true;
}

enum err
quorum_state_parse(struct str text, struct quorum_state *out)
{
    struct quorum_state state = {0};
    int64_t version, leader_id, epoch, voted_id;
    while (text.len > 0 && (text.data[text.len - 1] == '\n' || text.data[text.len - 1] == ' '))
        text.len--;
    if (text.len < 2 || text.data[0] != '{' || text.data[text.len - 1] != '}' ||
        !number_of(text, "data_version", 0, INT16_MAX, &version))
        return ERR_CORRUPT;
    if (version > 1)
        return ERR_UNSUPPORTED;
    if (!number_of(text, "leaderId", -1, INT32_MAX, &leader_id) ||
        !number_of(text, "leaderEpoch", 0, INT32_MAX, &epoch) ||
        !number_of(text, "votedId", -1, INT32_MAX, &voted_id))
        return ERR_CORRUPT;
    state.version = (int16_t)version;
    state.leader_id = (int32_t)leader_id;
    state.leader_epoch = (int32_t)epoch;
    state.voted_id = (int32_t)voted_id;
    if (version == 1) {
        struct str id = after_key(text, "votedDirectoryId");
        if (id.len < UUID_TEXT_LEN + 2 || id.data[0] != '"' ||
            !uuid_parse((struct str){id.data + 1, UUID_TEXT_LEN}, &state.voted_directory_id))
            return ERR_CORRUPT;
    }
    *out = state;
    return ERR_OK;
}

void
quorum_state_format(
    const struct quorum_state *state, const int32_t *voters, int voter_count, struct buf *out)
{
    ASSERT(state->version == 0 || state->version == 1);
    if (state->version == 1) {
        char id[UUID_TEXT_SIZE];
        uuid_format(state->voted_directory_id, id);
        buf_printf(out,
            "{\"leaderId\":%d,\"leaderEpoch\":%d,\"votedId\":%d,\"votedDirectoryId\":\"%s\","
            "\"data_version\":1}",
            (int)state->leader_id, (int)state->leader_epoch, (int)state->voted_id, id);
        return;
    }
    buf_printf(out,
        "{\"clusterId\":\"\",\"leaderId\":%d,\"leaderEpoch\":%d,\"votedId\":%d,"
        "\"appliedOffset\":0,\"currentVoters\":[",
        (int)state->leader_id, (int)state->leader_epoch, (int)state->voted_id);
    for (int i = 0; i < voter_count; i++)
        buf_printf(out, "%s{\"voterId\":%d}", i > 0 ? "," : "", (int)voters[i]);
    buf_append_z(out, "],\"data_version\":0}");
}
