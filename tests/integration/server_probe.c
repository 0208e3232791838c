/* server_probe: scenarios of include/moldau/broker.h, each a promise; exits 0 when it is kept.
 *
 *   server_probe SCENARIO DIRECTORY
 *   server_probe cycles COUNT [DIRECTORY]      starts and stops; prints times and what is left
 *
 * Knows only the public headers. */
#include <moldau/broker.h>

#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { WAIT_MS = 10000, MANY = 8, THREADS = 4 };

static void
need(bool condition, const char *format, ...)
{
    va_list args;
    if (condition)
        return;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    exit(1);
}

static struct moldau_server *
made(const char *const (*settings)[2])
{
    struct moldau_server *server = NULL;
    need(moldau_server_new(&server) == MOLDAU_OK, "no server");
    for (; settings != NULL && (*settings)[0] != NULL; settings++)
        need(moldau_server_set(server, (*settings)[0], (*settings)[1]) == MOLDAU_OK, "%s",
            moldau_server_error(server));
    return server;
}

static void
started(struct moldau_server *server)
{
    need(moldau_server_start(server) == MOLDAU_OK, "start: %s", moldau_server_error(server));
    need(strcmp(moldau_server_error(server), "") == 0, "an error after a good start");
    need(moldau_server_check(server) == MOLDAU_OK, "it does not serve");
    need(moldau_server_port(server) != 0, "no port");
}

static void
refused(enum moldau_err got, enum moldau_err want, struct moldau_server *server, const char *part)
{
    need(got == want, "%d instead of %d: %s", (int)got, (int)want, moldau_server_error(server));
    need(strstr(moldau_server_error(server), part) != NULL, "not about '%s': %s", part,
        moldau_server_error(server));
}

/* ---- a client ---- */

static struct moldau_client *
client_of(struct moldau_server *server)
{
    struct moldau_options *options = NULL;
    struct moldau_client *client = NULL;
    need(moldau_options_new(&options) == MOLDAU_OK, "no options");
    need(moldau_options_set(options, "bootstrap.servers", moldau_server_address(server)) ==
                 MOLDAU_OK &&
             moldau_client_new(options, &client) == MOLDAU_OK,
        "client: %s", moldau_options_error(options));
    moldau_options_free(&options);
    return client;
}

struct fates {
    int stored, failed;
};

static void
on_delivery(void *ctx, const struct moldau_delivery *delivery)
{
    struct fates *fates = ctx;
    if (delivery->err == MOLDAU_OK)
        fates->stored++;
    else
        fates->failed++;
}

/* Sends `count` records of `size` bytes, all of them the letter; how many were stored. */
static int
send_some(struct moldau_server *server, char letter, int count, size_t size)
{
    struct moldau_options *options = NULL;
    struct moldau_client *client = client_of(server);
    struct moldau_producer *producer = NULL;
    struct fates fates = {0, 0};
    char *value = malloc(size);
    need(value != NULL && moldau_options_new(&options) == MOLDAU_OK, "no memory");
    memset(value, letter, size);
    moldau_options_on_delivery(options, on_delivery, &fates);
    need(moldau_options_set(options, "delivery.timeout.ms", "2500") == MOLDAU_OK &&
             moldau_options_set(options, "request.timeout.ms", "1000") == MOLDAU_OK,
        "options");
    need(moldau_producer_new(client, options, &producer) == MOLDAU_OK, "producer");
    for (int i = 0; i < count; i++) {
        struct moldau_record record = MOLDAU_RECORD_INIT;
        record.topic = "t";
        record.partition = 0;
        record.value = value;
        record.value_len = size;
        if (moldau_producer_send(producer, &record, WAIT_MS) != MOLDAU_OK)
            break;
    }
    (void)moldau_producer_close(&producer, WAIT_MS);
    moldau_client_free(&client);
    moldau_options_free(&options);
    free(value);
    return fates.stored;
}

/* Reads the topic from its beginning: `count` records of the letter. */
static void
read_some(struct moldau_server *server, char letter, int count, size_t size)
{
    struct moldau_client *client = client_of(server);
    struct moldau_consumer *consumer = NULL;
    need(moldau_consumer_new(client, NULL, &consumer) == MOLDAU_OK, "consumer");
    need(moldau_consumer_assign(consumer, "t", 0, MOLDAU_OFFSET_EARLIEST) == MOLDAU_OK, "assign");
    for (int i = 0; i < count; i++) {
        const struct moldau_message *message = NULL;
        need(moldau_consumer_poll(consumer, WAIT_MS, &message) == MOLDAU_OK, "poll %d: %s", i,
            moldau_client_error(client));
        need(message->value_len == size, "record %d has %zu bytes", i, message->value_len);
        for (size_t at = 0; at < size; at++)
            need(((const char *)message->value)[at] == letter, "record %d is another one", i);
    }
    moldau_consumer_free(&consumer);
    moldau_client_free(&client);
}

