/* cli/output.h - rows for people (aligned columns) or for programs (JSON), from the same calls. */
#ifndef CLI_OUTPUT_H
#define CLI_OUTPUT_H

#include <stdint.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "cli/cli.h"

enum { OUTPUT_COLUMNS_MAX = 16 };

/* Rows are kept until output_end, which prints them: {"columns"...} as a JSON array of objects, or
 * a table with a header line. */
struct output {
    enum cli_format format;
    const char *const *columns;
    int column_count;
    struct buf cells; /* each: one kind byte ('s' or 'n'), text, NUL */
    int cell_count;
};

void output_begin(
    struct output *out, enum cli_format format, const char *const *columns, int column_count);
void output_str(struct output *out, struct str value); /* null prints as "-" or null */
void output_z(struct output *out, const char *value);
void output_i64(struct output *out, int64_t value);
void output_end(struct output *out);

/* JSON text with its quotes, for bytes that may be no UTF-8 (replaced by U+FFFD). */
void output_json_string(FILE *file, struct bytes value);

#endif
