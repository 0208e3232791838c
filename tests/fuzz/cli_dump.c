/* Any bytes as each file of a log directory that debug dump-log prints: printed, or its damage
 * told. The first byte picks the form of the file, the second how it is printed. Two pieces of
 * files.h: the file, and the segment beside it. */
#include "base/assert.h"
#include "cli/dump.h"
#include "tests/fuzz/files.h"
#include "tests/fuzz/quiet.h"

enum { ARENA_BYTES = 16 << 20, SCRATCH_BYTES = 16 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void
dump_one(struct dump *dump, int form, struct bytes file, struct bytes log)
{
    switch (form) {
    case 0: dump_batches(dump, file); break;
    case 1: dump_offset_index(dump, file, 0, log); break;
    case 2: dump_time_index(dump, file, 0, log); break;
    case 3: dump_txn_index(dump, file); break;
    case 4: dump_producer_snapshot(dump, file); break;
    case 5: dump_offset_checkpoint(dump, file); break;
    case 6: dump_epoch_checkpoint(dump, file); break;
    case 7: dump_properties(dump, file); break;
    default: dump_json_file(dump, file); break;
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static const struct cli_command command = {.name = "fuzz", .arguments = "", .summary = ""};
    struct cli cli = {.command = &command};
    struct dump dump = {.cli = &cli, .path = "file"};
    struct bytes file, log = BYTES_NULL;
    struct quiet quiet;
    if (len < 4)
        return 0;
    struct bytes rest = {data + 2, len - 2};
    if (!fuzz_piece_next(&rest, &file))
        return 0;
    (void)fuzz_piece_next(&rest, &log);
    dump.records = (data[1] & 1) != 0;
    dump.payload = (enum dump_payload)((data[1] >> 2) % (DUMP_REMOTE + 1));
    ASSERT(compress_ctx_new(&dump.compress) == ERR_OK);
    buf_init(&dump.scratch, SCRATCH_BYTES);
    arena_init(&dump.arena, ARENA_BYTES);
    quiet_begin(&quiet);
    dump_out_init(&dump.out, stdout, (data[1] & 2) != 0, false);
    dump_file_begin(&dump.out, "file", "log", true);
    dump_one(&dump, data[0] % 9, file, log);
    dump_file_end(&dump.out);
    dump_out_end(&dump.out);
    quiet_end(&quiet);
    arena_fini(&dump.arena);
    buf_fini(&dump.scratch);
    compress_ctx_free(&dump.compress);
    return 0;
}
