/* cli/csv.c - reading and writing offsets. */
#include "cli/csv.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"

enum { TEXT_MAX = 256 << 20, FIELDS_MAX = 4 };

void
csv_init(struct buf *text)
{
    buf_init(text, TEXT_MAX);
}

void
csv_add(struct buf *text, struct str topic, int32_t index, int64_t offset)
{
    buf_printf(text, "%.*s,%d,%lld\n", STR_FMT(topic), (int)index, (long long)offset);
}

int
csv_write(struct cli *cli, struct buf *text, const char *path)
{
    int code = CLI_OK;
    if (text->err != ERR_OK || cli_env(cli) == NULL) {
        code = cli_fail_memory(cli);
    } else if (strcmp(path, "-") == 0) {
        fwrite(text->data, 1, text->len, stdout);
    } else {
        enum err err = env_write_file_atomic(cli->env, path, buf_bytes(text));
        if (err != ERR_OK)
            code = cli_fail(cli, "%s: cannot be written: %s", path, err_text(err));
    }
    buf_fini(text);
    return code;
}

/* Cuts a line at its commas; the number of fields, FIELDS_MAX + 1 for more. */
static int
split(struct str line, struct str fields[FIELDS_MAX])
{
    int count = 0;
    while (count < FIELDS_MAX) {
        const char *comma = memchr(line.data, ',', line.len);
        size_t len = comma != NULL ? (size_t)(comma - line.data) : line.len;
        fields[count++] = (struct str){line.data, len};
        if (comma == NULL)
            return count;
        line.data += len + 1;
        line.len -= len + 1;
    }
    return FIELDS_MAX + 1;
}

static bool
field_number(struct str field, int64_t max, int64_t *out)
{
    char text[24];
    if (field.len == 0 || field.len >= sizeof text)
        return false;
    memcpy(text, field.data, field.len);
    text[field.len] = '\0';
    return text[strspn(text, "0123456789")] == '\0' && cli_number_parse(text, 0, max, out);
}

static int
read_line(struct cli *cli, const char *path, int number, struct str line, struct str group,
    struct csv_offset *out)
{
    struct str fields[FIELDS_MAX];
    int64_t index;
    int count = split(line, fields);
    int at = count - 3; /* of the topic */
    if (count != 3 && count != 4)
        return cli_usage(
            cli, "%s:%d: must be topic,partition,offset, not '%.*s'", path, number, STR_FMT(line));
    if (count == 4 && !str_eq(fields[0], group))
        return cli_usage(cli, "%s:%d: is for group '%.*s', not '%.*s'", path, number,
            STR_FMT(fields[0]), STR_FMT(group));
    if (fields[at].len == 0 || !field_number(fields[at + 1], INT32_MAX, &index) ||
        !field_number(fields[at + 2], INT64_MAX, &out->offset))
        return cli_usage(cli,
            "%s:%d: must be topic,partition,offset with numbers from 0, not '%.*s'", path, number,
            STR_FMT(line));
    out->topic = arena_str(&cli->arena, fields[at]);
    out->index = (int32_t)index;
    return str_is_null(out->topic) ? cli_fail_memory(cli) : CLI_OK;
}

static int
read_lines(struct cli *cli, const char *path, struct str text, struct str group,
    struct csv_offset *out, int *count)
{
    int number = 0;
    while (text.len > 0) {
        const char *newline = memchr(text.data, '\n', text.len);
        size_t len = newline != NULL ? (size_t)(newline - text.data) : text.len;
        struct str line = {text.data, len};
        if (line.len > 0 && line.data[line.len - 1] == '\r')
            line.len--;
        number++;
        if (line.len > 0 && line.data[0] != '#') {
            int code = read_line(cli, path, number, line, group, &out[*count]);
            if (code != CLI_OK)
                return code;
            for (int i = 0; i < *count; i++)
                if (out[i].index == out[*count].index && str_eq(out[i].topic, out[*count].topic))
                    return cli_usage(cli, "%s:%d: '%.*s' stands in an earlier line already", path,
                        number, STR_FMT(line));
            (*count)++;
        }
        text.data += newline != NULL ? len + 1 : len;
        text.len -= newline != NULL ? len + 1 : len;
    }
    return CLI_OK;
}

static int
by_topic(const void *a, const void *b)
{
    const struct csv_offset *x = a;
    const struct csv_offset *y = b;
    int order = str_cmp(x->topic, y->topic);
    return order != 0 ? order : x->index < y->index ? -1 : x->index > y->index;
}

int
csv_read(struct cli *cli, const char *path, struct str group, struct csv_offset **out, int *count)
{
    char *data;
    size_t len;
    int lines = 1;
    if (cli_env(cli) == NULL)
        return CLI_FAILED;
    enum err err = env_read_file(cli->env, path, TEXT_MAX, &data, &len);
    if (err == ERR_NOTFOUND)
        return cli_missing(cli, "%s: no such file", path);
    if (err != ERR_OK)
        return cli_fail(cli, "%s: %s", path, err_text(err));
    for (size_t i = 0; i < len; i++)
        lines += data[i] == '\n';
    *count = 0;
    *out = arena_calloc(&cli->arena, (size_t)lines, sizeof **out);
    int code = *out == NULL ? cli_fail_memory(cli)
                            : read_lines(cli, path, (struct str){data, len}, group, *out, count);
    ASSERT(*count <= lines);
    if (code == CLI_OK)
        qsort(*out, (size_t)*count, sizeof **out, by_topic);
    mem_free(data);
    if (code == CLI_OK && *count == 0)
        code = cli_usage(cli, "%s: holds no line of topic,partition,offset", path);
    return code;
}
