/* cli/output.h - rows for people (aligned columns) or for programs (JSON, YAML, names), from the
 * same calls.
 *
 * What a command prints is a list of sections, each of rows under columns. A single section without
 * a name is an array in JSON; with names, the document is an object that holds each under its name;
 * the fields of a section made by output_record stand in that object itself when it has no name. A
 * column that starts with '+' is for WIDE tables only (programs always get it, without the '+').
 * The first column of the first section with rows is what NAME prints. Nothing is printed before
 * output_end. */
#ifndef CLI_OUTPUT_H
#define CLI_OUTPUT_H

#include <stdint.h>
#include <stdio.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/bytes.h"
#include "cli/cli.h"

enum { OUTPUT_COLUMNS_MAX = 24, OUTPUT_SECTIONS_MAX = 8 };

struct output_section {
    const char *name; /* NULL: the document itself */
    const char *const *columns;
    int column_count;
    int cell_count;
    bool record; /* one row, as an object */
    size_t at;   /* of its first cell */
};

struct output {
    enum cli_format format;
    FILE *file;       /* standard output, until somebody changes it */
    struct buf cells; /* each: a kind byte, a length, the text; a list: its count and its cells */
    int list_left;    /* cells that still belong to the list begun last */
    struct output_section sections[OUTPUT_SECTIONS_MAX];
    int section_count;
};

/* One section without a name. */
void output_begin(
    struct output *out, enum cli_format format, const char *const *columns, int column_count);
/* No section yet. Columns are borrowed until the end. */
void output_open(struct output *out, enum cli_format format);
void output_rows(
    struct output *out, const char *name, const char *const *columns, int column_count);
void output_record(
    struct output *out, const char *name, const char *const *columns, int column_count);

void output_str(struct output *out, struct str value); /* null prints as "-" or null */
void output_z(struct output *out, const char *value);
void output_i64(struct output *out, int64_t value);
/* A number, or null when it is not known. */
void output_i64_if(struct output *out, bool known, int64_t value);
void output_bool(struct output *out, bool value); /* yes and no in tables */
/* A cell that holds several: exactly `count` cells follow. */
void output_list(struct output *out, int count);
void output_ints(struct output *out, const int32_t *values, int count);

/* Prints and frees. CLI_OK, or CLI_FAILED after saying that memory was short. */
int output_end(struct output *out);
/* Frees without printing: the command failed. */
void output_drop(struct output *out);

/* JSON text with its quotes, for bytes that may be no UTF-8 (replaced by U+FFFD). */
void output_json_string(FILE *file, struct bytes value);

#endif
