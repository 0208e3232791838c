/* cli/dump_text.c - the small files of text beside the logs. */
#include <string.h>

#include "cli/dump.h"

enum { WORDS_MAX = 3 };

/* Cuts the next line off; false at the end. */
static bool
next_line(struct str *text, struct str *line)
{
    if (text->len == 0)
        return false;
    const char *newline = memchr(text->data, '\n', text->len);
    size_t len = newline != NULL ? (size_t)(newline - text->data) : text->len;
    *line = (struct str){text->data, len};
    text->data += newline != NULL ? len + 1 : len;
    text->len -= newline != NULL ? len + 1 : len;
    return true;
}

/* The words of a line; WORDS_MAX + 1 when there are more. */
static int
split(struct str line, struct str words[WORDS_MAX])
{
    int count = 0;
    while (line.len > 0) {
        const char *blank = memchr(line.data, ' ', line.len);
        size_t len = blank != NULL ? (size_t)(blank - line.data) : line.len;
        if (count == WORDS_MAX)
            return WORDS_MAX + 1;
        words[count++] = (struct str){line.data, len};
        line.data += blank != NULL ? len + 1 : len;
        line.len -= blank != NULL ? len + 1 : len;
    }
    return count;
}

static bool
word_number(struct str word, int64_t *out)
{
    char text[24];
    if (word.len == 0 || word.len >= sizeof text)
        return false;
    memcpy(text, word.data, word.len);
    text[word.len] = '\0';
    return text[strspn(text, "-0123456789")] == '\0' &&
           cli_number_parse(text, INT64_MIN, INT64_MAX, out);
}

/* Version, count, and so many lines of so many words, the last of which are numbers. */
static void
dump_checkpoint(struct dump *dump, struct bytes data, const char *const *names, int name_count)
{
    struct str text = {(const char *)data.data, data.len};
    struct str line;
    int64_t version, count;
    int64_t seen = 0;
    if (data.len == 0) /* made, and never written to */
        return;
    if (!next_line(&text, &line) || !word_number(line, &version) || version != 0 ||
        !next_line(&text, &line) || !word_number(line, &count)) {
        dump_problem(dump, "does not start with version 0 and a count");
        return;
    }
    while (next_line(&text, &line)) {
        struct str words[WORDS_MAX];
        int64_t numbers[WORDS_MAX] = {0};
        bool ok = split(line, words) == name_count;
        for (int i = 0; ok && i < name_count; i++)
            ok = strcmp(names[i], "topic") == 0 || word_number(words[i], &numbers[i]);
        seen++;
        if (!ok) {
            dump_problem(dump, "line %lld is none of a checkpoint: '%.*s'", (long long)seen + 2,
                STR_FMT(line));
            continue;
        }
        dump_entry_begin(&dump->out);
        for (int i = 0; i < name_count; i++)
            if (strcmp(names[i], "topic") == 0)
                dump_word(&dump->out, names[i], words[i]);
            else
                dump_i64(&dump->out, names[i], numbers[i]);
        dump_entry_end(&dump->out);
    }
    if (seen != count)
        dump_problem(dump, "says %lld lines and holds %lld", (long long)count, (long long)seen);
}

void
dump_offset_checkpoint(struct dump *dump, struct bytes data)
{
    static const char *const names[] = {"topic", "partition", "offset"};
    dump_checkpoint(dump, data, names, COUNT_OF(names));
}

void
dump_epoch_checkpoint(struct dump *dump, struct bytes data)
{
    static const char *const names[] = {"epoch", "start_offset"};
    dump_checkpoint(dump, data, names, COUNT_OF(names));
}

void
dump_properties(struct dump *dump, struct bytes data)
{
    struct str text = {(const char *)data.data, data.len};
    struct str line;
    while (next_line(&text, &line)) {
        size_t at = 0;
        if (line.len == 0 || line.data[0] == '#')
            continue;
        while (at < line.len && line.data[at] != '=' && line.data[at] != ':')
            at++;
        if (at == line.len) {
            dump_problem(dump, "'%.*s' is no property", STR_FMT(line));
            continue;
        }
        struct str value = {line.data + at + 1, line.len - at - 1};
        while (value.len > 0 && value.data[0] == ' ')
            value = (struct str){value.data + 1, value.len - 1};
        dump_entry_begin(&dump->out);
        dump_word(&dump->out, "key", (struct str){line.data, at});
        dump_word(&dump->out, "value", value);
        dump_entry_end(&dump->out);
    }
}

void
dump_json_file(struct dump *dump, struct bytes data)
{
    while (data.len > 0 && (data.data[data.len - 1] == '\n' || data.data[data.len - 1] == ' '))
        data.len--;
    dump_entry_begin(&dump->out);
    dump_bytes(&dump->out, "text", data);
    dump_entry_end(&dump->out);
}
