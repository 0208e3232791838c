/* client/public_result.c - lists that administration gives out: one arena, items of one kind.
 *
 * Threads: whoever holds the result. */
#include "base/alloc.h"
#include "base/assert.h"
#include "client/public_priv.h"

enum { RESULT_ARENA = 512 << 20 };

enum err
public_result_new(enum public_kind kind, size_t capacity, struct moldau_result **out)
{
    struct moldau_result *result = mem_calloc(1, sizeof *result);
    if (result == NULL)
        return ERR_NOMEM;
    arena_init(&result->arena, RESULT_ARENA);
    result->kind = kind;
    result->capacity = capacity;
    result->cluster_id = "";
    result->controller_id = -1;
    result->items = arena_calloc(&result->arena, capacity, sizeof *result->items);
    if (result->items == NULL) {
        moldau_result_free(&result);
        return ERR_NOMEM;
    }
    *out = result;
    return ERR_OK;
}

void *
public_result_add(struct moldau_result *result, size_t size)
{
    ASSERT(result->count <= result->capacity);
    if (result->count == result->capacity) {
        size_t capacity = result->capacity * 2 + 16;
        void **items = arena_calloc(&result->arena, capacity, sizeof *items);
        if (items == NULL)
            return NULL;
        if (result->count > 0)
            memcpy(items, result->items, result->count * sizeof *items);
        result->items = items;
        result->capacity = capacity;
    }
    void *item = arena_calloc(&result->arena, 1, size);
    if (item != NULL)
        result->items[result->count++] = item;
    return item;
}

const char *
public_result_text(struct moldau_result *result, struct str text)
{
    return str_is_null(text) ? NULL : arena_strndup(&result->arena, text.data, text.len);
}

const char *
public_result_text_or_empty(struct moldau_result *result, struct str text)
{
    const char *copy = public_result_text(result, text);
    return copy != NULL ? copy : "";
}

enum moldau_err
public_result_finish(struct moldau_client *client, enum moldau_err err,
    struct moldau_result *result, struct moldau_result **out)
{
    if (err == MOLDAU_OK && (result == NULL || result->arena.exhausted))
        err = public_fail(client, MOLDAU_ERR_NOMEM, 0, "out of memory");
    if (err == MOLDAU_OK)
        *out = result;
    else
        moldau_result_free(&result);
    return err;
}

/* ---- public ---- */

size_t
moldau_result_count(const struct moldau_result *result)
{
    return result == NULL ? 0 : result->count;
}

void
moldau_result_free(struct moldau_result **result)
{
    if (result == NULL || *result == NULL)
        return;
    arena_fini(&(*result)->arena);
    mem_free(*result);
    *result = NULL;
}

static const void *
item_at(const struct moldau_result *result, enum public_kind kind, size_t index)
{
    if (result == NULL || result->kind != kind || index >= result->count)
        return NULL;
    return result->items[index];
}

const struct moldau_broker *
moldau_result_broker(const struct moldau_result *result, size_t index)
{
    return item_at(result, PUBLIC_BROKERS, index);
}

const struct moldau_topic *
moldau_result_topic(const struct moldau_result *result, size_t index)
{
    return item_at(result, PUBLIC_TOPICS, index);
}

const struct moldau_config *
moldau_result_config(const struct moldau_result *result, size_t index)
{
    return item_at(result, PUBLIC_CONFIGS, index);
}

const struct moldau_group *
moldau_result_group(const struct moldau_result *result, size_t index)
{
    return item_at(result, PUBLIC_GROUPS, index);
}

const struct moldau_partition_offset *
moldau_result_offset(const struct moldau_result *result, size_t index)
{
    return item_at(result, PUBLIC_OFFSETS, index);
}

const char *
moldau_result_cluster_id(const struct moldau_result *result)
{
    return result == NULL ? "" : result->cluster_id;
}

int32_t
moldau_result_controller_id(const struct moldau_result *result)
{
    return result == NULL ? -1 : result->controller_id;
}
