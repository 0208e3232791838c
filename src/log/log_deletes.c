/* What: what was renamed to .deleted or -delete is removed some time later, so that reads in flight
 * end well. What is forgotten by a stop is found and removed at the next start.
 * Threads: any; the queue has a mutex of its own, because logs push under their partition's lock.
 */
#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/diag.h"
#include "log/log_manager_priv.h"

void
log_deletes_push(struct log_manager *mgr, const char *path, bool is_dir, int64_t delay_ms)
{
    size_t size = strlen(path) + 1;
    struct delete_item *item = mem_alloc(sizeof *item + size);
    if (item == NULL)
        return; /* the next start removes it */
    item->due_ms = env_now_ms(mgr->env) + (delay_ms > 0 ? delay_ms : 0);
    item->is_dir = is_dir;
    memcpy(item->path, path, size);
    mutex_lock(&mgr->queue_mutex);
    list_push(&mgr->deletes, &item->link);
    mutex_unlock(&mgr->queue_mutex);
}

static struct delete_item *
take_due(struct log_manager *mgr, int64_t now_ms)
{
    struct delete_item *due = NULL;
    mutex_lock(&mgr->queue_mutex);
    LIST_FOREACH (&mgr->deletes, node) {
        struct delete_item *item = LIST_ENTRY(node, struct delete_item, link);
        if (item->due_ms <= now_ms) {
            list_remove(&item->link);
            due = item;
            break;
        }
    }
    mutex_unlock(&mgr->queue_mutex);
    return due;
}

void
log_manager_delete_due(struct log_manager *mgr)
{
    int64_t now_ms = env_now_ms(mgr->env);
    struct delete_item *item;
    while ((item = take_due(mgr, now_ms)) != NULL) {
        enum err err =
            item->is_dir ? env_remove_tree(mgr->env, item->path) : env_unlink(mgr->env, item->path);
        if (err != ERR_OK && err != ERR_NOTFOUND)
            diag_event(env_diag(mgr->env), DIAG_WARN, "log", "delete_failed",
                DIAG_Z("path", item->path), DIAG_ERR("cause", err));
        mem_free(item);
    }
}

void
log_deletes_free(struct log_manager *mgr)
{
    LIST_FOREACH (&mgr->deletes, node) {
        list_remove(node);
        mem_free(LIST_ENTRY(node, struct delete_item, link));
    }
}
