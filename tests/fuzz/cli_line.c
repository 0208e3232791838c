/* Any bytes as a command line, words ending with a newline: it is parsed or refused with a reason,
 * and the numbers, choices, partitions, ranges and moments in it are. Nothing is run. */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/complete.h"
#include "cli/configs.h"
#include "cli/consume_range.h"
#include "cli/partitions.h"
#include "cli/settings.h"
#include "cli/suggest.h"
#include "cli/when.h"
#include "tests/fuzz/quiet.h"

enum { WORDS_MAX = 64, ARENA_BYTES = 16 << 20, NOW_MS = 1700000000 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void
read_word(struct cli *cli, const char *word)
{
    static const char *const choices[] = {"first", "second", NULL};
    struct consume_range range;
    struct config_change change;
    struct config_resource resource;
    struct suggest suggest;
    char wrong[CONSUME_RANGE_WRONG_SIZE] = "";
    struct str topic;
    const char *ranges;
    int64_t number;
    (void)choices;
    if (cli_number_parse(word, -5, 5, &number))
        ASSERT(number >= -5 && number <= 5);
    (void)!cli_number_parse(word, INT64_MIN, INT64_MAX, &number);
    (void)!when_parse(word, NOW_MS, &number);
    ASSERT(consume_range_parse(word, NOW_MS, &range, wrong) || wrong[0] != '\0');
    if (partitions_parse(cli, word, &topic, &ranges) == CLI_OK)
        (void)partitions_named(ranges, 3);
    (void)config_change_read(cli, word, true, &change);
    (void)config_resource_read(cli, "broker", word, &resource);
    suggest_init(&suggest, word);
    suggest_add(&suggest, "first");
    (void)suggest_best(&suggest);
}

static void
read_line(int argc, char **argv)
{
    struct cli cli = {.more = NULL};
    int used = 0;
    cli.command = cli_find(NULL, argc, argv, &used);
    if (cli.command == NULL)
        cli.command = cli_commands[0];
    ASSERT(used <= argc);
    arena_init(&cli.arena, ARENA_BYTES);
    if (cli_parse(&cli, argc - used, argv + used) == CLI_OK &&
        cli_value(&cli, "command-config") == NULL)
        (void)settings_read(&cli);
    for (int i = 0; i < argc; i++)
        read_word(&cli, argv[i]);
    arena_fini(&cli.arena);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    char *words[WORDS_MAX + 1];
    int count = 0;
    struct quiet quiet;
    char *text = mem_alloc(len + 1);
    if (text == NULL)
        return 0;
    memcpy(text, data, len);
    text[len] = '\0';
    for (char *at = text; count < WORDS_MAX && *at != '\0';) {
        words[count++] = at;
        at += strcspn(at, "\n");
        if (*at == '\n')
            *at++ = '\0';
    }
    words[count] = NULL;
    quiet_begin(&quiet);
    if (count > 0)
        read_line(count, words);
    quiet_end(&quiet);
    mem_free(text);
    return 0;
}
