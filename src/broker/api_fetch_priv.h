/* broker/api_fetch_priv.h - one Fetch on its way, shared by its two halves. */
#ifndef BROKER_API_FETCH_PRIV_H
#define BROKER_API_FETCH_PRIV_H

#include "broker/park.h"
#include "broker/request.h"
#include "proto/fetch_request.h"
#include "proto/fetch_response.h"
#include "replica/fetch_session.h"
#include "replica/partition.h"

enum {
    FETCH_VERSION_TOPIC_ID = 13,
    FETCH_VERSION_REPLICA_STATE = 15,
    FETCH_VERSION_LEADER_HINT = 16,
};

enum {
    FETCH_BYTES_MAX = 55 << 20, /* fetch.max.bytes */
    FETCH_WAIT_MS_MAX = 600000, /* connections.max.idle.ms: nobody waits longer on a connection */
    FETCH_COPY_BYTES =
        8192, /* records up to this size are copied: cheaper than one more system call */
    FETCH_COPY_BYTES_ALL = 65536, /* of one response */
};

struct fetch_part {
    struct replica_partition *part; /* referenced; NULL when it could not be found */
    struct log_slice slice;
    int64_t last_stable_offset;
    int64_t bound_offset;
    int32_t leader_epoch;
    bool diverging;
    int32_t diverging_epoch;
    int64_t diverging_end_offset;
    struct log_aborted_txn *aborted;
    int32_t aborted_count;
    const uint8_t *copied; /* the slice's bytes, when they are few; the slice is closed then */
    size_t copied_len;
    bool cold;               /* the slice is what must be read in first */
    bool waits;              /* reading it waits for the disk: nobody can tell what is in memory */
    const void *warmed_file; /* what was read in last; only compared */
    int64_t warmed_position;
    int32_t warmed_count; /* how often in a row */
};

struct fetch {
    struct broker_park park; /* req->state while parked */
    struct broker_req *req;
    const struct proto_fetch_request *msg;
    struct replica_fetch_sessions *sessions;
    struct replica_fetch_context context;
    struct fetch_part *parts; /* one for each item of the context */
    int32_t found_count;      /* of them with a partition */
    bool follower;
    bool answer_now; /* without more waiting: a partition cannot be read or waited for, or was cold
                      */
    bool unflushed;  /* of a partition all that there is for the fetcher is being flushed */
    size_t max_bytes, min_bytes;
    int64_t begun_ms, deadline_ms; /* of the loop's clock */
    struct broker_park_slot *slots;
    int32_t cold_count;
    int32_t warm_count; /* how often what was cold has been read in */
    /* Where it is: the item to be found, read and copied next, and what was done in this turn. */
    int32_t find_at, read_at, copy_at;
    size_t bytes, bytes_left; /* of what was read */
    size_t copied;
    bool now;      /* what was read should not wait for more */
    bool let_go;   /* later requests of the connection may have begun */
    int turn_cost; /* LIMIT_FETCH_* */
    void (*then)(struct fetch *f);
};

/* Reads, and answers or waits, perhaps in several turns. */
void fetch_run(struct fetch *f);
/* Others have their turn first, and then it goes on with `then`; called before each partition that
 * is worth `cost`. False: there is time for that. */
bool fetch_rests(struct fetch *f, int cost, void (*then)(struct fetch *f));
/* A new turn: goes on with f->then. */
void fetch_turn(struct broker_req *req);
/* It waits for something: what comes next on the connection need not. */
void fetch_let_go(struct fetch *f);
/* True: what is cold is being read in, and fetch_run goes on then. False: it is to be read again.
 */
bool fetch_warm(struct fetch *f);
void fetch_part_close(struct fetch_part *part);
/* Answers. */
void fetch_send(struct fetch *f);
/* Both end the request and release all it holds. */
void fetch_reply(struct fetch *f);
void fetch_reply_error(struct fetch *f, enum proto_error error, int32_t session_id);
void fetch_release(struct fetch *f);

#endif
