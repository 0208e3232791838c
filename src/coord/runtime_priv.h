/* coord/runtime_priv.h - the body of a shard, for runtime.c and clean.c. */
#ifndef COORD_RUNTIME_PRIV_H
#define COORD_RUNTIME_PRIV_H

#include "base/buf.h"
#include "coord/runtime.h"
#include "wire/batch_builder.h"

enum coord_clean_state {
    COORD_CLEAN_IDLE,
    COORD_CLEAN_COPYING,
    COORD_CLEAN_COPIED, /* waits until the copy is committed, then trims */
};

/* The cleaning of a shard's log; see clean.c. */
struct coord_clean {
    enum coord_clean_state state;
    bool unflushed;       /* the last step's records are not appended yet */
    int64_t due_ms;       /* when to go on; INT64_MAX: when something happens */
    int64_t wait;         /* goes on when the log is committed past this; -1: does not wait */
    int64_t end;          /* of what was copied and committed */
    int64_t start;        /* where the copy begins: everything below is to go */
    int64_t hold;         /* but for what is not below this */
    int64_t log_bytes;    /* of batches between log start and end, at most */
    int64_t copied_bytes; /* of those since `start` */
    int64_t floor_bytes;  /* what log_bytes was when there was nothing more to gain */
    int64_t rounds;       /* that ended with a trimmed log */
};

struct coord_shard {
    struct coord_shard_opts opts;
    enum coord_shard_state state;
    void *machine; /* owned; NULL when unloaded */
    int32_t leader_epoch;
    bool doomed;
    bool abandoned;
    enum proto_error doom_why;
    int64_t now_ms;
    int64_t wall_ms;

    int64_t last_written;
    int64_t committed;  /* the high watermark */
    int64_t order_next; /* see coord_record.offset */

    struct buf op; /* entries: key length, value length or -1, key, value */
    int32_t op_count;
    size_t op_bytes; /* as records */
    struct buf out;  /* sealed batches */
    struct batch_builder builder;
    bool building;

    struct list unflushed;
    struct list in_flight;
    struct heap timers;
    struct coord_clean clean;
    uint64_t counts[COORD_COUNT_KINDS];
};

/* clean.c */
void coord_clean_init(struct coord_clean *clean);
/* Batches were loaded, or appended up to last_offset. */
void coord_clean_loaded(struct coord_shard *shard, size_t len);
void coord_clean_appended(struct coord_shard *shard, size_t len, int64_t last_offset);
void coord_clean_load_end(struct coord_shard *shard);
void coord_clean_committed(struct coord_shard *shard);
void coord_clean_tick(struct coord_shard *shard);

#endif
