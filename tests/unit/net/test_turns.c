/* Who is served when, and what waits for a time. */
#include "tests/unit/net/hand.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/limits.h"

/* Connections that have always more to ask, and owe as much as is remembered. */
static void
dial_heavy(struct fixture *f, int count)
{
    for (int i = 0; i < count; i++) {
        struct peer *heavy = dial(f);
        put_many(heavy, 1000);
        heavy->endless = true;
    }
    turns(f, 4 * count);
}

/* The requests of one slice: the last visit of it may overrun by a quantum. */
static uint32_t
slice_requests(int slice)
{
    return (uint32_t)((slice + LIMIT_TURN_QUANTUM) / LIMIT_TURN_REQUEST + 1);
}

/* ---- tests ---- */

/* It asks at any moment of the others' service: what is left of their slice is served before it. */
static void
a_light_connection_waits_for_one_slice_of_the_heavy(void **state)
{
    enum { HEAVY = 24 };
    struct fixture *f = fixture_start((struct net_server_opts){0});
    (void)state;
    struct peer *light = dial(f);
    put_many(light, 1); /* it is known from here on */
    turns(f, 3);
    assert_int_equal(light->answers, 1);
    dial_heavy(f, HEAVY);
    for (uint32_t after = 1; after < 200; after++) {
        bool alone = after % 2 == 1; /* no light one was seen of late */
        pass_ms(f, alone ? 1000 : 1);
        f->asks = light;
        f->asks_after = after;
        while (light->frames == after)
            turn(f);
        assert_in_range(light->since_request, 0,
            slice_requests(alone ? LIMIT_TURN_SLICE_ALONE : LIMIT_TURN_SLICE));
        turns(f, 1);
        assert_int_equal(light->answers, after + 1);
        assert_int_equal(light->since_answer, light->since_request + 1); /* its own only */
    }
    fixture_end(f);
}

/* What came behind a request that holds is not taken before that ends, or lets go. */
static void
nothing_overtakes_a_slot_that_holds(void **state)
{
    struct fixture *f = fixture_start((struct net_server_opts){0});
    (void)state;
    struct peer *peer = dial(f);
    put_frame(peer, "H", 1);
    put_many(peer, 2);
    turns(f, 5);
    assert_int_equal(peer->frames, 1);
    put_many(peer, 1); /* and what comes later is not even read */
    turns(f, 5);
    assert_int_equal(peer->frames, 1);
    assert_int_equal(peer->in_len - peer->in_at, 6);
    struct net_slot *slot = peer->held;
    net_slot_release(slot);
    net_slot_release(slot); /* is nothing */
    turns(f, 5);
    assert_int_equal(peer->frames, 4);
    assert_int_equal(peer->answers, 0); /* in order: behind the first */
    net_slot_drop(slot);
    turns(f, 5);
    assert_int_equal(peer->answers, 3);
    /* An end lets go as well. */
    put_frame(peer, "H", 1);
    put_many(peer, 1);
    turns(f, 5);
    assert_int_equal(peer->frames, 5);
    net_slot_drop(peer->held);
    turns(f, 5);
    assert_int_equal(peer->frames, 6);
    assert_int_equal(peer->answers, 4);
    fixture_end(f);
}

/* However often it asks: a turn of the others lies between, and a light one is served first. */
static void
a_slot_that_holds_takes_turns_with_the_heavy(void **state)
{
    enum { HEAVY = 4, MORE = 10 };
    struct fixture *f = fixture_start((struct net_server_opts){0});
    (void)state;
    struct peer *light = dial(f), *peer = dial(f);
    put_many(light, 1);
    turns(f, 3);
    put_frame(peer, "H", 1);
    turns(f, 3);
    assert_non_null(peer->held);
    dial_heavy(f, HEAVY);
    peer->turns_more = MORE;
    assert_true(net_slot_waits(peer->held, true));
    while (peer->turns == 0)
        turn(f);
    for (uint32_t i = 1; i <= MORE; i++) {
        uint32_t before = peer->since_turn;
        while (peer->turns == i)
            turn(f);
        assert_true(peer->since_turn > before); /* the others were served */
    }
    assert_null(peer->held);
    put_frame(light, "Ex", 2);
    f->since = 0;
    turns(f, 1);
    assert_int_equal(light->frames, 2);
    while (peer->answers == 0)
        turn(f);
    fixture_end(f);
}

