/* Each allocation fails in turn: whatever it was for, everybody is answered once, state equals the
 * log, and the shard goes on. */
#include "tests/lib/test.h"

#include <stdio.h>

#include "base/alloc.h"
#include "proto/error_codes.h"
#include "tests/unit/coord/fixture.h"

enum { CALLS = 6, ROOM_BYTES = 1 << 20 };

static void
join(struct fixture *fx, struct call *call, const char *instance, char id[128])
{
    struct join_args args = {.group = "g", .member = id, .instance = instance};
    /* A client that was told its id, or that it is unknown, comes again; here at most twice. */
    for (int i = 0; i < 2; i++) {
        call_join(fx, call, &args);
        if (call_join_err(call) != PROTO_ERROR_MEMBER_ID_REQUIRED)
            break;
        snprintf(id, 128, "%s", call->member);
    }
}

/* A life of two groups; every answer is fine, as long as there is one. */
static void
live(struct fixture *fx, struct call *calls)
{
    char a[128] = "", b[128] = "";

    join(fx, &calls[0], NULL, a);
    join(fx, &calls[1], "instance", b);
    fixture_advance(fx, 10);
    for (int i = 0; i < 2; i++) {
        if (calls[i].done == 1 && calls[i].u.base.err == PROTO_ERROR_NONE)
            snprintf(i == 0 ? a : b, 128, "%.*s", STR_FMT(calls[i].u.join.response.member_id));
    }
    struct proto_sync_group_request_sync_group_request_assignment assignments[] = {
        {.member_id = str_of(a), .assignment = {(const uint8_t *)"A", 1}},
        {.member_id = str_of(b), .assignment = {(const uint8_t *)"B", 1}}};
    for (int i = 0; i < 2; i++)
        call_sync(fx, &calls[2 + i],
            &(struct sync_args){.group = "g",
                .member = i == 0 ? a : b,
                .generation = 1,
                .assignments = assignments,
                .assignment_count = 2});
    (void)call_commit(
        fx, &(struct commit_args){
                .group = "g", .member = a, .generation = 1, .topic = "t", .offset = 1});
    (void)call_commit(
        fx, &(struct commit_args){.group = "h", .generation = -1, .topic = "t", .offset = 2});
    (void)call_commit(
        fx, &(struct commit_args){
                .group = "h", .generation = -1, .topic = "u", .offset = 3, .producer_id = 4});
    call_join(fx, &calls[4], &(struct join_args){.group = "g", .instance = "instance"});
    call_join(fx, &calls[5], &(struct join_args){.group = "g", .version = 3});
    fixture_advance(fx, 70000);
    (void)call_delete_group(fx, "h");
    fixture_advance(fx, 70000);
}

static void
any_allocation_may_fail(void **state)
{
    (void)state;
    for (uint64_t nth = 1; nth < 5000; nth++) {
        struct fixture fx;
        struct call calls[CALLS], after;
        fixture_open(&fx);
        assert_true(buf_reserve(&fx.log, ROOM_BYTES));
        for (int i = 0; i < CALLS; i++)
            call_init(&calls[i]);
        uint64_t before = mem_count_thread();
        mem_fail_after(nth);
        live(&fx, calls);
        bool failed = mem_count_thread() - before >= nth;
        mem_fail_after(0);
        fixture_settle(&fx);
        char *text = fixture_dump(&fx), *replayed = fixture_dump_replayed(&fx);
        if (strcmp(text, replayed) != 0)
            fail_msg(
                "allocation %llu: live\n%s\nreplayed\n%s", (unsigned long long)nth, text, replayed);
        fixture_text_free(text);
        fixture_text_free(replayed);
        for (int i = 0; i < CALLS; i++)
            assert_true(calls[i].done == 1 || calls[i].u.base.done == NULL);
        call_init(&after);
        call_join(&fx, &after, &(struct join_args){.group = "new", .version = 3});
        fixture_advance(&fx, 10);
        assert_int_equal(call_join_err(&after), PROTO_ERROR_NONE);
        fixture_close(&fx);
        call_fini(&after);
        for (int i = 0; i < CALLS; i++)
            call_fini(&calls[i]);
        if (!failed) {
            printf("# %llu allocations\n", (unsigned long long)nth - 1);
            assert_true(nth > 50);
            return;
        }
    }
    fail_msg("the failures never end");
}

TEST_MAIN(cmocka_unit_test(any_allocation_may_fail))
