/* os/sim.h - the simulated machine room: virtual time, one seeded scheduler, disks that can lose
 * what was not flushed, and a network of byte streams.
 *
 * A sim holds hosts; a host holds a disk that survives crashes and, while it is up, one env. All
 * runs on the calling thread. The same seed, program and call sequence give the same trace hash. */
#ifndef OS_SIM_H
#define OS_SIM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/diag.h"
#include "base/err.h"
#include "os/env.h"

struct sim;
struct sim_host;

struct sim_opts {
    uint64_t seed;
    enum diag_level level_min; /* diag of the hosts, written to stderr with virtual time */
    int64_t wall_start_ms;     /* wall clock at the start */
};

MUST_USE enum err sim_new(const struct sim_opts *opts, struct sim **out);
void sim_free(struct sim **sim);

/* name is also its host name for sock_addr_resolve; ip is a numeric IPv4 address. Without power
 * until sim_host_boot. Freed by sim_free. */
MUST_USE enum err sim_host_new(
    struct sim *sim, const char *name, const char *ip, struct sim_host **out);
/* A new life: the env before, if any, has crashed or was freed. */
MUST_USE enum err sim_host_boot(struct sim_host *host, struct env **out);

/* How a life ends. KILL: the process dies, the disk keeps every write that returned (page cache
 * survives). POWER: for every write, create, rename, unlink since its last sync, the seed picks
 * kept, dropped or (writes) torn at a 512-byte boundary.
 * Of the operations on one directory a beginning is kept; a rename is kept whole or not at all; the
 * content of a file and its name are independent. Peers of a killed process see their connections
 * end; peers of a machine without power hear nothing until it is up again.
 * From that moment every operation of the old env fails with ERR_FAILED, sends nothing and no
 * event of it runs. The caller then frees the node as usual (frees only memory; pool_free still
 * runs what was submitted, so that its owners can free it) and its env. */
enum sim_crash { SIM_CRASH_KILL, SIM_CRASH_POWER };
void sim_host_crash(struct sim_host *host, enum sim_crash kind);
/* The same, but in the middle of the nth disk or socket operation from now (1 = the next). */
void sim_host_crash_at(struct sim_host *host, enum sim_crash kind, uint64_t nth_operation);
bool sim_host_is_down(const struct sim_host *host);

/* Faults of the disk: rates in parts per million per operation; 0 switches off. */
struct sim_disk_faults {
    uint32_t read_error_ppm;
    uint32_t write_error_ppm;  /* some part may have been written */
    uint32_t sync_error_ppm;   /* unflushed pages become clean and are lost on POWER */
    uint32_t open_error_ppm;   /* open, create, mkdir */
    uint32_t rename_error_ppm; /* rename, unlink, rmdir */
    uint32_t delay_ppm;        /* pool work and syncs take up to 1 s of virtual time */
    int64_t capacity_bytes;    /* NOSPACE beyond; 0 = unlimited */
    bool no_descriptors;       /* what needs a new one gives LIMIT, everywhere */
};
void sim_host_disk_faults(struct sim_host *host, const struct sim_disk_faults *faults);
/* Fails the nth operation from now of one kind, once, as the error says. */
enum sim_op { SIM_OP_READ, SIM_OP_WRITE, SIM_OP_SYNC, SIM_OP_OPEN, SIM_OP_RENAME, SIM_OP_ANY };
void sim_host_fail_nth(struct sim_host *host, enum sim_op op, uint64_t nth, enum err err);
/* Faults of the disk, of both kinds, only strike below this directory; NULL: everywhere. */
void sim_host_faults_below(struct sim_host *host, const char *dir);
/* In the events of this host's programs on average every nth allocation fails; 0 switches it off.
 * What runs outside of events, such as an open of a node, is not struck. */
void sim_host_fail_allocs(struct sim_host *host, uint64_t nth);
/* Flips one bit of a file at rest. */
MUST_USE enum err sim_host_flip_bit(
    struct sim_host *host, const char *path, int64_t position, int bit);
void sim_host_wall_jump(struct sim_host *host, int64_t delta_ms);
/* The process stands still for so long: no event of it runs, the network goes on. */
void sim_host_pause(struct sim_host *host, int64_t ms);

/* Network between two hosts. */
struct sim_link_faults {
    int64_t delay_min_us, delay_max_us;
    uint32_t reset_ppm; /* per write: the connection breaks, a suffix of sent bytes is lost */
    bool cut; /* nothing arrives; what was sent arrives after the cut, if it ends in time */
};
void sim_link(
    struct sim *sim, struct sim_host *a, struct sim_host *b, const struct sim_link_faults *faults);

/* Runs one event (of any host); false when nothing is left to do before `until_ns`. */
bool sim_step(struct sim *sim, int64_t until_ns);
/* Steps for so much virtual time. */
void sim_run_ms(struct sim *sim, int64_t ms);
/* Steps until done returns true or so much virtual time went by; returns done's last answer. */
bool sim_run_until(struct sim *sim, bool (*done)(void *ctx), void *ctx, int64_t timeout_ms);

int64_t sim_now_ns(const struct sim *sim);
uint64_t sim_random(struct sim *sim); /* from the seed's stream */
uint64_t sim_steps(const struct sim *sim);
uint64_t sim_trace_hash(const struct sim *sim); /* over every event so far */
uint64_t sim_faults_injected(const struct sim *sim);

#endif
