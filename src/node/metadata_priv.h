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

enum { METADATA_ENDPOINTS_MAX = 16, METADATA_NAME_MAX = 256 };

/* An image that waits for its records to be committed, with those who wait for it. */
struct metadata_pending {
    struct list link;
    struct meta_image *image;
    struct meta_delta *delta;
    int64_t offset; /* of its last record */
    struct list requests;
};

struct metadata_flush {
    struct pool_work work;
    struct loop_task done;
    struct log_flush flush;
    enum err err;
    bool running;
    bool again; /* something was appended meanwhile */
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
    void (*ready)(void *ctx, enum err err);
    void *ctx;
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
    struct metadata_registration registration;
    struct arena scratch; /* records of one operation */
    int64_t bytes_since_snapshot;
    /* Values of the newest control records that say who votes (KIP-853), as they stand in the log;
     * owned, NULL under kraft.version 0. Snapshots begin with them. */
    struct metadata_control {
        uint8_t *value;
        size_t len;
    } kraft_version, kraft_voters;
    bool stopping;
    /* Shared. */
    struct mutex mutex; /* rank MAILBOX: inbox, committed, view */
    struct list inbox;
    bool inbox_posted;
    struct meta_image *committed;
    struct node_metadata_view view;
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
void metadata_store_snapshot(struct node_metadata *md);
void metadata_store_fini(struct node_metadata *md);
/* metadata_register.c */
void metadata_registration_start(struct node_metadata *md);
/* metadata.c */
/* Shows what changed to whoever asks for the view. */
void metadata_view_update(struct node_metadata *md);
void metadata_submit_here(struct node_metadata *md, struct meta_request *req);
MUST_USE enum err metadata_append_records(
    struct node_metadata *md, const struct meta_records *records, struct meta_request *req);

#endif
