/* order_producer: sends orders, one record each, and reports what became of them.
 *
 *   order_producer BROKERS TOPIC COUNT
 *
 * The producer is idempotent, so a retry can not store an order twice; the customer is the key, so
 * the orders of one customer stay in order. Exits with 0 when every order is stored. */
#include <moldau/client.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CUSTOMERS = 7, SEND_TIMEOUT_MS = 30000, CLOSE_TIMEOUT_MS = 60000 };

struct totals {
    long stored;
    long failed;
    int64_t offset_max;
};

/* Told once for every order that was accepted. */
static void
on_delivery(void *ctx, const struct moldau_delivery *delivery)
{
    struct totals *totals = ctx;
    long order = (long)(intptr_t)delivery->opaque;
    if (delivery->err == MOLDAU_OK) {
        totals->stored++;
        if (delivery->offset > totals->offset_max)
            totals->offset_max = delivery->offset;
        return;
    }
    totals->failed++;
    fprintf(stderr, "order %ld: %s: %s\n", order, moldau_err_text(delivery->err),
        moldau_code_name(delivery->error_code));
}

static int
set_options(struct moldau_options *options, const char *brokers)
{
    const char *const settings[][2] = {
        {"bootstrap.servers", brokers},
        {"client.id", "order_producer"},
        {"enable.idempotence", "true"},
        {"compression.type", "lz4"},
        {"linger.ms", "10"},
    };
    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++) {
        if (moldau_options_set(options, settings[i][0], settings[i][1]) != MOLDAU_OK) {
            fprintf(stderr, "%s\n", moldau_options_error(options));
            return -1;
        }
    }
    return 0;
}

static enum moldau_err
send_order(struct moldau_producer *producer, const char *topic, long order)
{
    struct moldau_record record = MOLDAU_RECORD_INIT;
    struct moldau_header header = {"content-type", "application/json", 16};
    char key[32], value[128];
    snprintf(key, sizeof key, "customer-%ld", order % CUSTOMERS);
    snprintf(value, sizeof value, "{\"order\":%ld,\"amount\":%ld.%02ld}", order, order % 100,
        order % 60);
    record.topic = topic;
    record.key = key;
    record.key_len = strlen(key);
    record.value = value;
    record.value_len = strlen(value);
    record.headers = &header;
    record.header_count = 1;
    record.opaque = (void *)(intptr_t)order;
    return moldau_producer_send(producer, &record, SEND_TIMEOUT_MS);
}

static int
run(struct moldau_options *options, const char *topic, long count)
{
    struct moldau_client *client = NULL;
    struct moldau_producer *producer = NULL;
    struct totals totals = {0, 0, -1};
    moldau_options_on_delivery(options, on_delivery, &totals);
    if (moldau_client_new(options, &client) != MOLDAU_OK) {
        fprintf(stderr, "%s\n", moldau_options_error(options));
        return 1;
    }
    enum moldau_err err = moldau_producer_new(client, NULL, &producer);
    for (long order = 0; err == MOLDAU_OK && order < count; order++)
        err = send_order(producer, topic, order);
    if (err != MOLDAU_OK)
        fprintf(stderr, "%s: %s\n", moldau_err_text(err), moldau_client_error(client));
    if (moldau_producer_close(&producer, CLOSE_TIMEOUT_MS) != MOLDAU_OK)
        fprintf(stderr, "%s\n", moldau_client_error(client));
    moldau_client_free(&client);
    printf("%ld stored, %ld failed, highest offset %lld\n", totals.stored, totals.failed,
        (long long)totals.offset_max);
    return totals.stored == count ? 0 : 1;
}

int
main(int argc, char **argv)
{
    struct moldau_options *options = NULL;
    if (argc != 4) {
        fprintf(stderr, "usage: order_producer BROKERS TOPIC COUNT\n");
        return 2;
    }
    if (moldau_options_new(&options) != MOLDAU_OK)
        return 1;
    int code = set_options(options, argv[1]) == 0 ? run(options, argv[2], atol(argv[3])) : 2;
    moldau_options_free(&options);
    return code;
}
