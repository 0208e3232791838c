/* What: the table of logs, where one name may stand more than once: for as long as nobody knows
 * which directory has the right log of the name (log_manager_copies).
 * Invariants: I1 if there is an entry of a name there is a main one, whose key is the name, and its
 * copies are numbered from 1 on without a hole; I2 no two of a name are in one directory.
 * Threads: under the manager's mutex, or while nobody else knows the manager. */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "log/log_manager_priv.h"
#include "log/log_priv.h"

enum { COPY_KEY_SIZE = LOG_KEY_SIZE + 4 };
_Static_assert(LOG_MANAGER_DIRS_MAX < 128, "a byte of the key");

/* The key of copy n, 0 for the main one; its length, 0 when the name is too long. */
static size_t
copy_key(char key[COPY_KEY_SIZE], struct str topic, int32_t partition, int n)
{
    if (!log_key(key, topic, partition))
        return 0;
    size_t len = strlen(key);
    if (n == 0)
        return len;
    key[len + 1] = (char)n;
    key[len + 2] = '\0';
    return len + 2;
}

static struct managed_log *
copy_find(struct log_manager *mgr, struct str topic, int32_t partition, int n)
{
    char key[COPY_KEY_SIZE];
    struct managed_log *entry = NULL;
    size_t len = copy_key(key, topic, partition, n);
    if (len > 0)
        HASH_FIND(hh, mgr->logs, key, len, entry);
    return entry;
}

struct managed_log *
log_entry_find(struct log_manager *mgr, struct str topic, int32_t partition)
{
    return copy_find(mgr, topic, partition, 0);
}

/* Its number in *n. */
static struct managed_log *
entry_of(struct log_manager *mgr, const struct log *log, int *n)
{
    for (int i = 0; i < mgr->dir_count; i++) {
        struct managed_log *entry = copy_find(mgr, log_topic(log), log_partition(log), i);
        if (entry == NULL || entry->log != log)
            continue;
        *n = i;
        return entry;
    }
    UNREACHABLE();
}

enum err
log_entry_add(struct log_manager *mgr, struct managed_dir *dir, struct log *log)
{
    char key[COPY_KEY_SIZE];
    int n = 0;
    while (copy_find(mgr, log_topic(log), log_partition(log), n) != NULL)
        n++;
    ASSERT(n < mgr->dir_count); /* I2 */
    size_t len = copy_key(key, log_topic(log), log_partition(log), n);
    if (len == 0)
        return ERR_INVALID;
    struct managed_log *entry = mem_calloc(1, sizeof *entry + len + 1);
    if (entry == NULL)
        return ERR_NOMEM;
    memcpy(entry->key, key, len + 1);
    entry->log = log;
    entry->dir = dir;
    HASH_ADD_KEYPTR(hh, mgr->logs, entry->key, len, entry);
    if (entry->hh.tbl == NULL) {
        mem_free(entry);
        return ERR_NOMEM;
    }
    mgr->copy_count += n > 0;
    atomic_store(&dir->host.stale, LOG_HOST_STALE_ALL);
    return ERR_OK;
}

static void
swap(struct managed_log *a, struct managed_log *b)
{
    struct log *log = a->log;
    struct managed_dir *dir = a->dir;
    a->log = b->log;
    a->dir = b->dir;
    b->log = log;
    b->dir = dir;
}

struct managed_dir *
log_entry_remove(struct log_manager *mgr, const struct log *log)
{
    int n;
    struct managed_log *entry = entry_of(mgr, log, &n), *last;
    struct managed_dir *dir = entry->dir;
    while ((last = copy_find(mgr, log_topic(log), log_partition(log), n + 1)) != NULL) {
        swap(entry, last);
        entry = last;
        n++;
    }
    HASH_DEL(mgr->logs, entry);
    mgr->copy_count -= n > 0;
    mem_free(entry);
    return dir;
}

bool
log_manager_has_copies(struct log_manager *mgr)
{
    mutex_lock(&mgr->mutex);
    bool has = mgr->copy_count > 0;
    mutex_unlock(&mgr->mutex);
    return has;
}

int32_t
log_manager_copies(
    struct log_manager *mgr, struct str topic, int32_t partition, struct log **out, int32_t max)
{
    struct managed_log *entry;
    int32_t n = 0;
    mutex_lock(&mgr->mutex);
    while ((entry = copy_find(mgr, topic, partition, n)) != NULL) {
        if (n < max)
            out[n] = entry->log;
        n++;
    }
    mutex_unlock(&mgr->mutex);
    return n;
}

void
log_manager_keep(struct log_manager *mgr, struct log *log)
{
    int n;
    mutex_lock(&mgr->mutex);
    struct managed_log *entry = entry_of(mgr, log, &n);
    struct managed_log *first = log_entry_find(mgr, log_topic(log), log_partition(log));
    if (entry != first)
        swap(entry, first);
    mutex_unlock(&mgr->mutex);
}
