/* cli/produce_input.h - lines of text become records: plain, by a format, or JSON. */
#ifndef CLI_PRODUCE_INPUT_H
#define CLI_PRODUCE_INPUT_H

#include "base/arena.h"
#include "cli/cli.h"
#include "client/producer.h"

enum { INPUT_HEADERS_MAX = 64, INPUT_PARTS_MAX = 16, INPUT_LITERAL_MAX = 64 };

/* A verb and the text that ends it; the last one takes the rest of the line. */
struct input_part {
    char verb; /* k, s, p, T, h; 0 for text at the start */
    char literal[INPUT_LITERAL_MAX];
    size_t literal_len;
};

struct input {
    struct input_part parts[INPUT_PARTS_MAX];
    int part_count; /* 0: the whole line is the value */
    bool json;
    bool tombstones;    /* empty values are null */
    struct arena arena; /* of the record at hand */
    struct batch_header headers[INPUT_HEADERS_MAX];
    char error[200]; /* why the last line was no record */
};

/* Reads "%k:%s" and the like: %k key, %s or %v value, %p partition, %T timestamp in milliseconds,
 * %h headers (a=1,b=2), %%; and \t \n \\ \0. NULL when it is fine, else what is wrong. */
const char *input_format(struct input *input, const char *format);
/* Key, then value: what -K says. False when the separator is empty or too long. */
bool input_separator(struct input *input, const char *separator);

void input_init(struct input *input);
void input_fini(struct input *input);
/* Fills key, value, headers, partition and timestamp of the record with what the line says of them,
 * leaving the rest. Views into the line and the input, until the next call. False: see error. */
bool input_line(struct input *input, struct str line, struct client_record *record);

#endif
