/* cli/consume_range.c - reads ranges and turns their points into offsets. */
#include "cli/consume_range.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "cli/cli.h"
#include "cli/when.h"
#include "client/consumer.h"
#include "client/lookup.h"

enum { POINT_MAX_BYTES = 64 };

/* ---- reading ---- */

static bool
point_parse(const char *text, int64_t now_ms, struct consume_point *out, char *wrong)
{
    *out = (struct consume_point){CONSUME_POINT_START, 0};
    if (strcmp(text, "start") == 0 || strcmp(text, "beginning") == 0 ||
        strcmp(text, "earliest") == 0)
        return true;
    out->kind = CONSUME_POINT_END;
    if (strcmp(text, "end") == 0 || strcmp(text, "latest") == 0)
        return true;
    if (text[0] == '@') {
        out->kind = CONSUME_POINT_TIME;
        if (when_parse(text + 1, now_ms, &out->value) && out->value >= 0)
            return true;
        snprintf(wrong, CONSUME_RANGE_WRONG_SIZE, "'%s' is no time: after the @ write " WHEN_FORMS,
            text);
        return false;
    }
    bool back = text[0] == '-';
    out->kind = back ? CONSUME_POINT_BEFORE_END : CONSUME_POINT_OFFSET;
    if (cli_number_parse(text + back, 0, INT64_MAX, &out->value))
        return true;
    int64_t when;
    if (when_parse(text, now_ms, &when))
        snprintf(wrong, CONSUME_RANGE_WRONG_SIZE, "'%s' is a time: write @%s", text, text);
    else
        snprintf(wrong, CONSUME_RANGE_WRONG_SIZE,
            "'%s' is no offset: write start, end, N, -N (the last N) or @TIME", text);
    return false;
}

/* Where FROM ends and TO starts: after "..", or after the ':' of N:M (times have colons, too). */
static const char *
find_split(const char *text, size_t *from_len)
{
    const char *dots = strstr(text, "..");
    if (dots != NULL) {
        *from_len = (size_t)(dots - text);
        return dots + 2;
    }
    size_t digits = strspn(text, "0123456789");
    if (digits > 0 && text[digits] == ':') {
        *from_len = digits;
        return text + digits + 1;
    }
    return NULL;
}

bool
consume_range_parse(const char *text, int64_t now_ms, struct consume_range *out,
    char wrong[CONSUME_RANGE_WRONG_SIZE])
{
    char from[POINT_MAX_BYTES];
    size_t len = strlen(text);
    const char *to = find_split(text, &len);
    *out = (struct consume_range){.bounded = to != NULL && to[0] != '\0'};
    if (len >= sizeof from || (to != NULL && strlen(to) >= sizeof from)) {
        snprintf(wrong, CONSUME_RANGE_WRONG_SIZE, "'%.40s...' is too long for an offset", text);
        return false;
    }
    memcpy(from, text, len);
    from[len] = '\0';
    if ((to == NULL || len > 0) && !point_parse(from, now_ms, &out->from, wrong))
        return false;
    if (out->bounded && !point_parse(to, now_ms, &out->to, wrong))
        return false;
    if (out->bounded && out->to.kind == CONSUME_POINT_TIME && out->to.value > now_ms) {
        snprintf(wrong, CONSUME_RANGE_WRONG_SIZE,
            "'%s' is in the future: end with a time that is past, or write '%s..' to go on", to,
            len > 0 ? from : "start");
        return false;
    }
    if (out->bounded && out->from.kind == out->to.kind &&
        (out->from.kind == CONSUME_POINT_BEFORE_END ? out->from.value < out->to.value
                                                    : out->from.value > out->to.value)) {
        snprintf(wrong, CONSUME_RANGE_WRONG_SIZE, "'%s' ends before it starts: write '%s..%s'",
            text, to, from);
        return false;
    }
    return true;
}

/* ---- resolving ---- */

struct resolve {
    struct client *client;
    struct client_lookup_target *targets; /* one a partition */
    const struct consume_part *parts;
    int count;
    bool read_committed;
    int64_t *ends, *starts; /* NULL until needed */
    int64_t start, end;     /* of RANGE */
    int failed;
    int16_t error_code;
};

/* offsets[i] of every partition for one timestamp. */
static enum err
look_up(struct resolve *resolve, int64_t timestamp, int64_t *offsets)
{
    struct client_lookup_opts opts = {
        .client = resolve->client,
        .targets = resolve->targets,
        .count = resolve->count,
        .read_committed = resolve->read_committed,
    };
    for (int i = 0; i < resolve->count; i++)
        resolve->targets[i] = (struct client_lookup_target){
            .topic = resolve->parts[i].topic,
            .partition = resolve->parts[i].partition,
            .timestamp = timestamp,
        };
    enum err err = client_lookup_wait(&opts);
    for (int i = 0; i < resolve->count; i++) {
        offsets[i] = resolve->targets[i].offset;
        if (err != ERR_OK && resolve->targets[i].err == err) {
            resolve->failed = i;
            resolve->error_code = resolve->targets[i].error_code;
            return err;
        }
    }
    return err;
}

