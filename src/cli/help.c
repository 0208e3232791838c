/* cli/help.c - what the table of commands says of itself: help, overview, reference page. */
#include <string.h>

#include "cli/cli.h"
#include "cli/commands.h"

enum { TEXT_WIDTH = 100 };

/* "-p, --partitions N" */
static void
format_option(const struct cli_option *option, char *out, size_t size)
{
    char letter[8] = "";
    if (option->letter != 0)
        snprintf(letter, sizeof letter, "-%c, ", option->letter);
    snprintf(out, size, "%s--%s%s%s", letter, option->name, option->value_name != NULL ? " " : "",
        option->value_name != NULL ? option->value_name : "");
}

static void
print_options(FILE *file, const struct cli_option *options)
{
    for (; options != NULL && options->name != NULL; options++) {
        char left[80];
        format_option(options, left, sizeof left);
        bool letter = options->letter != 0;
        fprintf(file, "  %s%-*s %s", letter ? "" : "    ", letter ? 30 : 26, left, options->help);
        if (options->fallback != NULL)
            fprintf(file, " (%s)", options->fallback);
        fputc('\n', file);
    }
}

/* Paragraphs, each filled to the width; what stands between them is an empty line. */
static void
print_text(FILE *file, const char *text)
{
    int column = 0;
    while (*text != '\0') {
        size_t blanks = strspn(text, " \n");
        bool paragraph = text[0] == '\n' && text[1] == '\n';
        text += blanks;
        size_t len = strcspn(text, " \n");
        if (len == 0)
            break;
        if (column > 0 && paragraph) {
            fputs("\n\n", file);
            column = 0;
        } else if (column > 0 && column + 1 + (int)len > TEXT_WIDTH) {
            fputc('\n', file);
            column = 0;
        } else if (column > 0) {
            fputc(' ', file);
            column++;
        }
        fprintf(file, "%.*s", (int)len, text);
        column += (int)len;
        text += len;
    }
    fputc('\n', file);
}

static void
print_exits(FILE *file, const struct cli_command *command, const char *line)
{
    fprintf(file, line, 0, "done");
    fprintf(file, line, 1, "failed; standard error says why");
    fprintf(file, line, 2, "wrong usage");
    if (command->not_found != NULL)
        fprintf(file, line, 3, command->not_found);
    if (command->unhealthy != NULL)
        fprintf(file, line, 4, command->unhealthy);
}

void
cli_help_command(FILE *file, const struct cli_command *command)
{
    fprintf(file, "%s\n\nusage: moldau %s%s%s [OPTIONS]\n", command->summary, command->name,
        command->arguments[0] != '\0' ? " " : "", command->arguments);
    if (command->alias != NULL)
        fprintf(file, "   or: moldau %s ...\n", command->alias);
    if (command->text != NULL) {
        fputc('\n', file);
        print_text(file, command->text);
    }
    if (command->options != NULL) {
        fprintf(file, "\noptions:\n");
        print_options(file, command->options);
    }
    fprintf(file, "\nfor every command:\n");
    print_options(file, cli_shared_options);
    fprintf(file, "\nexit codes:\n");
    print_exits(file, command, "  %d  %s\n");
    if (command->examples != NULL)
        fprintf(file, "\nexamples:\n%s", command->examples);
}

static void
print_list(FILE *file, const struct cli_command *const *list, const char *prefix)
{
    size_t len = strlen(prefix);
    for (; list != NULL && *list != NULL; list++) {
        const char *name = (*list)->name;
        if (strncmp(name, prefix, len) == 0 && (len == 0 || name[len] == '\0' || name[len] == ' '))
            fprintf(file, "  %-24s %s\n", name, (*list)->summary);
    }
}

void
cli_help_overview(FILE *file, const struct cli_command *const *more, const char *prefix)
{
    if (prefix[0] == '\0')
        fprintf(file, "moldau - event streaming that speaks Apache Kafka\n\n");
    fprintf(file, "usage: moldau %s%s [OPTIONS]\n\n", prefix[0] != '\0' ? prefix : "COMMAND",
        prefix[0] != '\0' ? " COMMAND" : "");
    print_list(file, more, prefix);
    print_list(file, cli_commands, prefix);
    fprintf(file, "\nmoldau help COMMAND explains one.\n");
}

/* ---- the reference page ---- */

/* Text for a table cell. */
static void
print_cell(FILE *file, const char *text)
{
    for (; *text != '\0'; text++)
        fputs(*text == '|' ? "\\|" : *text == '<' ? "&lt;" : (char[]){*text, '\0'}, file);
}

