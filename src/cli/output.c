/* cli/output.c - collects cells, then prints them in one of two ways. */
#include "cli/output.h"

#include <string.h>

#include "base/assert.h"

enum { CELLS_MAX = 1 << 30 };

void
output_begin(
    struct output *out, enum cli_format format, const char *const *columns, int column_count)
{
    ASSERT(column_count > 0 && column_count <= OUTPUT_COLUMNS_MAX);
    out->format = format;
    out->columns = columns;
    out->column_count = column_count;
    out->cell_count = 0;
    buf_init(&out->cells, CELLS_MAX);
}

static void
add_cell(struct output *out, char kind, struct str value)
{
    buf_append_byte(&out->cells, (uint8_t)kind);
    buf_append_str(&out->cells, value);
    buf_append_byte(&out->cells, 0);
    out->cell_count++;
}

void
output_str(struct output *out, struct str value)
{
    add_cell(out, str_is_null(value) ? '0' : 's', str_is_null(value) ? STR("-") : value);
}

void
output_z(struct output *out, const char *value)
{
    output_str(out, str_of(value));
}

void
output_i64(struct output *out, int64_t value)
{
    char text[24];
    snprintf(text, sizeof text, "%lld", (long long)value);
    add_cell(out, 'n', str_of(text));
}

/* Length of a valid UTF-8 sequence at p, 0 when it is none. */
static size_t
utf8_len(const uint8_t *p, size_t left)
{
    size_t len = p[0] < 0x80                             ? 1
                 : (p[0] & 0xe0) == 0xc0 && p[0] >= 0xc2 ? 2
                 : (p[0] & 0xf0) == 0xe0                 ? 3
                 : (p[0] & 0xf8) == 0xf0 && p[0] <= 0xf4 ? 4
                                                         : 0;
    if (len == 0 || len > left)
        return 0;
    for (size_t i = 1; i < len; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    if ((len == 3 && p[0] == 0xe0 && p[1] < 0xa0) || (len == 3 && p[0] == 0xed && p[1] >= 0xa0) ||
        (len == 4 && p[0] == 0xf0 && p[1] < 0x90) || (len == 4 && p[0] == 0xf4 && p[1] >= 0x90))
        return 0;
    return len;
}

void
output_json_string(FILE *file, struct bytes value)
{
    if (value.data == NULL) {
        fputs("null", file);
        return;
    }
    fputc('"', file);
    for (size_t i = 0; i < value.len;) {
        uint8_t c = value.data[i];
        size_t len = utf8_len(value.data + i, value.len - i);
        if (c == '"' || c == '\\')
            fprintf(file, "\\%c", c);
        else if (c == '\n')
            fputs("\\n", file);
        else if (c == '\t')
            fputs("\\t", file);
        else if (c < 0x20 || c == 0x7f)
            fprintf(file, "\\u%04x", c);
        else if (len == 0)
            fputs("\\ufffd", file);
        else
            fwrite(value.data + i, 1, len, file);
        i += len == 0 ? 1 : len;
    }
    fputc('"', file);
}

static void
print_json(const struct output *out)
{
    const char *cell = (const char *)out->cells.data;
    fputs("[", stdout);
    for (int i = 0; i < out->cell_count; i++) {
        int column = i % out->column_count;
        fputs(column == 0 ? (i == 0 ? "\n  {" : ",\n  {") : ", ", stdout);
        fprintf(stdout, "\"%s\": ", out->columns[column]);
        if (cell[0] == 'n')
            fputs(cell + 1, stdout);
        else if (cell[0] == '0')
            fputs("null", stdout);
        else
            output_json_string(stdout, (struct bytes){(const uint8_t *)cell + 1, strlen(cell + 1)});
        if (column == out->column_count - 1)
            fputs("}", stdout);
        cell += strlen(cell) + 1;
    }
    fputs(out->cell_count > 0 ? "\n]\n" : "]\n", stdout);
}

static void
print_table(const struct output *out)
{
    size_t widths[OUTPUT_COLUMNS_MAX];
    const char *cell = (const char *)out->cells.data;
    for (int c = 0; c < out->column_count; c++)
        widths[c] = strlen(out->columns[c]);
    for (int i = 0; i < out->cell_count; i++, cell += strlen(cell) + 1)
        if (strlen(cell + 1) > widths[i % out->column_count])
            widths[i % out->column_count] = strlen(cell + 1);
    for (int c = 0; c < out->column_count; c++) {
        bool last = c == out->column_count - 1;
        for (const char *p = out->columns[c]; *p != '\0'; p++)
            fputc(*p >= 'a' && *p <= 'z' ? *p - 32 : *p == '_' ? '-' : *p, stdout);
        fprintf(stdout, last ? "\n" : "%*s", (int)(widths[c] + 2 - strlen(out->columns[c])), "");
    }
    cell = (const char *)out->cells.data;
    for (int i = 0; i < out->cell_count; i++, cell += strlen(cell) + 1) {
        int c = i % out->column_count;
        int pad = (int)(widths[c] - strlen(cell + 1));
        if (cell[0] == 'n')
            fprintf(stdout, "%*s%s", pad, "", cell + 1);
        else
            fprintf(stdout, "%s%*s", cell + 1, c == out->column_count - 1 ? 0 : pad, "");
        fputs(c == out->column_count - 1 ? "\n" : "  ", stdout);
    }
}

void
output_end(struct output *out)
{
    ASSERT(out->cell_count % out->column_count == 0);
    if (out->format == CLI_FORMAT_JSON)
        print_json(out);
    else
        print_table(out);
    buf_fini(&out->cells);
}
