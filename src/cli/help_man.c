/* cli/help_man.c - manual pages from the table of commands: moldau(1), and one for each family. */
#include <string.h>

#include "cli/cli.h"
#include "cli/commands.h"

/* Text as it is: nothing in it is a macro, and hyphens of options stay what they are. */
static void
put(FILE *file, const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        char c = text[i];
        if (c == '\\')
            fputs("\\e", file);
        else if (c == '-')
            fputs("\\-", file);
        else if ((c == '.' || c == '\'') && (i == 0 || text[i - 1] == '\n'))
            fprintf(file, "\\&%c", c);
        else
            fputc(c, file);
    }
}

static void
put_z(FILE *file, const char *text)
{
    put(file, text, strlen(text));
}

static void
put_head(FILE *file, const char *name, const char *summary)
{
    fputs(".TH \"", file);
    for (const char *c = name; *c != '\0'; c++)
        fputc(*c >= 'a' && *c <= 'z' ? *c - 32 : *c, file);
    fputs("\" 1 \"\" \"Moldau\" \"Moldau\"\n.SH NAME\n", file);
    put_z(file, name);
    fputs(" \\- ", file);
    put_z(file, summary);
    fputc('\n', file);
}

static void
put_options(FILE *file, const struct cli_option *options)
{
    for (; options != NULL && options->name != NULL; options++) {
        fputs(".TP\n", file);
        if (options->letter != 0)
            fprintf(file, "\\fB\\-%c\\fR, ", options->letter);
        fputs("\\fB\\-\\-", file);
        put_z(file, options->name);
        fputs("\\fR", file);
        if (options->value_name != NULL) {
            fputs(" \\fI", file);
            put_z(file, options->value_name);
            fputs("\\fR", file);
        }
        fputc('\n', file);
        put_z(file, options->help);
        if (options->fallback != NULL) {
            fputs(" (default: ", file);
            put_z(file, options->fallback);
            fputc(')', file);
        }
        fputc('\n', file);
    }
}

/* Paragraphs are parted by empty lines. */
static void
put_text(FILE *file, const char *text)
{
    const char *end;
    while ((end = strstr(text, "\n\n")) != NULL) {
        put(file, text, (size_t)(end - text));
        fputs("\n.PP\n", file);
        text = end + strspn(end, "\n");
    }
    put(file, text, strlen(text) - (*text != '\0' && text[strlen(text) - 1] == '\n'));
    fputc('\n', file);
}

static void
put_examples(FILE *file, const char *lines)
{
    fputs(".PP\nExamples:\n.PP\n.nf\n.RS\n", file);
    while (*lines != '\0') {
        size_t len = strcspn(lines, "\n"), indent = strspn(lines, " ");
        indent = indent > len ? len : indent;
        put(file, lines + indent, len - indent);
        fputc('\n', file);
        lines += len + (lines[len] == '\n');
    }
    fputs(".RE\n.fi\n", file);
}

static void
put_command(FILE *file, const struct cli_command *command)
{
    fputs(".SS \"moldau ", file);
    put_z(file, command->name);
    fputc(' ', file);
    put_z(file, command->arguments);
    fputs("\"\n", file);
    char first = command->summary[0];
    fputc(first >= 'a' && first <= 'z' ? first - 32 : first, file);
    put_z(file, command->summary + 1);
    fputs(".\n", file);
    if (command->alias != NULL) {
        fputs(".PP\nAlso called \\fBmoldau ", file);
        put_z(file, command->alias);
        fputs("\\fR.\n", file);
    }
    if (command->text != NULL) {
        fputs(".PP\n", file);
        put_text(file, command->text);
    }
    put_options(file, command->options);
    if (command->not_found != NULL)
        fprintf(file, ".PP\nExit code 3: %s.\n", command->not_found);
    if (command->unhealthy != NULL)
        fprintf(file, ".PP\nExit code 4: %s.\n", command->unhealthy);
    if (command->examples != NULL)
        put_examples(file, command->examples);
}

