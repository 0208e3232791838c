/* cli/dump.h - the parts of debug dump-log: one function for each form of file. */
#ifndef CLI_DUMP_H
#define CLI_DUMP_H

#include "base/arena.h"
#include "base/buf.h"
#include "cli/cli.h"
#include "cli/dump_out.h"
#include "wire/batch.h"

/* How the records of a file are to be read. */
enum dump_payload {
    DUMP_PLAIN,
    DUMP_METADATA,
    DUMP_OFFSETS,
    DUMP_TRANSACTIONS,
    DUMP_SHARE,
    DUMP_REMOTE,
};

struct dump {
    struct cli *cli;
    struct dump_out out;
    enum dump_payload payload;
    bool records;
    const char *path; /* of the file at hand */
    int problems;     /* so far; each was printed */
    struct compress_ctx *compress;
    struct buf scratch;
    struct arena arena; /* for one record */
};

/* A problem in the file at hand, on standard error. */
void dump_problem(struct dump *dump, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Batch by batch, with records when they are wanted. */
void dump_batches(struct dump *dump, struct bytes data);
/* One record's fields. */
void dump_record(
    struct dump *dump, const struct batch_view *batch, const struct batch_record *record);

/* Offset, time and transaction index. `log` is the segment beside it, BYTES_NULL when it is not
 * there: then nothing is compared. */
void dump_offset_index(struct dump *dump, struct bytes data, int64_t base_offset, struct bytes log);
void dump_time_index(struct dump *dump, struct bytes data, int64_t base_offset, struct bytes log);
void dump_txn_index(struct dump *dump, struct bytes data);
void dump_producer_snapshot(struct dump *dump, struct bytes data);

/* Files of text: checkpoints of offsets, leader epochs, properties, the vote. */
void dump_offset_checkpoint(struct dump *dump, struct bytes data);
void dump_epoch_checkpoint(struct dump *dump, struct bytes data);
void dump_properties(struct dump *dump, struct bytes data);
void dump_json_file(struct dump *dump, struct bytes data);

#endif