/* Its handler waits for it, whatever became of the connection. */
static void
a_slot_that_holds_has_its_turn_when_the_peer_is_gone(void **state)
{
    struct fixture *f = fixture_start((struct net_server_opts){0});
    (void)state;
    struct peer *peer = dial(f);
    put_frame(peer, "H", 1);
    turns(f, 3);
    net_conn_close(peer->held->conn, "of the test");
    assert_true(peer->closed);
    peer->turns_more = 3;
    assert_true(net_slot_waits(peer->held, true));
    turns(f, 5);
    assert_int_equal(peer->turns, 4);
    assert_null(peer->held);
    fixture_end(f);
}

/* A hundred requests of it that can go on at once: a light one does not wait for all of them. */
static void
what_goes_on_later_waits_among_the_heavy(void **state)
{
    struct fixture *f = fixture_start((struct net_server_opts){0});
    (void)state;
    struct peer *light = dial(f), *heavy = dial(f);
    put_many(light, 1);
    put_frame(heavy, "H", 1);
    turns(f, 3);
    assert_false(net_slot_waits(heavy->held, false)); /* it asked for little */
    net_slot_release(heavy->held);
    put_many(heavy, 1000);
    heavy->endless = true;
    turns(f, 20);
    struct net_slot *slot = heavy->held;
    assert_true(net_slot_waits(slot, false));
    assert_int_equal(heavy->turns, 0);
    heavy->endless = false;
    turns(f, 20);
    assert_int_equal(heavy->turns, 1);
    fixture_end(f);
}

/* New ones may ask for what is dear: one of them a turn, and a known one in between. */
static void
new_connections_wait_among_the_heavy(void **state)
{
    enum { NEW = 20 };
    struct fixture *f = fixture_start((struct net_server_opts){0});
    struct peer *fresh[NEW];
    (void)state;
    struct peer *light = dial(f);
    put_many(light, 1);
    turns(f, 3);
    for (int i = 0; i < NEW; i++)
        fresh[i] = dial(f);
    for (int i = 0; i < NEW; i++)
        put_frame(fresh[i], "U", 1); /* works for 10 ms */
    put_many(light, 1);
    turns(f, 2);
    assert_int_equal(light->answers, 2);
    int served = 0;
    for (int i = 0; i < NEW; i++)
        served += fresh[i]->frames > 0;
    assert_in_range(served, 1, 2);
    turns(f, NEW);
    for (int i = 0; i < NEW; i++)
        assert_int_equal(fresh[i]->answers, 1);
    fixture_end(f);
}

/* Serves the light one's request, then its next, among heavy ones; how many came between. */
static uint32_t
next_after(char first, int heavy)
{
    struct fixture *f = fixture_start((struct net_server_opts){0});
    struct peer *light = dial(f);
    dial_heavy(f, heavy);
    put_frame(light, &first, 1);
    while (light->answers == 0)
        turn(f);
    f->since = 0;
    put_frame(light, "E", 1);
    while (light->frames < 2)
        turn(f);
    uint32_t between = light->since_request;
    fixture_end(f);
    return between;
}

/* Its request stood still for long, on its reactor, while heavy ones were in the queue. What it
 * asks for next does not wait for them; where it worked for as long, it does. */
static void
a_light_connection_that_had_to_wait_stays_light(void **state)
{
    enum { HEAVY = 24 };
    (void)state;
    assert_int_equal(next_after('E', HEAVY), 0);
    assert_int_equal(next_after('W', HEAVY), 0);
    assert_true(next_after('U', HEAVY) > 0);
}

