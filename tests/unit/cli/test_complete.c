/* What shells are offered, from the table alone. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/complete.h"
#include "tests/lib/test.h"

/* Candidates of words that end with NULL, on one line; `live` says what the cluster would add. */
static void
expect(const char *const *words, const char *want, enum complete_live live)
{
    char *text;
    size_t len;
    int count = 0;
    FILE *file = open_memstream(&text, &len);
    assert_non_null(file);
    while (words[count] != NULL)
        count++;
    enum complete_live got = complete_words(file, NULL, (char **)(uintptr_t)words, count);
    fclose(file);
    for (size_t i = 0; i < len; i++)
        text[i] = text[i] == '\n' ? ' ' : text[i];
    assert_string_equal(text, want);
    assert_int_equal(got, live);
    free(text);
}

#define EXPECT(want, live, ...) expect((const char *const[]){__VA_ARGS__, NULL}, (want), (live))

static void
commands_and_options_are_offered(void **state)
{
    (void)state;
    EXPECT("topic ", COMPLETE_NOTHING, "top");
    EXPECT("help ", COMPLETE_NOTHING, "he");
    EXPECT("", COMPLETE_NOTHING, "nothing-like-it");
    EXPECT("lag ", COMPLETE_NOTHING, "group", "la");
    EXPECT("trim ", COMPLETE_NOTHING, "help", "topic", "tri");
    EXPECT("", COMPLETE_NOTHING, "nosuch", "la");
    EXPECT("--shift ", COMPLETE_NOTHING, "group", "seek", "g", "--sh");
    EXPECT("--brokers ", COMPLETE_NOTHING, "group", "seek", "--br");
    EXPECT("json ", COMPLETE_NOTHING, "group", "list", "--output", "js");
    EXPECT("zstd ", COMPLETE_NOTHING, "produce", "t", "-z", "z");
}

static void
arguments_say_what_the_cluster_must_be_asked(void **state)
{
    (void)state;
    EXPECT("", COMPLETE_TOPICS, "topic", "describe", "");
    EXPECT("", COMPLETE_TOPICS, "topic", "describe", "a", "b", "");
    EXPECT("", COMPLETE_TOPICS, "topic", "trim", "--before", "5", "");
    EXPECT("", COMPLETE_GROUPS, "group", "seek", "");
    EXPECT("", COMPLETE_TOPICS, "group", "seek", "g", "");
    EXPECT("", COMPLETE_NOTHING, "group", "seek", "g", "--to", "");
    EXPECT("", COMPLETE_NOTHING, "topic", "add-partitions", "t", "");
    EXPECT("group ", COMPLETE_NOTHING, "config", "set", "gr");
    EXPECT("", COMPLETE_GROUPS, "config", "set", "group", "");
    EXPECT("", COMPLETE_TOPICS, "config", "set", "topic", "");
    EXPECT("", COMPLETE_NOTHING, "config", "set", "broker", "");
    EXPECT("", COMPLETE_NOTHING, "debug", "dump-log", "");
}

TEST_MAIN(cmocka_unit_test(commands_and_options_are_offered),
    cmocka_unit_test(arguments_say_what_the_cluster_must_be_asked))
