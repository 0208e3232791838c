/* os/sim_priv.h - the parts of the simulated machine room.
 *
 * sim.c the scheduler and the hosts; sim_env.c the env of a life; sim_disk.c what a disk remembers;
 * sim_loop.c loops; sim_pool.c pools; sim_net.c connections. Memory of the room itself comes from
 * sim_alloc, which does not count as the program's and does not fail. */
#ifndef OS_SIM_PRIV_H
#define OS_SIM_PRIV_H

#include "base/heap.h"
#include "base/list.h"
#include "os/env_priv.h"
#include "os/loop_priv.h"
#include "os/sim.h"

enum { SIM_NAME_SIZE = 32, SIM_PATH_SIZE = 64, SIM_OPS = SIM_OP_ANY + 1, SIM_SECTOR = 512 };

/* ---- the scheduler (sim.c) ---- */

enum sim_event_kind {
    SIM_EVENT_TURN,
    SIM_EVENT_WORK,
    SIM_EVENT_SYN,
    SIM_EVENT_DELIVER,
    SIM_EVENT_RESET,
    SIM_EVENT_DISK, /* not scheduled: operations as the trace sees them */
    SIM_EVENT_SOCK,
    SIM_EVENT_CRASH,
};

struct sim_event {
    struct heap_node node; /* key: virtual time in ns */
    void (*run)(struct sim_event *event);
    struct sim_host *host; /* whose process runs it; NULL: kernels and wires */
    enum sim_event_kind kind;
    uint32_t id; /* of its owner, for the trace */
};

struct sim_fiber;

struct sim {
    struct sim_opts opts;
    uint64_t rng;
    int64_t now_ns;
    struct heap events;
    struct list hosts;
    struct list conns;
    struct list links;
    const struct loop *current; /* the loop whose event runs */
    struct sim_fiber *fiber;    /* the pool thread that runs, NULL outside of them */
    uint32_t id_next;
    uint64_t steps;
    uint64_t trace;
    uint64_t faults;
};

void *sim_alloc(size_t size); /* zeroed; never NULL */
void *sim_realloc(void *ptr, size_t size);
void sim_release(void *ptr);
uint64_t sim_below(struct sim *sim, uint64_t bound); /* uniform in [0, bound), bound > 0 */
bool sim_chance(struct sim *sim, uint32_t ppm);
void sim_trace(struct sim *sim, enum sim_event_kind kind, uint64_t a, uint64_t b);
void sim_event_init(struct sim_event *event, struct sim_host *host, enum sim_event_kind kind,
    uint32_t id, void (*run)(struct sim_event *event));
/* At `at_ns`, or now if that is past; an event that is scheduled moves. */
void sim_schedule(struct sim *sim, struct sim_event *event, int64_t at_ns);
void sim_unschedule(struct sim *sim, struct sim_event *event);
bool sim_scheduled(const struct sim_event *event);

/* ---- disks (sim_disk.c) ---- */

struct sim_inode;

struct sim_entry {
    char *name; /* owned */
    struct sim_inode *inode;
};

/* Names of a directory, sorted. Holds a reference to each inode. */
struct sim_names {
    struct sim_entry *entries;
    size_t count;
};

struct sim_inode {
    struct list link; /* disk->inodes */
    struct sim_disk *disk;
    uint32_t id;
    int refs; /* names, pending operations, open files */
    enum env_kind kind;
    int64_t mtime_ms;
    bool locked;
    bool cut; /* inside disk_power_cut: a later operation on this directory is lost */
    /* A file: what its readers see, what the platter has, and the difference. */
    uint8_t *data;
    size_t size, capacity;
    uint8_t *stable;
    size_t stable_size, stable_capacity;
    struct list pending; /* struct sim_write, oldest first */
    /* A directory: the same. */
    struct sim_names names;
    struct sim_names stable_names;
};

struct sim_disk {
    struct list inodes; /* in order of creation */
    struct sim_inode *root;
    struct list pending; /* struct sim_dir_op, oldest first */
    uint32_t id_next;
    uint64_t write_next; /* writes and operations on directories are numbered in one row */
};

void disk_init(struct sim_disk *disk);
void disk_fini(struct sim_disk *disk);
enum err disk_find(struct sim_disk *disk, const char *path, struct sim_inode **out);
enum err disk_create(struct sim_disk *disk, const char *path, enum env_kind kind,
    struct sim_inode **out); /* EXISTS */
enum err disk_unlink(struct sim_disk *disk, const char *path, enum env_kind kind);
enum err disk_rename(struct sim_disk *disk, const char *from, const char *to);
/* Of what is pending only what has a lower number than `before`: what was there when it began. */
void disk_sync_dir(struct sim_disk *disk, struct sim_inode *dir, uint64_t before);
/* Everything, as disk_sync_dir. */
void disk_sync_all(struct sim_disk *disk, uint64_t before);
/* A sync of everything that did not get to its end: the data of some files is on the disk. Of the
 * others it waits on when the host crashed in the middle, or is lost to clean pages. */