/* What several pipelining connections get is the same, whoever came first. */
static void
heavy_connections_take_turns(void **state)
{
    enum { HEAVY = 4, EACH = 4000 };
    struct fixture *f = fixture_start((struct net_server_opts){0});
    uint32_t ahead = 2 * LIMIT_TURN_QUANTUM / LIMIT_TURN_REQUEST + 2;
    (void)state;
    for (int i = 0; i < HEAVY; i++)
        put_many(dial(f), EACH);
    for (bool all = false; !all;) {
        uint32_t least = EACH, most = 0;
        turn(f);
        all = true;
        for (int i = 0; i < HEAVY; i++) {
            uint32_t frames = f->peers[i].frames;
            least = frames < least ? frames : least;
            most = frames > most ? frames : most;
            all = all && f->peers[i].answers == EACH;
        }
        assert_in_range(most - least, 0, ahead);
    }
    fixture_end(f);
}

/* It waited for memory, has it now, and its body is not sent yet: its reactor serves others. */
static void
a_head_without_its_body_holds_nobody_up(void **state)
{
    enum { SIZE = 60000 };
    static uint8_t body[4 + SIZE] = {0, 0, SIZE >> 8, SIZE & 0xff, 'E'};
    struct fixture *f = fixture_start((struct net_server_opts){.frame_memory_max = 150000});
    struct peer *first = dial(f), *second = dial(f), *third = dial(f);
    (void)state;
    put(first, body, 1000); /* with what sockets are read into, there is no room for a second */
    turns(f, 3);
    put(second, body, 4);
    turns(f, 3);
    put(first, body + 1000, sizeof body - 1000);
    turns(f, 3);
    assert_int_equal(first->answers, 1);
    put_frame(third, "Ehello", 6);
    turns(f, 3);
    assert_int_equal(third->answers, 1);
    assert_int_equal(second->answers, 0);
    put(second, body + 4, SIZE);
    turns(f, 3);
    assert_int_equal(second->answers, 1);
    assert_int_equal(second->out_bytes, 4 + SIZE);
    fixture_end(f);
}

static void
a_steady_stream_allocates_nothing(void **state)
{
    static const uint8_t body[3000] = {'E'};
    struct fixture *f = fixture_start((struct net_server_opts){0});
    struct peer *peer = dial(f);
    uint64_t before = 0;
    (void)state;
    put_frame(peer, body, sizeof body);
    put_frame(peer, "F", 1);
    put_frame(peer, "N", 1);
    for (uint32_t round = 1; round <= 1000; round++) {
        peer->in_at = 0; /* the same again */
        pass_ms(f, 1);
        while (peer->answers < 2 * round)
            turn(f);
        turn(f);
        if (round == 10)
            before = mem_count_thread();
    }
    assert_true(before > 0);
    assert_int_equal(mem_count_thread(), before);
    assert_int_equal(peer->frames, 3000);
    assert_int_equal(peer->out_bytes, 1000 * (4 + sizeof body + 4 + 4 + 1));
    fixture_end(f);
}

static void
large_frames_wait_for_memory_and_are_served(void **state)
{
    enum { COUNT = 6, SIZE = 900000 };
    struct fixture *f = fixture_start((struct net_server_opts){.frame_memory_max = 1 << 20});
    uint8_t *body = calloc(1, SIZE), head[4];
    (void)state;
    assert_non_null(body);
    body[0] = 'E';
    store_be32(head, SIZE);
    for (int i = 0; i < COUNT; i++) { /* heads first: they cannot all have a block */
        struct peer *peer = dial(f);
        put(peer, head, sizeof head);
        put(peer, body, 1);
    }
    turns(f, 3);
    for (int i = 0; i < COUNT; i++)
        put(&f->peers[i], body + 1, SIZE - 1);
    turns(f, 100);
    for (int i = 0; i < COUNT; i++) {
        assert_int_equal(f->peers[i].answers, 1);
        assert_int_equal(f->peers[i].out_bytes, 4 + SIZE);
    }
    free(body);
    fixture_end(f);
}