/* ---- scenarios ---- */

static void
records_come_back_from_memory(const char *dir)
{
    struct moldau_server *server = made(NULL);
    (void)dir;
    started(server);
    need(send_some(server, 'a', 500, 100) == 500, "not all were stored");
    need(send_some(server, 'a', 20, 400000) == 20, "not all large ones were stored");
    read_some(server, 'a', 500, 100);
    moldau_server_free(&server);
    need(server == NULL, "not nulled");
}

static void
many_run_side_by_side(const char *dir)
{
    struct moldau_server *servers[MANY];
    (void)dir;
    for (int i = 0; i < MANY; i++) {
        servers[i] = made(NULL);
        started(servers[i]);
        for (int j = 0; j < i; j++)
            need(moldau_server_port(servers[i]) != moldau_server_port(servers[j]), "same port");
    }
    for (int i = 0; i < MANY; i++)
        need(send_some(servers[i], (char)('a' + i), 10, 50) == 10, "not all were stored");
    for (int i = 0; i < MANY; i++)
        read_some(servers[i], (char)('a' + i), 10, 50);
    for (int i = MANY - 1; i >= 0; i--)
        moldau_server_free(&servers[i]);
}

static void *
run_cycles(void *arg)
{
    char letter = *(char *)arg;
    for (int i = 0; i < 10; i++) {
        struct moldau_server *server = made(NULL);
        started(server);
        if (i % 5 == 0) {
            need(send_some(server, letter, 10, 50) == 10, "not all were stored");
            read_some(server, letter, 10, 50);
        }
        moldau_server_free(&server);
    }
    return NULL;
}