static enum err
look_up_once(struct resolve *resolve, int64_t timestamp, int64_t **offsets)
{
    if (*offsets != NULL)
        return ERR_OK;
    *offsets = mem_calloc((size_t)resolve->count + 1, sizeof **offsets);
    return *offsets == NULL ? ERR_NOMEM : look_up(resolve, timestamp, *offsets);
}

static enum err
resolve_point(struct resolve *resolve, const struct consume_point *point, int64_t *offsets)
{
    enum err err = ERR_OK;
    if (point->kind == CONSUME_POINT_OFFSET) {
        for (int i = 0; i < resolve->count; i++)
            offsets[i] = point->value;
        return ERR_OK;
    }
    if (point->kind == CONSUME_POINT_START)
        return look_up(resolve, CLIENT_OFFSET_EARLIEST, offsets);
    err = look_up_once(resolve, CLIENT_OFFSET_LATEST, &resolve->ends);
    if (err == ERR_OK && point->kind == CONSUME_POINT_BEFORE_END)
        err = look_up_once(resolve, CLIENT_OFFSET_EARLIEST, &resolve->starts);
    if (err == ERR_OK && point->kind == CONSUME_POINT_TIME)
        err = look_up(resolve, point->value, offsets);
    for (int i = 0; err == ERR_OK && i < resolve->count; i++) {
        int64_t end = resolve->ends[i];
        if (point->kind == CONSUME_POINT_END)
            offsets[i] = end;
        else if (point->kind == CONSUME_POINT_TIME)
            offsets[i] = offsets[i] < 0 ? end : offsets[i];
        else
            offsets[i] =
                end - resolve->starts[i] < point->value ? resolve->starts[i] : end - point->value;
    }
    return err;
}

/* An offset to start at must be there; of several partitions each starts where it can. */
static enum err
clip_offsets(struct resolve *resolve, int64_t *offsets)
{
    enum err err = look_up_once(resolve, CLIENT_OFFSET_LATEST, &resolve->ends);
    if (err == ERR_OK)
        err = look_up_once(resolve, CLIENT_OFFSET_EARLIEST, &resolve->starts);
    for (int i = 0; err == ERR_OK && i < resolve->count; i++) {
        int64_t start = resolve->starts[i], end = resolve->ends[i];
        if (resolve->count == 1 && (offsets[i] < start || offsets[i] > end)) {
            resolve->start = start;
            resolve->end = end;
            return ERR_RANGE;
        }
        offsets[i] = offsets[i] < start ? start : offsets[i] > end ? end : offsets[i];
    }
    return err;
}

static enum err
resolve_all(struct resolve *resolve, const struct consume_range *range, struct consume_part *parts)
{
    int64_t *offsets = mem_calloc((size_t)resolve->count + 1, sizeof *offsets);
    enum err err = offsets == NULL ? ERR_NOMEM : ERR_OK;
    enum consume_point_kind from = range->from.kind;
    bool simple = from == CONSUME_POINT_START || from == CONSUME_POINT_END;
    if (err == ERR_OK && !simple)
        err = resolve_point(resolve, &range->from, offsets);
    if (err == ERR_OK && from == CONSUME_POINT_OFFSET)
        err = clip_offsets(resolve, offsets);
    for (int i = 0; err == ERR_OK && i < resolve->count; i++)
        parts[i].from = !simple                       ? offsets[i]
                        : from == CONSUME_POINT_START ? CLIENT_OFFSET_EARLIEST
                                                      : CLIENT_OFFSET_LATEST;
    if (err == ERR_OK && range->bounded)
        err = resolve_point(resolve, &range->to, offsets);
    for (int i = 0; err == ERR_OK && i < resolve->count; i++)
        parts[i].stop = range->bounded ? offsets[i] : -1;
    mem_free(offsets);
    return err;
}

enum err
consume_range_resolve(struct client *client, const struct consume_range *range, bool read_committed,
    struct consume_part *parts, int count, struct consume_failure *failure)
{
    struct resolve resolve = {
        .client = client, .parts = parts, .count = count, .read_committed = read_committed};
    ASSERT(count >= 0);
    resolve.targets = mem_calloc((size_t)count + 1, sizeof *resolve.targets);
    if (resolve.targets == NULL)
        return ERR_NOMEM;
    enum err err = resolve_all(&resolve, range, parts);
    *failure = (struct consume_failure){
        &parts[resolve.failed], resolve.error_code, resolve.start, resolve.end};
    mem_free(resolve.ends);
    mem_free(resolve.starts);
    mem_free(resolve.targets);
    return err;
}