static void
slow_and_idle_peers_are_closed(void **state)
{
    struct net_counters counters;
    struct fixture *f = fixture_start(
        (struct net_server_opts){.idle_ms = 1500, .frame_deadline_ms = 10, .send_stall_ms = 10});
    struct peer *slow = dial(f), *idle = dial(f), *stuck = dial(f);
    (void)state;
    put(slow, "\0\0\0", 3);
    stuck->takes_nothing = true;
    put_frame(stuck, "E", 1);
    turns(f, 3);
    assert_int_equal(stuck->frames, 1);
    pass_ms(f, 1000);
    turns(f, 3);
    assert_true(slow->closed);
    assert_true(stuck->closed);
    assert_false(idle->closed);
    pass_ms(f, 1000);
    turns(f, 3);
    assert_true(idle->closed);
    net_server_counters(f->server, &counters);
    assert_int_equal(counters.closed_frame_deadline, 1);
    assert_int_equal(counters.closed_send_stall, 1);
    assert_int_equal(counters.closed_idle, 1);
    fixture_end(f);
}

static void
throttled_connections_wait(void **state)
{
    struct fixture *f = fixture_start((struct net_server_opts){0});
    struct peer *peer = dial(f);
    (void)state;
    put_frame(peer, "T", 1);
    put_frame(peer, "Elater", 6);
    turns(f, 3);
    assert_int_equal(peer->answers, 1);
    pass_ms(f, 299);
    turns(f, 3);
    assert_int_equal(peer->frames, 1);
    pass_ms(f, 1);
    turns(f, 3);
    assert_int_equal(peer->answers, 2);
    fixture_end(f);
}

static void
on_stopped(void *ctx)
{
    ((struct fixture *)ctx)->stopped = true;
}

static void
stop_waits_for_requests_in_flight_until_its_time(void **state)
{
    struct fixture *f = fixture_start((struct net_server_opts){0});
    struct peer *idle = dial(f), *busy = dial(f);
    (void)state;
    put_frame(busy, "P", 1);
    turns(f, 3);
    assert_non_null(busy->parked);
    net_server_stop(f->server, 300, on_stopped, f);
    turns(f, 3);
    assert_true(idle->closed);
    pass_ms(f, 299);
    turns(f, 3);
    assert_false(busy->closed);
    assert_false(f->stopped);
    pass_ms(f, 1);
    turns(f, 3);
    assert_true(busy->closed);
    assert_true(f->stopped);
    fixture_end(f);
}

TEST_MAIN(cmocka_unit_test(a_light_connection_waits_for_one_slice_of_the_heavy),
    cmocka_unit_test(nothing_overtakes_a_slot_that_holds),
    cmocka_unit_test(a_slot_that_holds_takes_turns_with_the_heavy),
    cmocka_unit_test(a_slot_that_holds_has_its_turn_when_the_peer_is_gone),
    cmocka_unit_test(what_goes_on_later_waits_among_the_heavy),
    cmocka_unit_test(new_connections_wait_among_the_heavy),
    cmocka_unit_test(a_light_connection_that_had_to_wait_stays_light),
    cmocka_unit_test(heavy_connections_take_turns),
    cmocka_unit_test(a_head_without_its_body_holds_nobody_up),
    cmocka_unit_test(a_steady_stream_allocates_nothing),
    cmocka_unit_test(large_frames_wait_for_memory_and_are_served),
    cmocka_unit_test(slow_and_idle_peers_are_closed), cmocka_unit_test(throttled_connections_wait),
    cmocka_unit_test(stop_waits_for_requests_in_flight_until_its_time))
