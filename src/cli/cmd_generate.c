/* cli/cmd_generate.c - moldau generate completion: scripts for shells, and what these scripts ask.
 */
#include <string.h>

#include "cli/cluster.h"
#include "cli/commands.h"
#include "cli/complete.h"
#include "cli/suggest.h"
#include "cli/topics.h"
#include "proto/list_groups_request.h"
#include "proto/list_groups_response.h"

enum { RESPONSE_ARENA = 64 << 20, LIVE_TIMEOUT_MS = 1000 };

static const char BASH[] =
    "_moldau() {\n"
    "    local IFS=$'\\n'\n"
    "    COMPREPLY=($(moldau generate completion bash -- \"${COMP_WORDS[@]:1:COMP_CWORD}\" "
    "2>/dev/null))\n"
    "}\n"
    "complete -o bashdefault -o default -F _moldau moldau\n";
static const char ZSH[] = "autoload -U +X compinit && compinit\n"
                          "autoload -U +X bashcompinit && bashcompinit\n";
static const char FISH[] =
    "complete -c moldau -a '(moldau generate completion fish -- (commandline -opc)[2..-1] "
    "(commandline -ct) 2>/dev/null)'\n";

/* ---- names that only the cluster knows ---- */

static int
offer_topics(struct cli *cli, const char *word)
{
    struct topic *topics;
    int count;
    int code = topics_ask(cli, NULL, 0, &topics, &count);
    for (int i = 0; code == CLI_OK && i < count; i++)
        if (!topics[i].is_internal)
            complete_offer(stdout, word, topics[i].name);
    return code;
}

static int
offer_groups(struct cli *cli, const char *word)
{
    struct proto_list_groups_request request;
    const struct proto_list_groups_response *response;
    struct cluster cluster;
    struct client_call call;
    int code = cluster_describe(cli, &cluster);
    proto_init(&proto_list_groups_request_schema, &request);
    client_call_init(&call, RESPONSE_ARENA);
    for (int i = 0; code == CLI_OK && i < cluster.broker_count; i++) {
        if (cluster.brokers[i].is_fenced)
            continue;
        call.node_id = cluster.brokers[i].id;
        code = cli_call(cli, &call, CLIENT_TARGET_NODE, PROTO_LIST_GROUPS_REQUEST_KEY, &request,
            (const void **)&response);
        for (int32_t g = 0; code == CLI_OK && g < response->groups.count; g++)
            complete_offer(stdout, word, response->groups.items[g].group_id);
    }
    client_call_fini(&call);
    return code;
}

/* The cluster that the words being completed name. */
static void
take_brokers(struct cli *cli, char **words, int count)
{
    for (int i = 0; i + 1 < count; i++)
        if (strcmp(words[i], "-b") == 0 || strcmp(words[i], "--brokers") == 0)
            cli->bootstrap = words[i + 1];
    if (!cli_flag(cli, "timeout-ms"))
        cli->timeout_ms = LIVE_TIMEOUT_MS;
}

static int
run_completion(struct cli *cli)
{
    static const char *const shells[] = {"bash", "zsh", "fish"};
    const char *shell = cli->args[0];
    char **words = cli->args + 1;
    int count = cli->arg_count - 1;
    struct suggest suggest;
    suggest_init(&suggest, shell);
    for (size_t i = 0; i < COUNT_OF(shells); i++)
        suggest_add(&suggest, shells[i]);
    bool zsh = strcmp(shell, "zsh") == 0;
    bool fish = strcmp(shell, "fish") == 0;
    if (!zsh && !fish && strcmp(shell, "bash") != 0) {
        if (suggest_best(&suggest) != NULL)
            return cli_usage(cli, "no shell '%s'; did you mean %s?", shell, suggest_best(&suggest));
        return cli_usage(cli, "the shell must be bash, zsh or fish, not '%s'", shell);
    }
    if (count == 0) {
        if (zsh)
            fputs(ZSH, stdout);
        fputs(fish ? FISH : BASH, stdout);
        return CLI_OK;
    }
    take_brokers(cli, words, count);
    enum complete_live live = complete_words(stdout, cli->more, words, count);
    if (live == COMPLETE_TOPICS)
        return offer_topics(cli, words[count - 1]);
    return live == COMPLETE_GROUPS ? offer_groups(cli, words[count - 1]) : CLI_OK;
}

const struct cli_command cli_generate_completion = {
    .name = "generate completion",
    .arguments = "SHELL [WORD...]",
    .summary = "the completion of commands, options, topics and groups for bash, zsh or fish",
    .text =
        "Without words the script for the shell is printed; with words, after --, what may stand "
        "for the last one. Names of topics and groups come from the cluster that -b in the "
        "words or MOLDAU_BROKERS names.",
    .arguments_min = 1,
    .arguments_max = -1,
    .examples = "  source <(moldau generate completion bash)\n"
                "  moldau generate completion fish > ~/.config/fish/completions/moldau.fish\n",
    .run = run_completion,
};
