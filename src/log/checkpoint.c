/* What: reading and writing Kafka's text checkpoints. Everything in such a file is untrusted. */
#include "log/checkpoint.h"

#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"

/* 100,000 partitions with topic names of the greatest length. */
enum { CHECKPOINT_BYTES_MAX = 32 << 20 };

static bool
take_line(struct str *text, struct str *line)
{
    if (text->len == 0)
        return false;
    const char *end = memchr(text->data, '\n', text->len);
    size_t len = end == NULL ? text->len : (size_t)(end - text->data);
    size_t used = end == NULL ? len : len + 1;
    *line = (struct str){text->data, len};
    if (len > 0 && text->data[len - 1] == '\r')
        line->len--;
    text->data += used;
    text->len -= used;
    return true;
}

static bool
parse_number(struct str s, int64_t *out)
{
    bool negative = s.len > 0 && s.data[0] == '-';
    int64_t v = 0;
    if (negative) {
        s.data++;
        s.len--;
    }
    if (s.len == 0)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        int digit = s.data[i] - '0';
        if (digit < 0 || digit > 9 || v > (INT64_MAX - digit) / 10)
            return false;
        v = v * 10 + digit;
    }
    *out = negative ? -v : v;
    return true;
}

bool
checkpoint_take_number(struct str *line, int64_t *out)
{
    const char *space = line->len == 0 ? NULL : memchr(line->data, ' ', line->len);
    size_t len = space == NULL ? line->len : (size_t)(space - line->data);
    size_t used = space == NULL ? len : len + 1;
    if (!parse_number((struct str){line->data, len}, out))
        return false;
    line->data += used;
    line->len -= used;
    return true;
}

bool
checkpoint_parse_offset(struct str line, struct str *topic, int32_t *partition, int64_t *offset)
{
    const char *space = line.len == 0 ? NULL : memchr(line.data, ' ', line.len);
    if (space == NULL || space == line.data)
        return false;
    struct str name = {line.data, (size_t)(space - line.data)};
    struct str rest = {space + 1, line.len - name.len - 1};
    int64_t p, o;
    if (!checkpoint_take_number(&rest, &p) || !checkpoint_take_number(&rest, &o) || rest.len != 0 ||
        p < 0 || p > INT32_MAX || o < 0)
        return false;
    *topic = name;
    *partition = (int32_t)p;
    *offset = o;
    return true;
}

enum err
checkpoint_read(
    struct env *env, const char *path, bool (*fn)(void *ctx, struct str line), void *ctx)
{
    char *data;
    size_t len;
    enum err err = env_read_file(env, path, CHECKPOINT_BYTES_MAX, &data, &len);
    if (err != ERR_OK)
        return err == ERR_LIMIT ? ERR_CORRUPT : err;
    struct str text = {data, len}, line;
    int64_t version, expected, seen = 0;
    bool good = take_line(&text, &line) && parse_number(line, &version) && version == 0 &&
                take_line(&text, &line) && parse_number(line, &expected);
    while (good && take_line(&text, &line)) {
        good = fn(ctx, line);
        seen++;
    }
    good = good && seen == expected;
    mem_free(data);
    return good ? ERR_OK : ERR_CORRUPT;
}

void
checkpoint_begin(struct buf *text, int64_t count)
{
    ASSERT(count >= 0);
    buf_printf(text, "0\n%lld\n", (long long)count);
}
