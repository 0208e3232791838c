/* tests/unit/os/conform.h - what both environments promise; run by test_real.c and test_sim.c. */
#ifndef TESTS_UNIT_OS_CONFORM_H
#define TESTS_UNIT_OS_CONFORM_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "os/env.h"
#include "os/loop.h"
#include "tests/lib/test.h"

struct world {
    struct env *env;
    char dir[256];
    /* Lets the world go on until done or about 10 s went by. */
    bool (*wait)(struct world *w, bool (*done)(void *ctx), void *ctx);
    void *more;
};

/* Waits until *flag is at least `count`. */
bool world_wait_count(struct world *w, _Atomic int *flag, int count);
/* Runs fn(ctx) on the loop and waits for it. */
void world_call(struct world *w, struct loop *loop, void (*fn)(void *ctx), void *ctx);
struct loop *world_loop(struct world *w, const char *name); /* started */
void world_loop_end(struct loop **loop);
const char *world_path(struct world *w, const char *name, char out[300]);

/* files (conform_files.c) */
void files_keep_what_is_written(void **state);
void open_flags_are_honoured(void **state);
void gathered_writes_of_many_parts_arrive_whole(void **state);
void preallocation_does_not_change_the_size(void **state);
void cached_reads_are_right_or_again(void **state);
void a_file_lives_until_its_last_reference(void **state);
void directories_are_made_listed_and_removed(void **state);
void rename_replaces_and_refuses(void **state);
void a_lock_excludes_until_closed(void **state);
void small_files_are_replaced_whole(void **state);
void clocks_and_chance_are_sane(void **state);
void disk_space_is_told(void **state);
void a_volume_is_synced_whole_or_refused(void **state);
/* loops (conform_loops.c) */
void tasks_run_in_order_of_posting(void **state);
void deferred_tasks_run_after_the_turn(void **state);
void a_task_posted_from_another_loop_arrives(void **state);
void timers_fire_in_order_and_never_early(void **state);
void a_stopped_timer_does_not_fire(void **state);
void a_timer_restarted_in_its_callback_lets_others_run(void **state);
void a_stopped_loop_drops_its_tasks(void **state);
void a_loop_knows_when_it_is_current(void **state);
void the_pool_runs_everything_before_it_is_freed(void **state);
void a_pool_is_pressed_for_a_moment_and_works_on(void **state);
/* sockets (conform_socks.c) */
void streams_carry_everything_both_ways(void **state);
void connecting_where_nobody_listens_is_refused(void **state);
void a_paused_listener_accepts_later(void **state);
void a_closed_peer_is_seen_by_a_reader(void **state);
void a_slow_reader_stops_the_writer(void **state);
void a_socket_may_be_closed_in_its_callback(void **state);
void addresses_are_parsed_and_printed(void **state);
void a_taken_port_is_busy(void **state);
void sendfile_past_the_end_is_truncated(void **state);

#define CONFORM_TEST(f) cmocka_unit_test_setup_teardown(f, world_open, world_close)
#define CONFORM_TESTS                                                                           \
    CONFORM_TEST(files_keep_what_is_written), CONFORM_TEST(open_flags_are_honoured),            \
        CONFORM_TEST(gathered_writes_of_many_parts_arrive_whole),                               \
        CONFORM_TEST(preallocation_does_not_change_the_size),                                   \
        CONFORM_TEST(cached_reads_are_right_or_again),                                          \
        CONFORM_TEST(a_file_lives_until_its_last_reference),                                    \
        CONFORM_TEST(directories_are_made_listed_and_removed),                                  \
        CONFORM_TEST(rename_replaces_and_refuses), CONFORM_TEST(a_lock_excludes_until_closed),  \
        CONFORM_TEST(small_files_are_replaced_whole), CONFORM_TEST(clocks_and_chance_are_sane), \
        CONFORM_TEST(disk_space_is_told), CONFORM_TEST(a_volume_is_synced_whole_or_refused),    \
        CONFORM_TEST(tasks_run_in_order_of_posting),                                            \
        CONFORM_TEST(deferred_tasks_run_after_the_turn),                                        \
        CONFORM_TEST(a_task_posted_from_another_loop_arrives),                                  \
        CONFORM_TEST(timers_fire_in_order_and_never_early),                                     \
        CONFORM_TEST(a_stopped_timer_does_not_fire),                                            \
        CONFORM_TEST(a_timer_restarted_in_its_callback_lets_others_run),                        \
        CONFORM_TEST(a_stopped_loop_drops_its_tasks),                                           \
        CONFORM_TEST(a_loop_knows_when_it_is_current),                                          \
        CONFORM_TEST(a_pool_is_pressed_for_a_moment_and_works_on),                              \
        CONFORM_TEST(the_pool_runs_everything_before_it_is_freed),                              \
        CONFORM_TEST(streams_carry_everything_both_ways),                                       \
        CONFORM_TEST(connecting_where_nobody_listens_is_refused),                               \
        CONFORM_TEST(a_paused_listener_accepts_later),                                          \
        CONFORM_TEST(a_closed_peer_is_seen_by_a_reader),                                        \
        CONFORM_TEST(a_slow_reader_stops_the_writer),                                           \
        CONFORM_TEST(a_socket_may_be_closed_in_its_callback),                                   \
        CONFORM_TEST(addresses_are_parsed_and_printed), CONFORM_TEST(a_taken_port_is_busy),     \
        CONFORM_TEST(sendfile_past_the_end_is_truncated)

#endif