static void
put_shared(FILE *file)
{
    fputs(".SH \"OPTIONS OF EVERY COMMAND\"\n", file);
    put_options(file, cli_shared_options);
    fputs(".SH \"EXIT STATUS\"\n"
          ".TP\n0\ndone\n.TP\n1\nfailed; standard error says why\n.TP\n2\nwrong usage\n"
          ".TP\n3\nwhat was named does not exist\n.TP\n4\nunhealthy (checks)\n",
        file);
}

/* ---- moldau(1) ---- */

static void
put_nothing(FILE *file, const char *name)
{
    (void)file;
    (void)name;
}

static void
put_line(FILE *file, const struct cli_command *command)
{
    fputs(".TP\n\\fBmoldau ", file);
    put_z(file, command->name);
    fputs("\\fR ", file);
    put_z(file, command->arguments);
    fputc('\n', file);
    put_z(file, command->summary);
    fputc('\n', file);
}

static void
put_reference(FILE *file, const char *name)
{
    fputs(".br\n.BR moldau\\-", file);
    put_z(file, name);
    fputs(" (1)\n", file);
}

static void
put_no_command(FILE *file, const struct cli_command *command)
{
    (void)file;
    (void)command;
}

static void
put_overview(FILE *file, const struct cli_command *const *more)
{
    put_head(file, "moldau", "event streaming that speaks Apache Kafka");
    fputs(".SH SYNOPSIS\n.B moldau\n.I COMMAND\n[\\fIOPTIONS\\fR] [\\fIARGUMENTS\\fR]\n"
          ".SH DESCRIPTION\n"
          "One program is the broker, the controller and the command line. Options may stand "
          "anywhere after the\ncommand; \\fB\\-\\-\\fR ends them. Numbers may end in k, m or g.\n"
          ".PP\n\\fBmoldau help\\fR lists the commands, \\fBmoldau\\fR \\fICOMMAND\\fR "
          "\\fB\\-\\-help\\fR explains one.\n"
          ".SH COMMANDS\n",
        file);
    cli_help_each(file, more, put_nothing, put_line);
    put_shared(file);
    fputs(".SH ENVIRONMENT\n.TP\nMOLDAU_BROKERS\nwhere the cluster is\n"
          ".TP\nMOLDAU_\\fIKEY_NAME\\fR\na setting of the server: MOLDAU_NUM_PARTITIONS is "
          "num.partitions\n"
          ".SH FILES\n.TP\n/etc/moldau/server.properties\nsettings of the packaged service\n"
          ".TP\n/var/lib/moldau\nits data\n.SH \"SEE ALSO\"\n",
        file);
    cli_help_each(file, more, put_reference, put_no_command);
}

/* ---- moldau-FAMILY(1) ---- */

bool
cli_help_man(FILE *file, const struct cli_command *const *more, const char *family)
{
    const struct cli_command *const *lists[] = {cli_commands, more};
    char name[40], summary[80];
    size_t len = family == NULL ? 0 : strlen(family);
    bool begun = family == NULL;
    if (family == NULL)
        put_overview(file, more);
    snprintf(name, sizeof name, "moldau-%.30s", family == NULL ? "" : family);
    snprintf(summary, sizeof summary, "the commands moldau %.30s", family == NULL ? "" : family);
    for (int l = 0; family != NULL && l < 2; l++)
        for (const struct cli_command *const *at = lists[l]; at != NULL && *at != NULL; at++) {
            const char *command = (*at)->name;
            if (strncmp(command, family, len) != 0 || (command[len] != ' ' && command[len] != '\0'))
                continue;
            if (!begun) {
                put_head(file, name, command[len] == '\0' ? (*at)->summary : summary);
                fputs(".SH COMMANDS\n", file);
            }
            begun = true;
            put_command(file, *at);
        }
    if (family != NULL && begun) {
        put_shared(file);
        fputs(".SH \"SEE ALSO\"\n.BR moldau (1)\n", file);
    }
    return begun;
}
