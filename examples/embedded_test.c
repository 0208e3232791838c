/* embedded_test: how a test uses a broker of its own. No port, directory or process is left behind.
 *
 *   embedded_test
 *
 * Starts a broker in memory, sends orders to it and reads them back. Exits with 0 when all came. */
#include <moldau/broker.h>

#include <stdio.h>
#include <string.h>

enum { ORDERS = 100, WAIT_MS = 10000 };

static int
fail(const char *what, const char *why)
{
    fprintf(stderr, "embedded_test: %s: %s\n", what, why);
    return 1;
}

static int
send_orders(struct moldau_client *client)
{
    struct moldau_producer *producer = NULL;
    if (moldau_producer_new(client, NULL, &producer) != MOLDAU_OK)
        return fail("producer", moldau_client_error(client));
    for (int i = 0; i < ORDERS; i++) {
        struct moldau_record record = MOLDAU_RECORD_INIT;
        char value[32];
        record.topic = "orders";
        record.value = value;
        record.value_len = (size_t)snprintf(value, sizeof value, "order %d", i);
        if (moldau_producer_send(producer, &record, WAIT_MS) != MOLDAU_OK)
            return fail("send", moldau_client_error(client));
    }
    if (moldau_producer_close(&producer, WAIT_MS) != MOLDAU_OK)
        return fail("close", moldau_client_error(client));
    return 0;
}

static int
read_orders(struct moldau_client *client)
{
    struct moldau_consumer *consumer = NULL;
    if (moldau_consumer_new(client, NULL, &consumer) != MOLDAU_OK ||
        moldau_consumer_assign(consumer, "orders", 0, MOLDAU_OFFSET_EARLIEST) != MOLDAU_OK)
        return fail("consumer", moldau_client_error(client));
    for (int i = 0; i < ORDERS; i++) {
        const struct moldau_message *message = NULL;
        char want[32];
        size_t len = (size_t)snprintf(want, sizeof want, "order %d", i);
        if (moldau_consumer_poll(consumer, WAIT_MS, &message) != MOLDAU_OK)
            return fail("poll", moldau_client_error(client));
        if (message->value_len != len || memcmp(message->value, want, len) != 0)
            return fail("read", "another order came");
    }
    moldau_consumer_free(&consumer);
    return 0;
}

static int
use_broker(const char *address)
{
    struct moldau_options *options = NULL;
    struct moldau_client *client = NULL;
    if (moldau_options_new(&options) != MOLDAU_OK)
        return fail("options", "out of memory");
    int code = 0;
    if (moldau_options_set(options, "bootstrap.servers", address) != MOLDAU_OK ||
        moldau_client_new(options, &client) != MOLDAU_OK)
        code = fail("client", moldau_options_error(options));
    if (code == 0)
        code = send_orders(client);
    if (code == 0)
        code = read_orders(client);
    moldau_client_free(&client);
    moldau_options_free(&options);
    return code;
}

int
main(void)
{
    struct moldau_server *server = NULL;
    if (moldau_server_new(&server) != MOLDAU_OK)
        return fail("server", "out of memory");
    int code;
    if (moldau_server_set(server, "num.partitions", "1") != MOLDAU_OK ||
        moldau_server_start(server) != MOLDAU_OK)
        code = fail("server", moldau_server_error(server));
    else
        code = use_broker(moldau_server_address(server));
    moldau_server_free(&server);
    if (code == 0)
        printf("%d orders came back\n", ORDERS);
    return code;
}
