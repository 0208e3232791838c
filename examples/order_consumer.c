/* order_consumer: reads orders as a member of a group and commits what it has dealt with.
 *
 *   order_consumer BROKERS TOPIC GROUP [COUNT]
 *
 * Prints each order; with COUNT it ends after so many, otherwise at SIGINT or SIGTERM. Orders are
 * committed after they were printed, and before partitions go to another member: each is dealt with
 * at least once, and only a crash deals with some again. */
#include <moldau/client.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

enum { POLL_MS = 500, COMMIT_EVERY = 100, COMMIT_TIMEOUT_MS = 10000, CLOSE_TIMEOUT_MS = 10000 };

static volatile sig_atomic_t stopping;

static void
on_signal(int signum)
{
    (void)signum;
    stopping = 1;
}

static void
on_rebalance(void *ctx, struct moldau_consumer *consumer, enum moldau_rebalance event,
    const struct moldau_topic_partition *parts, size_t count)
{
    const char *what = event == MOLDAU_REBALANCE_ASSIGNED  ? "assigned"
                       : event == MOLDAU_REBALANCE_REVOKED ? "revoked"
                                                           : "lost";
    (void)ctx;
    for (size_t i = 0; i < count; i++)
        fprintf(stderr, "%s: %s [%d]\n", what, parts[i].topic, (int)parts[i].partition);
    if (event == MOLDAU_REBALANCE_REVOKED)
        (void)moldau_consumer_commit_async(consumer, NULL, 0, NULL, NULL);
}

static enum moldau_err
set_options(struct moldau_options *options, const char *brokers, const char *group)
{
    const char *const settings[][2] = {{"bootstrap.servers", brokers},
        {"client.id", "order_consumer"}, {"group.id", group}, {"auto.offset.reset", "earliest"},
        {"enable.auto.commit", "false"}, {"session.timeout.ms", "10000"},
        {"partition.assignment.strategy", "cooperative-sticky"}};
    enum moldau_err err = MOLDAU_OK;
    for (size_t i = 0; err == MOLDAU_OK && i < sizeof settings / sizeof settings[0]; i++)
        err = moldau_options_set(options, settings[i][0], settings[i][1]);
    moldau_options_on_rebalance(options, on_rebalance, NULL);
    return err;
}

static void
commit(struct moldau_client *client, struct moldau_consumer *consumer, long *uncommitted)
{
    if (moldau_consumer_commit(consumer, NULL, 0, COMMIT_TIMEOUT_MS) == MOLDAU_OK)
        *uncommitted = 0;
    else
        fprintf(stderr, "commit: %s\n", moldau_client_error(client));
}

static int
consume(struct moldau_client *client, struct moldau_consumer *consumer, long count)
{
    const struct moldau_message *message;
    long taken = 0, uncommitted = 0;
    while (!stopping && (count == 0 || taken < count)) {
        enum moldau_err err = moldau_consumer_poll(consumer, POLL_MS, &message);
        if (err == MOLDAU_OK) {
            printf("%s [%d] %lld: %.*s\n", message->topic, (int)message->partition,
                (long long)message->offset, (int)message->value_len, (const char *)message->value);
            taken++;
            uncommitted++;
        } else if (err != MOLDAU_ERR_TIMEOUT) {
            fprintf(stderr, "%s: %s\n", moldau_err_text(err), moldau_client_error(client));
            if (err == MOLDAU_ERR_STATE)
                return 1; /* no member any more */
        }
        if (uncommitted >= COMMIT_EVERY || (err != MOLDAU_OK && uncommitted > 0)) {
            fflush(stdout); /* what is committed is dealt with */
            commit(client, consumer, &uncommitted);
        }
    }
    fflush(stdout);
    if (uncommitted > 0)
        commit(client, consumer, &uncommitted);
    return uncommitted == 0 ? 0 : 1;
}

int
main(int argc, char **argv)
{
    struct moldau_options *options = NULL;
    struct moldau_client *client = NULL;
    struct moldau_consumer *consumer = NULL;
    int code = 1;
    if (argc < 4 || argc > 5) {
        fprintf(stderr, "usage: order_consumer BROKERS TOPIC GROUP [COUNT]\n");
        return 2;
    }
    const char *const topics[] = {argv[2]};
    signal(SIGINT, on_signal);
    signal(SIGTERM, on_signal);
    if (moldau_options_new(&options) != MOLDAU_OK ||
        set_options(options, argv[1], argv[3]) != MOLDAU_OK ||
        moldau_client_new(options, &client) != MOLDAU_OK)
        fprintf(stderr, "%s\n", moldau_options_error(options));
    else if (moldau_consumer_new(client, NULL, &consumer) != MOLDAU_OK ||
             moldau_consumer_subscribe(consumer, topics, 1) != MOLDAU_OK)
        fprintf(stderr, "%s\n", moldau_client_error(client));
    else
        code = consume(client, consumer, argc > 4 ? atol(argv[4]) : 0);
    if (moldau_consumer_close(&consumer, CLOSE_TIMEOUT_MS) != MOLDAU_OK)
        fprintf(stderr, "leaving: %s\n", moldau_client_error(client));
    moldau_client_free(&client);
    moldau_options_free(&options);
    return code;
}
