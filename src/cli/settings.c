/* cli/settings.c - the few keys of a client that a command needs.
 *
 * Files may hold any other key of a Kafka client: those are left alone. What would change how we
 * connect and cannot be done is refused, never ignored. */
#include "cli/settings.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "cli/suggest.h"

enum { FILE_MAX = 1 << 20, TIMEOUT_DEFAULT_MS = 30000, TIMEOUT_MAX_MS = 3600000 };

struct settings {
    struct cli *cli;
    const char *bootstrap; /* NULL: nobody said */
    const char *client_id;
    int64_t timeout_ms; /* 0: nobody said */
};

static const char *const known_keys[] = {"bootstrap.servers", "metadata.broker.list", "brokers",
    "client.id", "request.timeout.ms", "socket.timeout.ms", "security.protocol", NULL};

/* Takes one key when it is a known one that nobody set before; `where` names the source. */
static int
take(struct settings *settings, const char *where, const char *key, const char *value)
{
    struct cli *cli = settings->cli;
    if (strcmp(key, "bootstrap.servers") == 0 || strcmp(key, "metadata.broker.list") == 0 ||
        strcmp(key, "brokers") == 0) {
        if (settings->bootstrap == NULL)
            settings->bootstrap = value;
    } else if (strcmp(key, "client.id") == 0) {
        if (settings->client_id == NULL)
            settings->client_id = value;
    } else if (strcmp(key, "request.timeout.ms") == 0 || strcmp(key, "socket.timeout.ms") == 0) {
        int64_t timeout_ms;
        if (!cli_number_parse(value, 1, TIMEOUT_MAX_MS, &timeout_ms))
            return cli_usage(cli, "%s: %s must be a number from 1 to %d, not '%s'", where, key,
                TIMEOUT_MAX_MS, value);
        if (settings->timeout_ms == 0)
            settings->timeout_ms = timeout_ms;
    } else if (strcmp(key, "security.protocol") == 0 && strcasecmp(value, "PLAINTEXT") != 0) {
        return cli_fail(
            cli, "%s: security.protocol=%s: only PLAINTEXT is spoken so far", where, value);
    }
    return CLI_OK;
}

/* -X KEY=VALUE: what is unknown here was meant to do something. */
static int
take_option(struct settings *settings, const char *text)
{
    struct cli *cli = settings->cli;
    const char *equals = strchr(text, '=');
    struct suggest suggest;
    if (equals == NULL || equals == text)
        return cli_usage(
            cli, "-X must be KEY=VALUE, e.g. bootstrap.servers=127.0.0.1:9092, not '%s'", text);
    char *key = arena_strndup(&cli->arena, text, (size_t)(equals - text));
    if (key == NULL)
        return cli_fail_memory(cli);
    suggest_init(&suggest, key);
    for (int i = 0; known_keys[i] != NULL; i++) {
        if (strcmp(known_keys[i], key) == 0)
            return take(settings, "-X", key, equals + 1);
        suggest_add(&suggest, known_keys[i]);
    }
    if (suggest_best(&suggest) != NULL)
        return cli_usage(cli, "-X: no key '%s'; did you mean %s?", key, suggest_best(&suggest));
    return cli_usage(cli,
        "-X: no key '%s'; knows bootstrap.servers, client.id, request.timeout.ms and "
        "security.protocol",
        key);
}

/* The text without blanks around it, in place. */
static char *
trimmed(char *text)
{
    text += strspn(text, " \t");
    size_t len = strlen(text);
    while (len > 0 && strchr(" \t\r", text[len - 1]) != NULL)
        text[--len] = '\0';
    return text;
}

static int
take_line(struct settings *settings, const char *path, int number, char *line)
{
    char where[300];
    line = trimmed(line);
    if (line[0] == '\0' || line[0] == '#' || line[0] == '!')
        return CLI_OK;
    char *equals = strchr(line, '=');
    snprintf(where, sizeof where, "%s:%d", path, number);
    if (equals == NULL)
        return cli_usage(settings->cli, "%s: must be KEY=VALUE, not '%s'", where, line);
    *equals = '\0';
    return take(settings, where, trimmed(line), trimmed(equals + 1));
}

static int
take_file(struct settings *settings, const char *path)
{
    struct cli *cli = settings->cli;
    char *data;
    size_t len;
    if (cli_env(cli) == NULL)
        return CLI_FAILED;
    enum err err = env_read_file(cli->env, path, FILE_MAX, &data, &len);
    if (err == ERR_NOTFOUND)
        return cli_missing(cli, "--command-config %s: no such file", path);
    if (err != ERR_OK)
        return cli_fail(cli, "--command-config %s: %s", path, err_text(err));
    char *text = arena_strndup(&cli->arena, data, len);
    mem_free(data);
    int code = text == NULL ? cli_fail_memory(cli) : CLI_OK;
    for (int number = 1; code == CLI_OK && text != NULL && *text != '\0'; number++) {
        char *newline = strchr(text, '\n');
        if (newline != NULL)
            *newline = '\0';
        code = take_line(settings, path, number, text);
        text = newline != NULL ? newline + 1 : NULL;
    }
    return code;
}

int
settings_read(struct cli *cli)
{
    struct settings settings = {.cli = cli, .bootstrap = cli_value(cli, "brokers")};
    const char *path = cli_value(cli, "command-config");
    const char *text;
    int code = CLI_OK;
    if (!cli_number(cli, "timeout-ms", 1, TIMEOUT_MAX_MS, 0, &settings.timeout_ms))
        return CLI_USAGE;
    for (int i = 0; code == CLI_OK && (text = cli_value_at(cli, "set-client", i)) != NULL; i++)
        code = take_option(&settings, text);
    const char *environment = getenv("MOLDAU_BROKERS");
    if (settings.bootstrap == NULL && environment != NULL && environment[0] != '\0')
        settings.bootstrap = environment;
    if (code == CLI_OK && path != NULL)
        code = take_file(&settings, path);
    cli->bootstrap = settings.bootstrap != NULL ? settings.bootstrap : "127.0.0.1:9092";
    cli->client_id = settings.client_id;
    cli->timeout_ms = settings.timeout_ms > 0 ? settings.timeout_ms : TIMEOUT_DEFAULT_MS;
    return code;
}
