/* cli/output.c - collects cells, then prints them in one of several ways.
 *
 * Invariants: I1 every section holds whole rows when it ends. I2 `cells` holds the sections' cells
 * one after the other, so a section is read from `at` on. */
#include "cli/output.h"

#include <string.h>

#include "base/assert.h"

enum { CELLS_MAX = 1 << 30, CELL_HEAD = 5 };

/* Kinds of cells: text, number, truth, null, list. */
struct cell {
    char kind;    /* 's', 'n', 'b', '0', 'l' */
    uint32_t len; /* of the text; of a list: how many cells follow */
    const char *text;
};

/* ---- collecting ---- */

void
output_open(struct output *out, enum cli_format format)
{
    memset(out, 0, sizeof *out);
    out->format = format;
    out->file = stdout;
    buf_init(&out->cells, CELLS_MAX);
}

static void
add_section(
    struct output *out, const char *name, const char *const *columns, int column_count, bool record)
{
    ASSERT(column_count > 0 && column_count <= OUTPUT_COLUMNS_MAX);
    ASSERT(out->section_count < OUTPUT_SECTIONS_MAX);
    out->sections[out->section_count++] = (struct output_section){.name = name,
        .columns = columns,
        .column_count = column_count,
        .record = record,
        .at = out->cells.len};
}

void
output_rows(struct output *out, const char *name, const char *const *columns, int column_count)
{
    add_section(out, name, columns, column_count, false);
}

void
output_record(struct output *out, const char *name, const char *const *columns, int column_count)
{
    add_section(out, name, columns, column_count, true);
}

void
output_begin(
    struct output *out, enum cli_format format, const char *const *columns, int column_count)
{
    output_open(out, format);
    output_rows(out, NULL, columns, column_count);
}

static void
add_cell(struct output *out, char kind, uint32_t number, struct str value)
{
    ASSERT(out->section_count > 0);
    buf_append_byte(&out->cells, (uint8_t)kind);
    buf_append(&out->cells, &number, sizeof number);
    buf_append_str(&out->cells, value);
    if (out->list_left > 0)
        out->list_left--;
    else
        out->sections[out->section_count - 1].cell_count++;
}

void
output_str(struct output *out, struct str value)
{
    if (str_is_null(value))
        add_cell(out, '0', 0, STR(""));
    else
        add_cell(out, 's', (uint32_t)value.len, value);
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
    add_cell(out, 'n', (uint32_t)strlen(text), str_of(text));
}

void
output_i64_if(struct output *out, bool known, int64_t value)
{
    if (known)
        output_i64(out, value);
    else
        output_str(out, STR_NULL);
}

void
output_bool(struct output *out, bool value)
{
    add_cell(out, 'b', 1, value ? STR("1") : STR("0"));
}

void
output_list(struct output *out, int count)
{
    ASSERT(count >= 0);
    ASSERT(out->list_left == 0); /* no lists in lists */
    add_cell(out, 'l', (uint32_t)count, STR(""));
    out->list_left = count;
}

void
output_ints(struct output *out, const int32_t *values, int count)
{
    output_list(out, count);
    for (int i = 0; i < count; i++)
        output_i64(out, values[i]);
}

/* ---- reading cells back ---- */

/* The cell at *at; moves *at past it (not past the cells of a list). */
static struct cell
next_cell(const struct output *out, size_t *at)
{
    struct cell cell;
    const uint8_t *p = out->cells.data + *at;
    ASSERT(*at + CELL_HEAD <= out->cells.len);
    cell.kind = (char)p[0];
    memcpy(&cell.len, p + 1, sizeof cell.len);
    cell.text = (const char *)p + CELL_HEAD;
    *at += CELL_HEAD + (cell.kind == 'l' ? 0 : cell.len);
    return cell;
}

