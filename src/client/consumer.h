/* client/consumer.h - reads assigned partitions: positions, fetches, batches, aborted transactions.
 *
 * One fetch a broker is on its way at a time; what it brought is handed out message by message, and
 * the next fetch starts when a broker's partitions have nothing left buffered. Groups stand on top
 * (client/group.h) and only move assignments. All on the client's loop. */
#ifndef CLIENT_CONSUMER_H
#define CLIENT_CONSUMER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"
#include "client/client.h"
#include "wire/batch.h"

struct client_consumer;

/* Positions that are looked up before the first fetch; 0 and above are offsets. */
enum { CLIENT_OFFSET_LATEST = -1, CLIENT_OFFSET_EARLIEST = -2 };

struct client_consumer_opts {
    struct client *client;
    bool read_committed;
    int32_t max_wait_ms;         /* 0: 500 */
    int32_t min_bytes;           /* 0: 1 */
    int32_t max_bytes;           /* of one answer; 0: 50 MiB */
    int32_t partition_max_bytes; /* 0: 1 MiB */
    bool check_crcs;
    /* What to do when a position is out of range: LATEST, EARLIEST, or 0 to report it. */
    int64_t reset;
};

struct client_message {
    struct str topic;
    int32_t partition;
    int32_t leader_epoch;
    int64_t offset;
    int64_t timestamp;
    bool log_append_time;
    struct bytes key, value;
    struct bytes headers; /* for batch_header_next */
    int32_t header_count;
};

MUST_USE enum err client_consumer_new(
    const struct client_consumer_opts *opts, struct client_consumer **out);
void client_consumer_free(struct client_consumer **consumer);

/* Adds a partition, or moves one: what is buffered of it is dropped. */
MUST_USE enum err client_consumer_assign(
    struct client_consumer *consumer, struct str topic, int32_t partition, int64_t offset);
void client_consumer_unassign(
    struct client_consumer *consumer, struct str topic, int32_t partition);
/* Nothing of a paused partition is asked for or handed out; what is buffered waits. NOTFOUND when
 * not assigned. */
MUST_USE enum err client_consumer_pause(
    struct client_consumer *consumer, struct str topic, int32_t partition, bool paused);
/* The offset of the next message to be handed out; false when not assigned or not looked up yet. */
bool client_consumer_position(
    const struct client_consumer *consumer, struct str topic, int32_t partition, int64_t *offset);
/* Where the last answer saw the end (high watermark, or last stable offset); -1 before any. */
int64_t client_consumer_end(
    const struct client_consumer *consumer, struct str topic, int32_t partition);
/* True when every assigned partition that is neither stopped nor paused was read up to its end. */
bool client_consumer_at_end(const struct client_consumer *consumer);

/* The next message of any partition, running the loop for at most timeout_ms. Views are valid until
 * the next call. TIMEOUT: none came. Otherwise an error that stops a partition, with its text in
 * client_consumer_error. */
MUST_USE enum err client_consumer_poll(
    struct client_consumer *consumer, int64_t timeout_ms, struct client_message *out);
/* Without running the loop: AGAIN when nothing is buffered; then requests are on their way. */
MUST_USE enum err client_consumer_next(
    struct client_consumer *consumer, struct client_message *out);
const char *client_consumer_error(const struct client_consumer *consumer);
int16_t client_consumer_error_code(const struct client_consumer *consumer);

#endif