static void
print_option_rows(FILE *file, const struct cli_option *options)
{
    fputs("| Option | Meaning | Default |\n|---|---|---|\n", file);
    for (; options != NULL && options->name != NULL; options++) {
        char left[80];
        format_option(options, left, sizeof left);
        fprintf(file, "| `%s` | ", left);
        print_cell(file, options->help);
        fputs(" | ", file);
        print_cell(file, options->fallback != NULL ? options->fallback : "");
        fputs(" |\n", file);
    }
    fputc('\n', file);
}

static void
print_markdown_command(FILE *file, const struct cli_command *command)
{
    fprintf(file, "### moldau %s\n\n%c%s.\n\n    moldau %s%s%s [OPTIONS]\n\n", command->name,
        command->summary[0] >= 'a' && command->summary[0] <= 'z' ? command->summary[0] - 32
                                                                 : command->summary[0],
        command->summary + 1, command->name, command->arguments[0] != '\0' ? " " : "",
        command->arguments);
    if (command->alias != NULL)
        fprintf(file, "Also called `moldau %s`.\n\n", command->alias);
    if (command->text != NULL) {
        print_text(file, command->text);
        fputc('\n', file);
    }
    if (command->options != NULL)
        print_option_rows(file, command->options);
    if (command->not_found != NULL || command->unhealthy != NULL) {
        fprintf(file, "Exit codes of its own:");
        if (command->not_found != NULL)
            fprintf(
                file, " 3 when %s%s", command->not_found, command->unhealthy != NULL ? "," : ".");
        if (command->unhealthy != NULL)
            fprintf(file, " 4 when %s.", command->unhealthy);
        fputs("\n\n", file);
    }
    if (command->examples != NULL) {
        const char *line = command->examples;
        while (*line != '\0') {
            const char *end = strchr(line, '\n');
            size_t len = end != NULL ? (size_t)(end - line) : strlen(line);
            fprintf(file, "  %.*s\n", (int)len, line);
            line += end != NULL ? len + 1 : len;
        }
        fputc('\n', file);
    }
}

static size_t
family_len(const struct cli_command *command)
{
    const char *space = strchr(command->name, ' ');
    return space != NULL ? (size_t)(space - command->name) : strlen(command->name);
}

static bool
is_family(const struct cli_command *a, const struct cli_command *b)
{
    return a != NULL && b != NULL && family_len(a) == family_len(b) &&
           strncmp(a->name, b->name, family_len(a)) == 0;
}

/* The commands of a list that are of a family, by the same function. */
static void
each_of_family(const struct cli_command *const *list, const struct cli_command *family,
    void (*fn)(FILE *file, const struct cli_command *command), FILE *file)
{
    for (; list != NULL && *list != NULL; list++)
        if (is_family(*list, family))
            fn(file, *list);
}

void
cli_help_each(FILE *file, const struct cli_command *const *more,
    void (*family)(FILE *file, const char *name),
    void (*fn)(FILE *file, const struct cli_command *command))
{
    const struct cli_command *const *lists[] = {more, cli_commands};
    for (int l = 0; l < 2; l++)
        for (const struct cli_command *const *at = lists[l]; at != NULL && *at != NULL; at++) {
            char name[32];
            bool begun = at > lists[l] && is_family(at[-1], *at);
            /* What `more` adds to a family stands with that family. */
            for (const struct cli_command *const *o = cli_commands; l == 0 && *o != NULL; o++)
                begun |= is_family(*o, *at);
            if (begun)
                continue;
            snprintf(name, sizeof name, "%.*s", (int)family_len(*at), (*at)->name);
            family(file, name);
            each_of_family(cli_commands, *at, fn, file);
            each_of_family(more, *at, fn, file);
        }
}

static void
print_markdown_heading(FILE *file, const char *name)
{
    fprintf(file, "## %s\n\n", name);
}

void
cli_help_markdown(FILE *file, const struct cli_command *const *more)
{
    fputs(
        "# Command line\n\n"
        "Generated by `gen/cli.py page` from the table of commands in `src/cli/`.\n\n"
        "    moldau COMMAND [OPTIONS] [ARGUMENTS]\n\n"
        "`moldau help` lists the commands, `moldau COMMAND --help` explains one. Options may stand "
        "anywhere after the\ncommand; `--` ends them. Numbers may end in k, m or g (thousand, "
        "million, milliard).\n\n"
        "## For every command\n\n",
        file);
    print_option_rows(file, cli_shared_options);
    fputs("`table` is for people and may change; `wide` has more columns. `json` and `yaml` have "
          "the same fields, whose names\nstay; `name` prints one name a line. Errors, warnings and "
          "progress go to standard error, and progress only when\nthat is a terminal.\n\n"
          "| Exit code | Meaning |\n|---|---|\n"
          "| 0 | done |\n| 1 | failed; standard error says why |\n| 2 | wrong usage |\n"
          "| 3 | what was named does not exist |\n| 4 | unhealthy (checks) |\n\n",
        file);
    cli_help_each(file, more, print_markdown_heading, print_markdown_command);
}
