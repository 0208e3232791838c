/* cli/dump_out.h - what debug dump-log prints, entry by entry as it is read: lines of name=value,
 * or one JSON array.
 *
 * Text:  position=0 size=71 ...          JSON:  [{"file": "x.log", "kind": "log", "entries": [
 *          offset=0 key=null value="a"            {"position": 0, ..., "records": [{...}]}]}] */
#ifndef CLI_DUMP_OUT_H
#define CLI_DUMP_OUT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/bytes.h"

struct dump_out {
    FILE *file;
    bool json;
    bool names;       /* only file names are wanted */
    int file_count;   /* begun */
    int depth;        /* of lists in entries */
    bool first_entry; /* of the list */
    bool first_field; /* of the entry */
};

void dump_out_init(struct dump_out *out, FILE *file, bool json, bool names);
void dump_out_end(struct dump_out *out);

void dump_file_begin(struct dump_out *out, const char *path, const char *kind, bool heading);
void dump_file_end(struct dump_out *out);

void dump_entry_begin(struct dump_out *out);
void dump_entry_end(struct dump_out *out);
/* A list of entries in the entry, its last field. */
void dump_list_begin(struct dump_out *out, const char *name);
void dump_list_end(struct dump_out *out);

void dump_i64(struct dump_out *out, const char *name, int64_t value);
void dump_bool(struct dump_out *out, const char *name, bool value);
void dump_word(struct dump_out *out, const char *name, struct str value);
/* Quoted, bytes that are no text replaced; null for null. */
void dump_bytes(struct dump_out *out, const char *name, struct bytes value);
/* JSON already. */
void dump_raw(struct dump_out *out, const char *name, const char *json);

#endif
