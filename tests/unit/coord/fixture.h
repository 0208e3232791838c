/* tests/unit/coord/fixture.h - one shard of the group coordinator over a log in memory, with a
 * clock that the test moves. */
#ifndef TESTS_UNIT_COORD_FIXTURE_H
#define TESTS_UNIT_COORD_FIXTURE_H

#include "base/arena.h"
#include "base/buf.h"
#include "coord/group/group.h"
#include "coord/runtime.h"

struct fixture {
    struct coord_group_config config;
    struct coord_shard *shard;
    struct buf log; /* whole batches */
    int64_t end_offset;
    int64_t high_watermark;
    /* Cleaning. The log start; `log` is kept whole, what lies before start_at is out of use. */
    int64_t start_offset;
    size_t start_at;  /* position of the batch with start_offset */
    size_t needed_at; /* all before this position is on the disk when the start moves */
    int64_t clean_growth_min;
    int trims;
    int trims_refused; /* so many of the next are not flushed yet */
    int64_t now_ms;
    int64_t wall_ms;
    bool auto_commit;      /* what is appended is committed at once */
    enum proto_error fail; /* of the next appends */
    int appends;
    uint64_t random;
};

void fixture_open(struct fixture *fx);
/* Its log is cleaned when it grew by so much. */
void fixture_open_cleaned(struct fixture *fx, int64_t growth_min);
void fixture_close(struct fixture *fx);
/* Sets the shard's time; flushes, and commits under auto_commit; reloads a doomed shard. */
void fixture_enter(struct fixture *fx);
void fixture_settle(struct fixture *fx);
void fixture_commit(struct fixture *fx);
/* A transaction of the producer ends: its marker in the log, and told to the shard. */
void fixture_end_txn(struct fixture *fx, int64_t producer_id, bool committed);
/* Moves the clock, stopping at each deadline. */
void fixture_advance(struct fixture *fx, int64_t ms);
/* The same log in another shard; its dump. The caller frees with fixture_text_free. */
char *fixture_dump(struct fixture *fx);
char *fixture_dump_replayed(struct fixture *fx);
/* Of the batches in log[from, to). */
char *fixture_dump_range(struct fixture *fx, size_t from, size_t to);
/* Where the batch after the one at `at` begins. */
size_t fixture_next_batch(const struct fixture *fx, size_t at);
/* Loads `log` (whole batches) into a fresh shard. */
struct coord_shard *fixture_load(struct fixture *fx, struct bytes log, int64_t *end_offset);
void fixture_text_free(char *text);

/* ---- calls ---- */

struct call {
    union {
        struct coord_reply base;
        struct coord_group_join join;
        struct coord_group_sync sync;
        struct coord_group_leave leave;
        struct coord_group_commit commit;
        struct coord_group_fetch fetch;
        struct coord_group_offset_delete del;
        struct coord_group_describe describe;
        struct coord_group_list list;
    } u;
    struct arena arena;
    int done; /* how often: 0 or 1 */
    struct proto_join_group_request_join_group_request_protocol protocols[4];
    char member[128]; /* of a finished join */
};

/* Each call_* frees what the call held before, runs the request, settles, and leaves the answer. */
void call_init(struct call *call);
void call_fini(struct call *call);

struct join_args {
    const char *group;
    const char *member;    /* NULL: "" */
    const char *instance;  /* NULL: none */
    const char *type;      /* NULL: "consumer" */
    const char *protocols; /* NULL: "range"; names separated by commas; "" is none */
    const char *metadata;  /* of all protocols; NULL: "m" */
    int32_t session_ms;    /* 0: 10000 */
    int32_t rebalance_ms;  /* 0: 60000 */
    int16_t version;       /* 0: 9; -1 is version 0 */
};
void call_join(struct fixture *fx, struct call *call, const struct join_args *args);
/* The error of a finished join, -100 while it is parked. */
int call_join_err(const struct call *call);

struct sync_args {
    const char *group, *member, *instance, *type, *protocol;
    int32_t generation;
    const struct proto_sync_group_request_sync_group_request_assignment *assignments;
    int32_t assignment_count;
};
void call_sync(struct fixture *fx, struct call *call, const struct sync_args *args);
int call_sync_err(const struct call *call);

int call_heartbeat(struct fixture *fx, const char *group, const char *member, int32_t generation);
int call_heartbeat_static(struct fixture *fx, const char *group, const char *member,
    const char *instance, int32_t generation);
/* The error of the one member. */
int call_leave(struct fixture *fx, const char *group, const char *member, const char *instance);

struct commit_args {
    const char *group, *member, *instance;
    int32_t generation; /* -1: a simple consumer */
    const char *topic;
    int32_t partition;
    int64_t offset;
    const char *metadata;
    int64_t retention_ms; /* 0: none given */
    int16_t version;      /* 0: 9 */
    int64_t producer_id;  /* > 0: of a transaction */
};
/* The error of the one partition. */
int call_commit(struct fixture *fx, const struct commit_args *args);
/* -1 when there is none; -2 - error with an error. */
int64_t call_fetch(
    struct fixture *fx, const char *group, const char *topic, int32_t partition, bool stable);
int call_delete_group(struct fixture *fx, const char *group);
int call_delete_offset(struct fixture *fx, const char *group, const char *topic, int32_t partition);
/* The state's text, in a static place of the call. */
const char *call_state(struct fixture *fx, struct call *call, const char *group);

#endif