static void
threads_have_servers_of_their_own(const char *dir)
{
    pthread_t threads[THREADS];
    char letters[THREADS];
    (void)dir;
    for (int i = 0; i < THREADS; i++) {
        letters[i] = (char)('a' + i);
        need(pthread_create(&threads[i], NULL, run_cycles, &letters[i]) == 0, "no thread");
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
}

static void
settings_are_checked_when_they_are_set(const char *dir)
{
    struct moldau_server *server = made(NULL);
    (void)dir;
    refused(moldau_server_set(server, "num.partitons", "3"), MOLDAU_ERR_INVALID, server,
        "num.partitions");
    refused(moldau_server_set(server, "num.partitions", "many"), MOLDAU_ERR_INVALID, server,
        "num.partitions");
    refused(moldau_server_set(server, "a=b", "c"), MOLDAU_ERR_INVALID, server, "name");
    refused(moldau_server_set(server, NULL, "c"), MOLDAU_ERR_INVALID, server, "name");
    refused(moldau_server_set(server, "num.partitions", NULL), MOLDAU_ERR_INVALID, server, "value");
    refused(moldau_server_memory_max(server, 1000), MOLDAU_ERR_INVALID, server, "1 MiB");
    need(moldau_server_set(server, "num.partitions", "3") == MOLDAU_OK &&
             moldau_server_set(server, "num.partitions", "1") == MOLDAU_OK,
        "%s", moldau_server_error(server));
    need(moldau_server_set(server, "listeners", "PLAINTEXT://nowhere") == MOLDAU_OK, "listeners");
    refused(moldau_server_start(server), MOLDAU_ERR_INVALID, server, "listeners");
    need(moldau_server_set(server, "listeners", "PLAINTEXT://127.0.0.1:0") == MOLDAU_OK, "again");
    started(server);
    refused(moldau_server_set(server, "num.partitions", "2"), MOLDAU_ERR_STATE, server, "runs");
    refused(moldau_server_start(server), MOLDAU_ERR_STATE, server, "runs");
    refused(moldau_server_memory_max(server, 1 << 30), MOLDAU_ERR_STATE, server, "started");
    moldau_server_free(&server);
}

static void
null_and_unused_servers_are_fine(const char *dir)
{
    struct moldau_server *server = NULL;
    (void)dir;
    moldau_server_free(NULL);
    moldau_server_free(&server);
    need(moldau_server_new(NULL) == MOLDAU_ERR_INVALID, "new");
    need(moldau_server_start(NULL) == MOLDAU_ERR_INVALID, "start");
    need(moldau_server_stop(NULL, 0) == MOLDAU_ERR_INVALID, "stop");
    need(moldau_server_check(NULL) == MOLDAU_ERR_INVALID, "check");
    need(moldau_server_port(NULL) == 0 && moldau_server_http_port(NULL) == 0, "ports");
    need(strcmp(moldau_server_address(NULL), "") == 0, "address");
    server = made(NULL);
    need(moldau_server_stop(server, 0) == MOLDAU_OK, "stop of one that does not run");
    need(moldau_server_check(server) == MOLDAU_ERR_STATE, "check of one that does not run");
    need(moldau_server_port(server) == 0, "a port before the start");
    moldau_server_free(&server);
}

static void
restart_and_read(struct moldau_server *server)
{
    started(server);
    need(send_some(server, 'r', 50, 1000) == 50, "not all were stored");
    for (int i = 0; i < 3; i++) {
        need(moldau_server_stop(server, 1000) == MOLDAU_OK, "stop");
        need(moldau_server_port(server) == 0, "a port after the stop");
        started(server);
        read_some(server, 'r', 50, 1000);
    }
}

static void
a_restart_keeps_what_is_in_memory(const char *dir)
{
    struct moldau_server *server = made(NULL);
    (void)dir;
    restart_and_read(server);
    moldau_server_free(&server);
}

static void
a_restart_keeps_what_is_on_disk(const char *dir)
{
    const char *const settings[][2] = {{"log.dirs", dir}, {NULL, NULL}};
    struct moldau_server *server = made(settings);
    restart_and_read(server);
    moldau_server_free(&server);
    server = made(settings);
    need(moldau_server_no_flush(server) == MOLDAU_OK, "no_flush");
    started(server);
    read_some(server, 'r', 50, 1000);
    moldau_server_free(&server);
}

static void
a_directory_or_port_that_is_taken_is_refused(const char *dir)
{
    char listener[100];
    const char *const settings[][2] = {{"log.dirs", dir}, {NULL, NULL}};
    struct moldau_server *first = made(settings), *second = made(settings);
    started(first);
    refused(moldau_server_start(second), MOLDAU_ERR_STATE, second, "in use");
    snprintf(listener, sizeof listener, "PLAINTEXT://%s", moldau_server_address(first));
    struct moldau_server *third = made(NULL);
    need(moldau_server_set(third, "listeners", listener) == MOLDAU_OK, "listeners");
    refused(moldau_server_start(third), MOLDAU_ERR_STATE, third, "in use");
    moldau_server_free(&first);
    started(second);
    moldau_server_free(&second);
    started(third);
    moldau_server_free(&third);
}

static void
a_directory_that_cannot_be_made_is_refused(const char *dir)
{
    char path[400];
    snprintf(path, sizeof path, "%s/file", dir);
    FILE *file = fopen(path, "w");
    need(file != NULL && fclose(file) == 0, "no file");
    snprintf(path, sizeof path, "%s/file/data", dir);
    const char *const settings[][2] = {{"log.dirs", path}, {NULL, NULL}};
    struct moldau_server *server = made(settings);
    need(moldau_server_start(server) != MOLDAU_OK, "it started");
    need(strstr(moldau_server_error(server), path) != NULL, "%s", moldau_server_error(server));
    moldau_server_free(&server);
}

static void
on_usr1(int number)
{
    (void)number;
}

/* Handlers and the mask are what they were, before, while and after; and none of the server's
 * threads takes a signal of the process. */
static void
signals_are_left_alone(const char *dir)
{
    struct sigaction before[32], after;
    sigset_t mask_before, mask_after;
    (void)dir;
    signal(SIGUSR1, on_usr1);
    sigprocmask(SIG_BLOCK, NULL, &mask_before);
    for (int i = 1; i < 32; i++)
        sigaction(i, NULL, &before[i]);
    struct moldau_server *server = made(NULL);
    for (int round = 0; round < 2; round++) {
        if (round == 0)
            started(server);
        else
            moldau_server_free(&server);
        sigprocmask(SIG_BLOCK, NULL, &mask_after);
        for (int i = 1; i < 32; i++) {
            need(sigismember(&mask_before, i) == sigismember(&mask_after, i),
                "signal %d in the mask changed", i);
            sigaction(i, NULL, &after);
            need(before[i].sa_handler == after.sa_handler && before[i].sa_flags == after.sa_flags,
                "the handler of signal %d changed", i);
        }
    }
}

struct lines {
    pthread_mutex_t lock;
    int count;
    bool ready;
};

static void
on_line(void *ctx, const char *line)
{
    struct lines *lines = ctx;
    pthread_mutex_lock(&lines->lock);
    lines->count++;
    lines->ready |= strstr(line, "node ready") != NULL;
    pthread_mutex_unlock(&lines->lock);
}

static void
the_log_comes_by_lines_from_its_level_on(const char *dir)
{
    (void)dir;
    for (int quiet = 0; quiet < 2; quiet++) {
        struct lines lines = {.lock = PTHREAD_MUTEX_INITIALIZER};
        struct moldau_server *server = made(NULL);
        need(moldau_server_on_log(server, on_line, &lines) == MOLDAU_OK, "on_log");
        need(
            moldau_server_set(server, "log.level", quiet ? "error" : "info") == MOLDAU_OK, "level");
        started(server);
        moldau_server_free(&server);
        need(quiet ? lines.count == 0 : lines.ready, "%d lines", lines.count);
    }
}

static void
http_is_there_when_asked_for(const char *dir)
{
    (void)dir;
    struct moldau_server *server = made(NULL);
    started(server);
    need(moldau_server_http_port(server) == 0, "a listener nobody asked for");
    moldau_server_free(&server);
    server = made(NULL);
    need(moldau_server_set(server, "http.listener", "127.0.0.1:0") == MOLDAU_OK, "http.listener");
    started(server);
    need(moldau_server_http_port(server) != 0, "no listener");
    moldau_server_free(&server);
}

static void
a_full_memory_refuses_writes(const char *dir)
{
    (void)dir;
    struct moldau_server *server = made(NULL);
    need(moldau_server_memory_max(server, 4 << 20) == MOLDAU_OK, "memory_max");
    started(server);
    int stored = send_some(server, 'f', 20, 500000);
    need(stored > 0 && stored < 20, "%d of 20 were stored in 4 MiB", stored);
    moldau_server_free(&server);
}

/* ---- cycles ---- */

static double
now_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

static int
compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static int
entries(const char *path)
{
    int count = 0;
    DIR *dir = opendir(path);
    need(dir != NULL, "%s", path);
    while (readdir(dir) != NULL)
        count++;
    closedir(dir);
    return count;
}

static long
resident_kib(void)
{
    long pages = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    need(file != NULL && fscanf(file, "%ld %ld", &pages, &resident) == 2, "statm");
    fclose(file);
    return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

/* One line: "start_ms MEDIAN stop_ms MEDIAN rss_kib EARLY LATE fds EARLY LATE threads LATE". */
static int
cycles(int count, const char *dir)
{
    double *start = calloc((size_t)count, sizeof *start),
           *stop = calloc((size_t)count, sizeof *stop);
    long rss = 0;
    int fds = 0;
    need(start != NULL && stop != NULL, "no memory");
    for (int i = 0; i < count; i++) {
        char path[400];
        snprintf(path, sizeof path, "%s/%d", dir != NULL ? dir : "", i);
        const char *const settings[][2] = {{"log.dirs", path}, {NULL, NULL}};
        double a = now_ms();
        struct moldau_server *server = made(dir != NULL ? settings : NULL);
        started(server);
        double b = now_ms();
        if (i % 10 == 0)
            need(send_some(server, 'c', 10, 100) == 10, "not all were stored");
        double c = now_ms();
        moldau_server_free(&server);
        start[i] = b - a;
        stop[i] = now_ms() - c;
        if (i == count / 4) {
            rss = resident_kib();
            fds = entries("/proc/self/fd");
        }
    }
    qsort(start, (size_t)count, sizeof *start, compare);
    qsort(stop, (size_t)count, sizeof *stop, compare);
    printf("start_ms %.2f stop_ms %.2f rss_kib %ld %ld fds %d %d threads %d\n", start[count / 2],
        stop[count / 2], rss, resident_kib(), fds, entries("/proc/self/fd"),
        entries("/proc/self/task") - 2);
    free(start);
    free(stop);
    return 0;
}

static const struct {
    const char *name;
    void (*run)(const char *dir);
} scenarios[] = {
#define SCENARIO(name) \
    {                  \
#name, name    \
    }
    SCENARIO(records_come_back_from_memory),
    SCENARIO(many_run_side_by_side),
    SCENARIO(threads_have_servers_of_their_own),
    SCENARIO(settings_are_checked_when_they_are_set),
    SCENARIO(null_and_unused_servers_are_fine),
    SCENARIO(a_restart_keeps_what_is_in_memory),
    SCENARIO(a_restart_keeps_what_is_on_disk),
    SCENARIO(a_directory_or_port_that_is_taken_is_refused),
    SCENARIO(a_directory_that_cannot_be_made_is_refused),
    SCENARIO(signals_are_left_alone),
    SCENARIO(the_log_comes_by_lines_from_its_level_on),
    SCENARIO(http_is_there_when_asked_for),
    SCENARIO(a_full_memory_refuses_writes),
#undef SCENARIO
};

int
main(int argc, char **argv)
{
    if (argc >= 3 && strcmp(argv[1], "cycles") == 0)
        return cycles(atoi(argv[2]), argc > 3 ? argv[3] : NULL);
    for (size_t i = 0; argc == 3 && i < sizeof scenarios / sizeof scenarios[0]; i++) {
        if (strcmp(argv[1], scenarios[i].name) == 0) {
            scenarios[i].run(argv[2]);
            return 0;
        }
    }
    fprintf(stderr, "usage: server_probe SCENARIO DIRECTORY | cycles COUNT [DIRECTORY]\n");
    return 2;
}
