/* node/metadata_priv.h - the parts of the metadata side, for metadata*.c. */
#ifndef NODE_METADATA_PRIV_H
#define NODE_METADATA_PRIV_H

#include <stdatomic.h>

#include "base/arena.h"
#include "log/log.h"
#include "meta/controller.h"
#include "meta/delta.h"
#include "node/metadata.h"
#include "os/mutex.h"
#include "raft/raft.h"

enum { METADATA_ENDPOINTS_MAX = 16, METADATA_NAME_MAX = 256, METADATA_SNAPSHOT_MAX = 1 << 30 };

/* An image that waits for its records to be committed, with those who wait for it. */
struct metadata_pending {
    struct list link;
    struct meta_image *image;
    struct meta_delta *delta;
    int64_t offset; /* of its last record */
    int64_t appended_ns;
    struct list requests;
};

struct metadata_flush {
    struct pool_work work;
    struct loop_task done;
    struct log_flush flush;
    enum err err;
    bool running;
    bool again;              /* something was appended meanwhile */
    struct loop_timer retry; /* without descriptors or memory to flush with */
    int64_t delay_ms;        /* the last; 0: the last flush was done */
};

/* Who wants to know when no flush runs any more (node_metadata_settle). */
struct metadata_settle {
    struct loop_task ask;
    struct loop *loop;
    struct loop_task *settled; /* the asker's */
    bool asked;                /* on the loop: no flush begins any more */
};

/* Registering this broker: two requests, one after the other. */
struct metadata_registration {
    struct loop_task start;
    struct meta_request request;
    struct arena arena;
    struct node_metadata_endpoint endpoints[METADATA_ENDPOINTS_MAX];
    char texts[METADATA_ENDPOINTS_MAX][2][METADATA_NAME_MAX];
    int count;
    bool wanted, registered;
    int64_t log_end_offset; /* when the last heartbeat was sent */
    void (*ready)(void *ctx, enum err err);
    void *ctx;
};

struct metadata_snapshot {
    int64_t end_offset; /* the log goes on here */
    int32_t epoch;      /* of the last record in it */
    int64_t size_bytes;
    int64_t contained_ms; /* when that record was written */
};

struct metadata_snapshots {
    struct metadata_snapshot *items; /* owned; in the directory, oldest first */
    int32_t count, capacity;
    struct loop_timer timer;
    int64_t written_ms, cleaned_ms; /* monotonic: when the last of each began */
    /* The one being written, on the pool. */
    bool running;
    struct metadata_snapshot writing;
    struct meta_image *image; /* referenced while it runs */
    struct pool_work work;
    struct loop_task done;
    enum err err;
};

struct node_metadata {
    /* Fixed at open. */
    struct node_metadata_opts opts;
    struct diag *diag;
    struct loop *loop;
    struct meta_port port;
    struct meta_controller controller;
    char *dir; /* owned: of the metadata log */
    /* The loop's. */
    struct log *log; /* the log manager's */
    struct log_validator *validator;
    struct raft *raft;
    struct meta_image *latest; /* with everything appended */
    struct list pending;       /* in the order of offsets */
    struct list subscribers;
    struct metadata_flush flush;
    struct metadata_settle settle;
    struct metadata_snapshots snapshots;
    struct metadata_registration registration;
    struct arena scratch; /* records of one operation */
    int64_t bytes_since_snapshot;
    /* Values of the newest control records that say who votes (KIP-853), as they stand in the log;
     * owned, NULL under kraft.version 0. Snapshots begin with them. */
    struct metadata_control {
        uint8_t *value;
        size_t len;
    } kraft_version, kraft_voters;
    bool started; /* leads, or said why it cannot */
    bool stopping;
    /* Shared. */
    struct mutex mutex; /* rank MAILBOX: inbox, committed, view */
    struct list inbox;
    bool inbox_posted;
    struct meta_image *committed;
    struct node_metadata_view view;
    struct histogram commits; /* append to commit; written by the loop, read by anyone */
    struct loop_task inbox_task;
    struct loop_task start_task;
    _Atomic int64_t broker_epoch;
};

/* metadata_store.c */
MUST_USE enum err metadata_store_load(
    struct node_metadata *md, struct quorum_state *state, bool *has_state);
MUST_USE enum err metadata_store_bootstrap(struct node_metadata *md);
enum err metadata_store_quorum_state(void *ctx, struct bytes text);
enum err metadata_store_append(void *ctx, uint8_t *batches, size_t len);
void metadata_store_want_flush(void *ctx);
void metadata_store_start(struct node_metadata *md); /* the loop is there */
void metadata_store_fini(struct node_metadata *md);
/* metadata_replay.c: the first image, from the snapshots found and the log. */
MUST_USE enum err metadata_replay(struct node_metadata *md);
/* metadata_snapshot.c */
/* Before the loop: those in the directory; leftovers are removed. */
MUST_USE enum err metadata_snapshots_find(struct node_metadata *md);
/* Those from `first` on could not be read: they are renamed and forgotten. */
MUST_USE enum err metadata_snapshots_set_aside(struct node_metadata *md, int32_t first);
void metadata_snapshots_start(struct node_metadata *md);
/* More of the log is committed. */
void metadata_snapshots_committed(struct node_metadata *md);
void metadata_snapshots_fini(struct node_metadata *md);
/* `more` is appended to its name: "" or ".deleted". */
void metadata_snapshot_path(const struct node_metadata *md,
    const struct metadata_snapshot *snapshot, const char *more, char *out, size_t size);
MUST_USE enum err metadata_snapshot_header_parse(struct bytes value, int64_t *contained_ms);
MUST_USE enum err metadata_snapshot_write_records(
    struct node_metadata *md, const char *path, const struct meta_records *records, int64_t now_ms);
/* metadata_register.c */
void metadata_registration_start(struct node_metadata *md);
/* metadata.c */
/* Shows what changed to whoever asks for the view. */
void metadata_view_update(struct node_metadata *md);
void metadata_submit_here(struct node_metadata *md, struct meta_request *req);
MUST_USE enum err metadata_append_records(
    struct node_metadata *md, const struct meta_records *records, struct meta_request *req);

#endif
