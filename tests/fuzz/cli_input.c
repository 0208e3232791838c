/* Any bytes as what the command line reads and prints by: a format and lines of records (plain and
 * JSON), lines of offsets, a client's properties. First byte: which; then the format up to a NUL;
 * then the lines. */
#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "cli/csv.h"
#include "cli/format.h"
#include "cli/output.h"
#include "cli/produce_input.h"
#include "cli/settings.h"
#include "tests/fuzz/files.h"
#include "tests/fuzz/quiet.h"

enum { ARENA_BYTES = 16 << 20, FORMAT_MAX = 200 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void
read_records(uint8_t flags, const char *format, struct bytes lines)
{
    struct input input;
    input_init(&input);
    input.json = (flags & 4) != 0;
    input.tombstones = (flags & 8) != 0;
    bool fine =
        (flags & 16) != 0 ? input_separator(&input, format) : input_format(&input, format) == NULL;
    while (fine && lines.len > 0) {
        const uint8_t *newline = memchr(lines.data, '\n', lines.len);
        size_t len = newline != NULL ? (size_t)(newline - lines.data) : lines.len;
        struct client_record record = {.partition = -1};
        if (!input_line(&input, (struct str){(const char *)lines.data, len}, &record))
            ASSERT(input.error[0] != '\0');
        len += newline != NULL;
        lines.data += len;
        lines.len -= len;
    }
    input_fini(&input);
}

static void
print_record(const char *format, struct bytes bytes)
{
    struct client_message message = {
        .topic = {(const char *)bytes.data, bytes.len}, .key = bytes, .value = bytes};
    if (format_check(format) == NULL)
        format_print(stdout, format, &message);
    format_print_json(stdout, &message);
}

static void
read_files(struct fuzz_host *host, bool csv)
{
    static const struct cli_option options[] = {
        {"command-config", 0, "FILE", "a file", NULL}, {NULL, 0, NULL, NULL, NULL}};
    static const struct cli_command command = {
        .name = "fuzz", .arguments = "", .summary = "", .options = options};
    struct cli cli = {.command = &command, .env = host->env};
    struct csv_offset *offsets;
    int count;
    arena_init(&cli.arena, ARENA_BYTES);
    if (csv) {
        if (csv_read(&cli, "c/file", STR("g"), &offsets, &count) == CLI_OK)
            ASSERT(count > 0);
    } else {
        cli.given[0].option = &options[0];
        cli.given[0].value = "c/file";
        cli.given_count = 1;
        (void)settings_read(&cli);
    }
    arena_fini(&cli.arena);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    char format[FORMAT_MAX] = "";
    struct quiet quiet;
    struct fuzz_host host;
    if (len < 2)
        return 0;
    struct bytes rest = {data + 1, len - 1};
    const uint8_t *nul = memchr(rest.data, 0, rest.len);
    if (nul != NULL && (size_t)(nul - rest.data) < sizeof format) {
        memcpy(format, rest.data, (size_t)(nul - rest.data) + 1);
        rest.len -= (size_t)(nul - rest.data) + 1;
        rest.data = nul + 1;
    }
    quiet_begin(&quiet);
    switch (data[0] % 4) {
    case 0: read_records(data[0], format, rest); break;
    case 1: print_record(format, rest); break;
    default:
        fuzz_host_open(&host);
        fuzz_file_add(&host, "c/file", rest);
        read_files(&host, data[0] % 4 == 2);
        fuzz_host_close(&host);
    }
    quiet_end(&quiet);
    return 0;
}