void disk_sync_some(struct sim_disk *disk, uint64_t before, bool crashed, struct sim *sim);
void disk_unlock_all(struct sim_disk *disk);
int64_t disk_used_bytes(const struct sim_disk *disk);
void disk_power_cut(struct sim_disk *disk, struct sim *sim);

void inode_unref(struct sim_inode *inode);
void inode_write(struct sim_inode *inode, int64_t position, const void *data, size_t len);
void inode_truncate(struct sim_inode *inode, int64_t size);
/* As disk_sync_dir. */
void inode_sync(struct sim_inode *inode, uint64_t before);
/* A failed sync: clean pages that are not there. */
void inode_sync_lost(struct sim_inode *inode, uint64_t before);

/* ---- hosts and their lives ---- */

struct sim_env {
    struct env env;
    struct sim_host *host;
    bool dead;
    struct list loops; /* struct sim_loop */
    struct list pools; /* struct sim_pool */
    struct list socks; /* struct sim_sock, also those nobody has accepted */
    struct list listeners;
    int file_count;
};

struct sim_host {
    struct list link;
    struct sim *sim;
    uint32_t id;
    char name[SIM_NAME_SIZE];
    uint32_t ip; /* host order */
    bool power;
    struct sim_env *env; /* the present life, or NULL */
    struct sim_disk disk;
    bool can_preallocate;
    bool can_sync_volumes;
    struct sim_disk_faults faults;
    struct {
        uint64_t nth; /* 0: off */
        enum err err;
    } fail[SIM_OPS];
    char faults_below[SIM_PATH_SIZE]; /* "": everywhere */
    uint64_t alloc_nth;               /* 0: off */
    uint64_t crash_nth;               /* 0: off */
    bool crash_pending; /* the operation is under way in the middle of which it comes */
    enum sim_crash crash_kind;
    int64_t wall_jump_ms;
    int64_t paused_until_ns;
    uint64_t rng_env; /* entropy of its programs */
    uint16_t port_next;
};

/* What becomes of one operation. */
struct sim_fate {
    enum err err;     /* what it returns */
    bool effect;      /* it has its effect, or a part of it */
    bool partial;     /* only a part */
    bool crash_after; /* then the host crashes */
};

/* path: of the file or directory; NULL: of neither. */
struct sim_fate sim_fate(struct sim_env *env, enum sim_op op, const char *path);
/* Ends an operation: crashes if that was its fate. Returns what the operation returns. */
enum err sim_fate_end(struct sim_env *env, const struct sim_fate *fate);

enum err sim_env_new(struct sim_host *host, struct sim_env **out);

/* ---- loops and pools (sim_loop.c, sim_pool.c) ---- */

struct sim_loop {
    struct loop loop;
    struct list link;
    struct sim_env *env;
    struct sim_event turn;
    struct list mailbox;
    struct list socks; /* attached ones */
    struct list listeners;
    int64_t now_ms; /* of the turn */
    uint32_t id;
    bool started;
    bool stopped;
};

enum err sim_loop_new(struct env *env, const char *name, struct loop **out);
enum err sim_pool_new(
    struct env *env, const char *name, int threads, bool background, struct pool **out);
/* Inside a pool's work that holds no lock: time passes and others run before it returns; the env
 * may be dead then. Elsewhere nothing. */
void sim_pool_wait(struct sim_env *env);
/* Something may be ready. */
void sim_loop_kick(struct sim_loop *loop);
void sim_loops_crash(struct sim_env *env);
void sim_pools_crash(struct sim_env *env);

/* ---- network (sim_net.c) ---- */

enum err sim_listen(struct loop *loop, const struct sock_listen_opts *opts,
    void (*on_accept)(void *ctx, struct sock *sock), void *ctx, struct sock_listener **out);
enum err sim_connect(struct loop *loop, const struct sock_addr *addr, struct sock **out);
enum err sim_resolve(
    struct env *env, struct str host, uint16_t port, struct sock_addr *out, int max, int *count);
/* Runs one ready callback of a socket or listener of the loop, picked by the seed; with `probe`
 * only tells whether there is one. */
bool sim_net_event(struct sim_loop *loop, bool probe);
void sim_net_crash(struct sim_env *env, enum sim_crash kind);
void sim_net_fini(struct sim *sim);
/* The bytes of a simulated file, for sendfile. */
struct bytes sim_file_view(struct env_file *file, int64_t position, size_t len);

struct sim_host *sim_host_find(struct sim *sim, uint32_t ip);
const struct sim_link_faults *sim_link_find(
    struct sim *sim, const struct sim_host *a, const struct sim_host *b);

#endif
