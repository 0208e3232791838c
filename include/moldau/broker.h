/* moldau/broker.h - a Kafka broker inside this process, for tests and for small programs.
 *
 * The same broker as `moldau server`, as a value: start one, or many side by side, in memory or on
 * disk, and stop it; nothing stays behind. The guide, with programs, is docs/embedding.md.
 *
 *     struct moldau_server *server = NULL;
 *     moldau_server_new(&server);
 *     if (moldau_server_start(server) != MOLDAU_OK)
 *         fail(moldau_server_error(server));
 *     use(moldau_server_address(server));        // bootstrap.servers of any Kafka client
 *     moldau_server_free(&server);
 *
 * Threads: one thread at a time uses a server; different servers are independent. A server has a
 * few threads of its own, which take no signals of the process; no signal handler, locale,
 * environment variable, directory or limit of the process is read or changed.
 *
 * Errors: a call answers MOLDAU_OK or why not, and moldau_server_error then tells more. Text that
 * comes out belongs to the server and is valid until the next call on it. */
#ifndef MOLDAU_BROKER_H
#define MOLDAU_BROKER_H

#include <stdint.h>

#include "moldau/client.h"

#ifdef __cplusplus
extern "C" {
#endif

struct moldau_server;

/* A server that does not run yet. NOMEM. */
enum moldau_err moldau_server_new(struct moldau_server **out);
/* Stops it when it runs, and frees what it has in memory. Nulls; NULL is fine. */
void moldau_server_free(struct moldau_server **server);

/* ---- before the start ---- */

/* One setting, by the name it has in Kafka's server.properties; a later value replaces an earlier
 * one. INVALID: no such setting, or no such value for it. STATE: it runs.
 *
 * Different from `moldau server` unless set: listeners=PLAINTEXT://127.0.0.1:0 (the kernel picks a
 * port); http.listener= (none); num.network.threads=1, num.io.threads=2;
 * group.initial.rebalance.delay.ms=0; and without log.dirs everything is in memory. */
enum moldau_err moldau_server_set(
    struct moldau_server *server, const char *name, const char *value);
/* How much a server in memory may store, 1 GiB unless set; beyond it writes are refused as on a
 * full disk. INVALID: below 1 MiB. STATE: it was started already. */
enum moldau_err moldau_server_memory_max(struct moldau_server *server, int64_t size_bytes);

/* Leaves it to the kernel when data reaches the disk: what was stored outlives the process, but not
 * a power cut, and the start and each acknowledged write are that much faster. Without it a server
 * on disk flushes as `moldau server` does. STATE: it was started already. */
enum moldau_err moldau_server_no_flush(struct moldau_server *server);

/* One line of the server's log, terminated, without its newline. Called by any thread of the
 * server, one at a time; it may not call the library. */
typedef void (*moldau_log_fn)(void *ctx, const char *line);
/* Where the log goes, from the level "log.level" on; without it nowhere. STATE: it was started
 * already. */
enum moldau_err moldau_server_on_log(struct moldau_server *server, moldau_log_fn fn, void *ctx);

/* ---- running ---- */

/* Starts, and returns when clients are served. STATE: it runs, or another has its directory or its
 * port. INVALID: settings that contradict each other or cannot be met. DISK: its directory cannot
 * be read or written. CORRUPT: what is in it is damaged. NOMEM: out of memory, threads or
 * descriptors. After a failure it may be started again. */
enum moldau_err moldau_server_start(struct moldau_server *server);
/* Takes no more requests, gives those in flight drain_ms to end, flushes, and ends the threads. OK
 * also when it does not run. What it stored stays, in memory too, until the next start or the
 * free; after a stop with port 0 the next start has another port. */
enum moldau_err moldau_server_stop(struct moldau_server *server, int64_t drain_ms);
/* OK while it serves. STATE: it does not run, or it has failed (a log directory went offline). */
enum moldau_err moldau_server_check(struct moldau_server *server);

/* "127.0.0.1:39092", the first listener: what clients need as bootstrap.servers. "" and 0 when it
 * does not run. */
const char *moldau_server_address(const struct moldau_server *server);
uint16_t moldau_server_port(const struct moldau_server *server);
/* Of "http.listener" (metrics, health); 0 when there is none. */
uint16_t moldau_server_http_port(const struct moldau_server *server);

/* What the last failure was, for people, with a line for each problem; "" when the last call did
 * not fail. */
const char *moldau_server_error(const struct moldau_server *server);

#ifdef __cplusplus
}
#endif

#endif
