/* meta/controller_names.c - which names a request holds twice. Pure. */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "meta/controller_priv.h"

static int
compare(const void *a, const void *b)
{
    const struct meta_name *x = a, *y = b;
    if (x->kind != y->kind)
        return x->kind < y->kind ? -1 : 1;
    int order = str_cmp(x->name, y->name);
    return order != 0 ? order : (x->index > y->index) - (x->index < y->index);
}

enum err
meta_names_new(struct arena *arena, int32_t count, struct meta_name **out)
{
    ASSERT(count >= 0);
    struct meta_name *names = arena_calloc(arena, (size_t)count, sizeof *names);
    if (names == NULL)
        return ERR_NOMEM;
    *out = names;
    return ERR_OK;
}

void
meta_names_mark(struct meta_name *names, int32_t count)
{
    int32_t end;
    qsort(names, (size_t)count, sizeof *names, compare);
    for (int32_t start = 0; start < count; start = end) {
        end = start + 1;
        while (end < count && names[end].kind == names[start].kind &&
               str_eq(names[end].name, names[start].name))
            end++;
        for (int32_t i = start; i < end; i++) {
            names[i].times = end - start;
            names[i].first = names[start].index;
        }
    }
    /* Back in the order of the request: every index stands once. */
    for (int32_t i = 0; i < count; i++) {
        while (names[i].index != i) {
            struct meta_name other = names[names[i].index];
            ASSERT(other.index != names[i].index);
            names[names[i].index] = names[i];
            names[i] = other;
        }
    }
}