static const char *
column_name(const struct output_section *section, int column)
{
    const char *name = section->columns[column];
    return name[0] == '+' ? name + 1 : name;
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

/* ---- JSON and YAML: a quoted string, a number, true or null is the same in both ---- */

static void
print_scalar(FILE *file, struct cell cell)
{
    switch (cell.kind) {
    case 's': output_json_string(file, (struct bytes){(const uint8_t *)cell.text, cell.len}); break;
    case 'n': fwrite(cell.text, 1, cell.len, file); break;
    case 'b': fputs(cell.text[0] == '1' ? "true" : "false", file); break;
    default: fputs("null", file);
    }
}

static void
print_value(const struct output *out, size_t *at)
{
    struct cell cell = next_cell(out, at);
    if (cell.kind != 'l') {
        print_scalar(out->file, cell);
        return;
    }
    fputc('[', out->file);
    for (uint32_t i = 0; i < cell.len; i++) {
        fputs(i > 0 ? ", " : "", out->file);
        print_scalar(out->file, next_cell(out, at));
    }
    fputc(']', out->file);
}

static void
json_fields(
    const struct output *out, const struct output_section *section, size_t *at, const char *between)
{
    for (int c = 0; c < section->column_count; c++) {
        fprintf(out->file, "%s\"%s\": ", c > 0 ? between : "", column_name(section, c));
        print_value(out, at);
    }
}

static void
json_rows(const struct output *out, const struct output_section *section, const char *indent)
{
    size_t at = section->at;
    fputc('[', out->file);
    for (int i = 0; i < section->cell_count; i += section->column_count) {
        fprintf(out->file, "%s\n%s  {", i > 0 ? "," : "", indent);
        json_fields(out, section, &at, ", ");
        fputc('}', out->file);
    }
    if (section->cell_count > 0)
        fprintf(out->file, "\n%s", indent);
    fputc(']', out->file);
}

static void
print_json(const struct output *out)
{
    const struct output_section *first = &out->sections[0];
    if (out->section_count == 1 && first->name == NULL && !first->record) {
        json_rows(out, first, "");
        fputc('\n', out->file);
        return;
    }
    fputs("{\n  ", out->file);
    for (int i = 0; i < out->section_count; i++) {
        const struct output_section *section = &out->sections[i];
        size_t at = section->at;
        fputs(i > 0 ? ",\n  " : "", out->file);
        if (section->record && section->name == NULL) {
            json_fields(out, section, &at, ",\n  ");
        } else if (section->record) {
            fprintf(out->file, "\"%s\": {", section->name);
            json_fields(out, section, &at, ", ");
            fputc('}', out->file);
        } else {
            fprintf(out->file, "\"%s\": ", section->name);
            json_rows(out, section, "  ");
        }
    }
    fputs("\n}\n", out->file);
}

static void
yaml_fields(const struct output *out, const struct output_section *section, size_t *at,
    const char *first, const char *indent)
{
    for (int c = 0; c < section->column_count; c++) {
        fprintf(out->file, "%s%s: ", c > 0 ? indent : first, column_name(section, c));
        print_value(out, at);
        fputc('\n', out->file);
    }
}

static void
print_yaml(const struct output *out)
{
    for (int i = 0; i < out->section_count; i++) {
        const struct output_section *section = &out->sections[i];
        size_t at = section->at;
        bool named = section->name != NULL;
        if (named)
            fprintf(out->file, "%s:%s\n", section->name,
                !section->record && section->cell_count == 0 ? " []" : "");
        else if (!section->record && section->cell_count == 0)
            fputs("[]\n", out->file);
        if (section->record)
            yaml_fields(out, section, &at, named ? "  " : "", named ? "  " : "");
        for (int n = 0; !section->record && n < section->cell_count; n += section->column_count)
            yaml_fields(out, section, &at, named ? "  - " : "- ", named ? "    " : "  ");
    }
}

/* ---- tables ---- */

/* Prints text as a terminal may see it, or only counts its columns (file NULL). */
static size_t
print_text(FILE *file, const char *text, size_t len)
{
    size_t width = 0;
    for (size_t i = 0; i < len; i++) {
        uint8_t c = (uint8_t)text[i];
        bool control = c < 0x20 || c == 0x7f;
        width += control ? 4 : (c & 0xc0) != 0x80;
        if (file != NULL && control)
            fprintf(file, "\\x%02x", c);
        else if (file != NULL)
            fputc(c, file);
    }
    return width;
}

static size_t
print_plain_scalar(FILE *file, struct cell cell)
{
    if (cell.kind == 'b')
        return print_text(file, cell.text[0] == '1' ? "yes" : "no", cell.text[0] == '1' ? 3 : 2);
    if (cell.kind == '0' || cell.len == 0)
        return print_text(file, "-", 1);
    return print_text(file, cell.text, cell.len);
}

static size_t
print_plain(const struct output *out, FILE *file, size_t *at)
{
    struct cell cell = next_cell(out, at);
    size_t width = 0;
    if (cell.kind != 'l')
        return print_plain_scalar(file, cell);
    if (cell.len == 0)
        return print_text(file, "-", 1);
    for (uint32_t i = 0; i < cell.len; i++) {
        width += i > 0 ? print_text(file, ",", 1) : 0;
        width += print_plain_scalar(file, next_cell(out, at));
    }
    return width;
}

static size_t
print_heading(FILE *file, const char *name)
{
    for (const char *p = name; file != NULL && *p != '\0'; p++)
        fputc(*p >= 'a' && *p <= 'z' ? *p - 32 : *p == '_' ? '-' : *p, file);
    return strlen(name);
}

static bool
column_shown(const struct output *out, const struct output_section *section, int column)
{
    return section->columns[column][0] != '+' || out->format == CLI_FORMAT_WIDE;
}

static void
measure(const struct output *out, const struct output_section *section, size_t *widths, bool *right)
{
    size_t at = section->at;
    for (int c = 0; c < section->column_count; c++) {
        widths[c] = print_heading(NULL, column_name(section, c));
        right[c] = false;
    }
    for (int i = 0; i < section->cell_count; i++) {
        int c = i % section->column_count;
        size_t peek = at;
        right[c] |= next_cell(out, &peek).kind == 'n';
        size_t width = print_plain(out, NULL, &at);
        if (width > widths[c])
            widths[c] = width;
    }
}

/* One cell of a table, or its heading when at is NULL, padded to its column. */
static void
print_padded(
    const struct output *out, const char *name, size_t *at, size_t column_width, int pad_to)
{
    size_t peek = at != NULL ? *at : 0;
    size_t width = at != NULL ? print_plain(out, NULL, &peek) : print_heading(NULL, name);
    int pad = (int)(column_width - width);
    fprintf(out->file, "%*s", pad_to > 0 ? pad : 0, "");
    if (at != NULL)
        (void)print_plain(out, out->file, at);
    else
        (void)print_heading(out->file, name);
    fprintf(out->file, "%*s", pad_to < 0 ? pad : 0, "");
}

static void
print_table(const struct output *out, const struct output_section *section)
{
    size_t widths[OUTPUT_COLUMNS_MAX];
    bool right[OUTPUT_COLUMNS_MAX];
    int last = 0;
    size_t at = section->at;
    measure(out, section, widths, right);
    for (int c = 0; c < section->column_count; c++)
        last = column_shown(out, section, c) ? c : last;
    for (int row = -1; row < section->cell_count / section->column_count; row++)
        for (int c = 0; c < section->column_count; c++) {
            int pad_to = right[c] ? 1 : c == last ? 0 : -1;
            if (column_shown(out, section, c)) {
                print_padded(out, column_name(section, c), row < 0 ? NULL : &at, widths[c], pad_to);
                fputs(c == last ? "\n" : "  ", out->file);
            } else if (row >= 0) {
                (void)print_plain(out, NULL, &at);
            }
        }
}

static void
print_record(const struct output *out, const struct output_section *section)
{
    size_t width = 0;
    size_t at = section->at;
    for (int c = 0; c < section->column_count; c++)
        if (column_shown(out, section, c) && strlen(column_name(section, c)) > width)
            width = strlen(column_name(section, c));
    for (int c = 0; c < section->column_count; c++) {
        bool shown = column_shown(out, section, c);
        size_t len = shown ? print_heading(out->file, column_name(section, c)) : 0;
        if (shown)
            fprintf(out->file, "%*s", (int)(width + 2 - len), "");
        (void)print_plain(out, shown ? out->file : NULL, &at);
        if (shown)
            fputc('\n', out->file);
    }
}

static void
print_names(const struct output *out)
{
    const struct output_section *section = &out->sections[0];
    for (int i = 0; i < out->section_count; i++)
        if (!out->sections[i].record) {
            section = &out->sections[i];
            break;
        }
    size_t at = section->at;
    for (int i = 0; i < section->cell_count; i++) {
        bool name = i % section->column_count == 0;
        (void)print_plain(out, name ? out->file : NULL, &at);
        if (name)
            fputc('\n', out->file);
    }
}

static void
print_tables(const struct output *out)
{
    bool before = false;
    for (int i = 0; i < out->section_count; i++) {
        const struct output_section *section = &out->sections[i];
        /* An empty section says nothing, unless it is all there is. */
        if (section->cell_count == 0 && section->name != NULL)
            continue;
        if (before)
            fputc('\n', out->file);
        before = true;
        if (section->record)
            print_record(out, section);
        else
            print_table(out, section);
    }
}

int
output_end(struct output *out)
{
    enum err err = out->cells.err;
    for (int i = 0; err == ERR_OK && i < out->section_count; i++) /* I1 */
        ASSERT(out->sections[i].cell_count % out->sections[i].column_count == 0);
    ASSERT(out->list_left == 0);
    if (err != ERR_OK)
        fprintf(stderr, "moldau: the answer does not fit into memory\n");
    else if (out->format == CLI_FORMAT_JSON)
        print_json(out);
    else if (out->format == CLI_FORMAT_YAML)
        print_yaml(out);
    else if (out->format == CLI_FORMAT_NAME)
        print_names(out);
    else
        print_tables(out);
    output_drop(out);
    return err == ERR_OK ? CLI_OK : CLI_FAILED;
}

void
output_drop(struct output *out)
{
    buf_fini(&out->cells);
}
