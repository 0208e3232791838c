/* heap, list, fsm, err, bytes. */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/fsm.h"
#include "base/heap.h"
#include "base/list.h"
#include "tests/lib/test.h"

enum { NODES = 500 };

struct item {
    struct heap_node node;
    int64_t key;
    int order;
    int in;
};

static struct item *
item_smallest(struct item *items)
{
    struct item *best = NULL;
    for (int i = 0; i < NODES; i++) {
        struct item *it = &items[i];
        if (it->in && (best == NULL || it->key < best->key ||
                          (it->key == best->key && it->order < best->order)))
            best = it;
    }
    return best;
}

static void
heap_serves_the_smallest_and_ties_in_order(void **state)
{
    (void)state;
    struct heap heap;
    struct item items[NODES];
    uint64_t seed = test_seed(1), order = 0;
    heap_init(&heap);
    memset(items, 0, sizeof items);
    for (int i = 0; i < NODES; i++)
        heap_node_init(&items[i].node);
    for (int step = 0; step < 20000; step++) {
        seed = seed * 6364136223846793005ull + 1442695040888963407ull;
        struct item *it = &items[(seed >> 33) % NODES];
        if (it->in) {
            heap_remove(&heap, &it->node);
            it->in = 0;
        } else {
            it->key = (int64_t)(seed >> 20 & 63);
            it->order = (int)order++;
            assert_int_equal(heap_push(&heap, &it->node, it->key), ERR_OK);
            it->in = 1;
        }
        struct item *best = item_smallest(items);
        assert_ptr_equal(heap_peek(&heap), best == NULL ? NULL : &best->node);
    }
    heap_fini(&heap);
}

static void
heap_without_memory_stays_as_it_was(void **state)
{
    (void)state;
    struct heap heap;
    struct heap_node nodes[17];
    heap_init(&heap);
    for (int i = 0; i < 17; i++) {
        heap_node_init(&nodes[i]);
        if (i < 16)
            assert_int_equal(heap_push(&heap, &nodes[i], i), ERR_OK);
    }
    mem_fail_after(1);
    assert_int_equal(heap_push(&heap, &nodes[16], -1), ERR_NOMEM);
    assert_int_equal(nodes[16].index, HEAP_NOT_IN);
    assert_ptr_equal(heap_peek(&heap), &nodes[0]);
    heap_remove(&heap, &nodes[16]); /* outside: fine */
    heap_fini(&heap);
}

struct member {
    int value;
    struct list link;
};

static void
list_keeps_order_and_splices(void **state)
{
    (void)state;
    struct list a, b;
    struct member m[5];
    list_init(&a);
    list_init(&b);
    for (int i = 0; i < 5; i++) {
        m[i].value = i;
        list_push(i < 3 ? &a : &b, &m[i].link);
    }
    list_splice(&a, &b);
    assert_true(list_empty(&b));
    list_remove(&m[1].link);
    list_remove(&m[1].link);
    int sum = 0, count = 0;
    LIST_FOREACH (&a, at) {
        sum = sum * 10 + LIST_ENTRY(at, struct member, link)->value;
        count++;
        list_remove(at);
    }
    assert_int_equal(count, 4);
    assert_int_equal(sum, 234); /* 0, 2, 3, 4 */
    assert_null(list_pop(&a));
}

enum { DOOR_OPEN, DOOR_SHUT, DOOR_LOCKED };

static void
fsm_allows_what_the_table_says(void **state)
{
    (void)state;
    static const struct fsm_state states[] = {
        [DOOR_OPEN] = {"open", FSM_BIT(DOOR_SHUT)},
        [DOOR_SHUT] = {"shut", FSM_BIT(DOOR_OPEN) | FSM_BIT(DOOR_LOCKED)},
        [DOOR_LOCKED] = {"locked", FSM_BIT(DOOR_SHUT)},
    };
    static const struct fsm_table table = {"door", states, COUNT_OF(states)};
    struct fsm fsm;
    fsm_init(&fsm, &table, DOOR_OPEN);
    assert_false(fsm_can(&fsm, DOOR_LOCKED));
    fsm_move(&fsm, DOOR_SHUT);
    assert_true(fsm_can(&fsm, DOOR_LOCKED));
    assert_string_equal(fsm_name(&fsm), "shut");
}

static void
each_error_has_a_name_and_a_text(void **state)
{
    (void)state;
    for (int e = ERR_OK; e <= ERR_FAILED; e++) {
        assert_true(strlen(err_name((enum err)e)) > 0);
        assert_true(strlen(err_text((enum err)e)) > 0);
    }
    assert_string_equal(err_name(ERR_NOSPACE), "NOSPACE");
}

static void
strings_compare_as_bytes(void **state)
{
    (void)state;
    assert_true(str_cmp(STR("a"), STR("ab")) < 0);
    assert_true(str_cmp(STR("b"), STR("ab")) > 0);
    assert_true(str_cmp(STR("a"), STR("\xc3\xa9")) < 0);
    assert_int_equal(str_cmp(STR_NULL, STR("")), 0);
    uint8_t b[8];
    store_be64(b, 0x0102030405060708ull);
    assert_int_equal(b[0], 1);
    assert_int_equal(load_be16(b), 0x0102);
    assert_int_equal(load_be32(b + 4), 0x05060708);
    assert_true(load_be64(b) == 0x0102030405060708ull);
}

TEST_MAIN(cmocka_unit_test(heap_serves_the_smallest_and_ties_in_order),
    cmocka_unit_test(heap_without_memory_stays_as_it_was),
    cmocka_unit_test(list_keeps_order_and_splices),
    cmocka_unit_test(fsm_allows_what_the_table_says),
    cmocka_unit_test(each_error_has_a_name_and_a_text), cmocka_unit_test(strings_compare_as_bytes))
