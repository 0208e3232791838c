/* cli/complete.c - candidates from the table of commands. */
#include "cli/complete.h"

#include <string.h>

#include "base/assert.h"
#include "cli/commands.h"

enum { TOKEN_MAX = 64 };

void
complete_offer(FILE *file, const char *word, struct str candidate)
{
    size_t len = strlen(word);
    if (candidate.len >= len && memcmp(candidate.data, word, len) == 0)
        fprintf(file, "%.*s\n", STR_FMT(candidate));
}

static void
offer_all(FILE *file, const char *word, const char *const *candidates)
{
    for (int i = 0; candidates[i] != NULL; i++)
        complete_offer(file, word, str_of(candidates[i]));
}

/* ---- names of commands ---- */

static struct str
first_word(const char *name)
{
    return (struct str){name, strcspn(name, " ")};
}

/* A family of cli_commands that another list adds to: it is offered with these. */
static bool
is_elsewhere(const struct cli_command *const *at, struct str family)
{
    bool own = false, there = false;
    for (const struct cli_command *const *c = cli_commands; *c != NULL; c++) {
        own |= c == at;
        there |= str_eq(first_word((*c)->name), family);
    }
    return there && !own;
}

/* Families and commands of one word; families stand together in the table. */
static void
offer_first(FILE *file, const struct cli_command *const *list, const char *word)
{
    struct str before = STR_NULL;
    for (; list != NULL && *list != NULL; list++) {
        struct str name = first_word((*list)->name);
        if (!str_eq(name, before) && !is_elsewhere(list, name))
            complete_offer(file, word, name);
        before = name;
    }
}

static void
offer_second(
    FILE *file, const struct cli_command *const *list, const char *family, const char *word)
{
    for (; list != NULL && *list != NULL; list++) {
        struct str first = first_word((*list)->name);
        if (str_eq_z(first, family) && (*list)->name[first.len] == ' ')
            complete_offer(file, word, str_of((*list)->name + first.len + 1));
    }
}

/* ---- options ---- */

static void
offer_options(FILE *file, const struct cli_option *options, const char *word)
{
    for (; options != NULL && options->name != NULL; options++) {
        char text[TOKEN_MAX];
        snprintf(text, sizeof text, "--%s", options->name);
        complete_offer(file, word, str_of(text));
    }
}

static const struct cli_option *
find_in(const struct cli_option *options, const char *text)
{
    for (; options != NULL && options->name != NULL; options++)
        if ((text[1] == '-' && strcmp(text + 2, options->name) == 0) ||
            (text[1] != '-' && text[1] == options->letter && text[2] == '\0'))
            return options;
    return NULL;
}

/* The option that a word names and that takes the next word as its value; NULL for any other. */
static const struct cli_option *
wants_value(const struct cli_command *command, const char *text)
{
    if (text[0] != '-' || text[1] == '\0')
        return NULL;
    const struct cli_option *option = find_in(command->options, text);
    if (option == NULL)
        option = find_in(cli_shared_options, text);
    return option != NULL && option->value_name != NULL ? option : NULL;
}

/* Values that are words of a short list. */
static enum complete_live
offer_values(FILE *file, const struct cli_option *option, const char *word)
{
    static const char *const formats[] = {"table", "wide", "json", "yaml", "name", NULL};
    static const char *const types[] = {"classic", "consumer", "share", "streams", NULL};
    static const char *const codecs[] = {"none", "gzip", "snappy", "lz4", "zstd", NULL};
    static const char *const acks[] = {"0", "1", "all", NULL};
    static const struct {
        const char *option;
        const char *const *values;
    } known[] = {{"output", formats}, {"type", types}, {"compression", codecs}, {"acks", acks}};
    for (size_t i = 0; i < COUNT_OF(known); i++)
        if (strcmp(option->name, known[i].option) == 0)
            offer_all(file, word, known[i].values);
    return strcmp(option->name, "group") == 0 ? COMPLETE_GROUPS : COMPLETE_NOTHING;
}

/* ---- arguments ---- */

/* The name of the n-th argument in "GROUP [TOPIC[:PARTITIONS]...]": capitals only; the last one
 * stands for all that follow. */
static void
argument_name(const char *arguments, int n, char out[TOKEN_MAX])
{
    out[0] = '\0';
    for (int i = 0; i <= n && *arguments != '\0'; i++) {
        arguments += strspn(arguments, " [");
        size_t len = strspn(arguments, "ABCDEFGHIJKLMNOPQRSTUVWXYZ-|");
        if (len > 0 && len < TOKEN_MAX)
            snprintf(out, TOKEN_MAX, "%.*s", (int)len, arguments);
        arguments += strcspn(arguments, " ");
    }
}

static enum complete_live
offer_argument(FILE *file, const char *name, const char *kind, const char *word)
{
    static const char *const kinds[] = {
        "topic", "broker", "group", "client-metrics", "broker-logger", NULL};
    static const char *const profiles[] = {"dev", "production", NULL};
    if (strcmp(name, "KIND") == 0)
        offer_all(file, word, kinds);
    if (strcmp(name, "PROFILE") == 0)
        offer_all(file, word, profiles);
    if (strcmp(name, "TOPIC") == 0 || (strcmp(name, "NAME") == 0 && strcmp(kind, "topic") == 0))
        return COMPLETE_TOPICS;
    if (strcmp(name, "GROUP") == 0 || (strcmp(name, "NAME") == 0 && strcmp(kind, "group") == 0))
        return COMPLETE_GROUPS;
    return COMPLETE_NOTHING;
}

/* What follows the command's name; `words` starts there. */
static enum complete_live
complete_rest(FILE *file, const struct cli_command *command, char **words, int count)
{
    const char *word = words[count - 1];
    const char *kind = "";
    char name[TOKEN_MAX];
    int arguments = 0;
    for (int i = 0; i < count - 1; i++) {
        const struct cli_option *option = wants_value(command, words[i]);
        if (option != NULL && i == count - 2)
            return offer_values(file, option, word);
        if (option != NULL)
            i++;
        else if (words[i][0] != '-' && arguments++ == 0)
            kind = words[i];
    }
    if (word[0] == '-') {
        offer_options(file, command->options, word);
        offer_options(file, cli_shared_options, word);
        return COMPLETE_NOTHING;
    }
    argument_name(command->arguments, arguments, name);
    return offer_argument(file, name, kind, word);
}

enum complete_live
complete_words(FILE *file, const struct cli_command *const *more, char **words, int count)
{
    int used;
    ASSERT(count > 0);
    const struct cli_command *command = count > 1 ? cli_find(more, count - 1, words, &used) : NULL;
    if (command != NULL)
        return complete_rest(file, command, words + used, count - used);
    if (count == 1) {
        offer_first(file, more, words[0]);
        offer_first(file, cli_commands, words[0]);
        complete_offer(file, words[0], STR("help"));
    } else if (count == 2 && strcmp(words[0], "help") == 0) {
        offer_first(file, more, words[1]);
        offer_first(file, cli_commands, words[1]);
    } else if (count == 2) {
        offer_second(file, more, words[0], words[1]);
        offer_second(file, cli_commands, words[0], words[1]);
    } else if (count == 3 && strcmp(words[0], "help") == 0) {
        offer_second(file, more, words[1], words[2]);
        offer_second(file, cli_commands, words[1], words[2]);
    }
    return COMPLETE_NOTHING;
}
