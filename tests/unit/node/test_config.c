/* The node's configuration: where values come from, what is refused and how it is said. */
#include "tests/lib/test.h"

#include <stdio.h>
#include <string.h>

#include "node/config.h"
#include "node/listeners.h"

struct fixture {
    struct env *env;
    struct buf problems;
    char dir[128];
    char path[160];
};

static int
setup(void **state)
{
    static struct fixture fixture;
    struct env_real_opts opts = {.level_min = DIAG_ERROR, .diag_fd = -1};
    assert_int_equal(env_real_new(&opts, &fixture.env), ERR_OK);
    buf_init(&fixture.problems, 1 << 16);
    test_dir_make(fixture.dir, sizeof fixture.dir);
    snprintf(fixture.path, sizeof fixture.path, "%s/server.properties", fixture.dir);
    *state = &fixture;
    return 0;
}

static int
teardown(void **state)
{
    struct fixture *fixture = *state;
    test_dir_remove(fixture->dir);
    buf_fini(&fixture->problems);
    env_free(&fixture->env);
    return 0;
}

static void
write_file(const struct fixture *fixture, const char *text)
{
    FILE *file = fopen(fixture->path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    fclose(file);
}

static enum err
load(struct fixture *fixture, const char *text, const char *const *set, int set_count,
    char *const *environment, struct node_config **out)
{
    struct node_config_opts opts = {.set = set, .set_count = set_count, .environment = environment};
    if (text != NULL) {
        write_file(fixture, text);
        opts.path = fixture->path;
    }
    buf_clear(&fixture->problems);
    return node_config_load(fixture->env, &opts, &fixture->problems, out);
}

static void
defaults_stand_without_any_source(void **state)
{
    struct node_config *config;
    assert_int_equal(load(*state, NULL, NULL, 0, NULL, &config), ERR_OK);
    assert_int_equal(node_config_i64(config, "num.partitions"), 1);
    assert_true(node_config_bool(config, "auto.create.topics.enable"));
    assert_false(node_config_is_set(config, "num.partitions"));
    node_config_free(&config);
}

static void
set_wins_over_environment_over_file(void **state)
{
    struct node_config *config;
    const char *set[] = {"num.partitions=7"};
    char *environ[] = {
        "PATH=/bin", "MOLDAU_NUM_PARTITIONS=6", "MOLDAU_LOG_RETENTION_HOURS=5", NULL};
    assert_int_equal(load(*state, "num.partitions=5\nlog.retention.hours=4\nnode.id = 3\n", set, 1,
                         environ, &config),
        ERR_OK);
    assert_int_equal(node_config_i64(config, "num.partitions"), 7);
    assert_int_equal(node_config_i64(config, "log.retention.hours"), 5);
    assert_int_equal(node_config_i64(config, "node.id"), 3);
    node_config_free(&config);
}

static void
properties_syntax_is_javas(void **state)
{
    struct node_config *config;
    const char *text = "# comment\n! another\n\n  log.dirs : /a,\\\n    /b\r\nbroker.rack\\=x=y\n"
                       "broker.rack a\\tb\n";
    assert_int_equal(load(*state, text, NULL, 0, NULL, &config), ERR_OK);
    assert_true(str_eq_z(node_config_str(config, "log.dirs"), "/a,/b"));
    assert_true(str_eq_z(node_config_str(config, "broker.rack"), "a\tb"));
    node_config_free(&config);
}

static void
a_bad_value_says_where_and_what(void **state)
{
    struct fixture *fixture = *state;
    struct node_config *config = NULL;
    assert_int_equal(
        load(fixture, "\nnum.partitions=many\nlog.segment.bytes=1\nnode.id=\nbroker.rack=\n", NULL,
            0, NULL, &config),
        ERR_INVALID);
    assert_null(config);
    const char *text = buf_z(&fixture->problems);
    assert_non_null(strstr(text, ":2: num.partitions: Not a number"));
    assert_non_null(strstr(text, ":3: log.segment.bytes: Value must be at least"));
    assert_non_null(strstr(text, ":4: node.id: Not a number"));
    assert_null(strstr(text, "broker.rack"));
}

static void
an_unknown_key_is_a_warning_with_a_suggestion(void **state)
{
    struct fixture *fixture = *state;
    struct node_config *config;
    assert_int_equal(load(fixture, "log.retension.ms=5\n", NULL, 0, NULL, &config), ERR_OK);
    assert_non_null(strstr(buf_z(&fixture->problems), "did you mean log.retention.ms?"));
    node_config_free(&config);
}

static void
a_value_without_a_key_is_a_warning_as_any_unknown_key(void **state)
{
    struct fixture *fixture = *state;
    struct node_config *config;
    assert_int_equal(load(fixture, "=5\nnum.partitions=3\n", NULL, 0, NULL, &config), ERR_OK);
    assert_true(fixture->problems.len > 0);
    assert_int_equal(node_config_i64(config, "num.partitions"), 3);
    node_config_free(&config);
}

static void
a_file_that_is_missing_is_a_problem(void **state)
{
    struct fixture *fixture = *state;
    struct node_config *config = NULL;
    struct node_config_opts opts = {.path = "/nonexistent/server.properties"};
    buf_clear(&fixture->problems);
    assert_int_equal(
        node_config_load(fixture->env, &opts, &fixture->problems, &config), ERR_INVALID);
    assert_non_null(strstr(buf_z(&fixture->problems), "cannot be read"));
}

static enum err
parse_listeners(struct fixture *fixture, const char *text, struct node_listeners *out)
{
    struct node_config *config;
    assert_int_equal(load(fixture, text, NULL, 0, NULL, &config), ERR_OK);
    buf_clear(&fixture->problems);
    enum err err = node_listeners_parse(config, "myhost", &fixture->problems, out);
    node_config_free(&config);
    return err;
}

static void
listeners_are_advertised_as_they_say(void **state)
{
    struct node_listeners list;
    assert_int_equal(parse_listeners(*state, "", &list), ERR_OK);
    assert_int_equal(list.count, 1);
    assert_int_equal(list.items[0].port, 9092);
    assert_string_equal(list.items[0].advertised_host, "myhost");
    assert_int_equal(parse_listeners(*state,
                         "listeners=PLAINTEXT://[::1]:1,EXTERNAL://0.0.0.0:2,C://:3\n"
                         "advertised.listeners=EXTERNAL://kafka.example:29092\n"
                         "controller.listener.names=C\n"
                         "listener.security.protocol.map=EXTERNAL:PLAINTEXT,PLAINTEXT:PLAINTEXT\n",
                         &list),
        ERR_OK);
    assert_int_equal(list.count, 3);
    assert_string_equal(list.items[0].host, "::1");
    assert_string_equal(list.items[0].advertised_host, "::1");
    assert_string_equal(list.items[1].advertised_host, "kafka.example");
    assert_int_equal(list.items[1].advertised_port, 29092);
    assert_true(list.items[2].controller);
}

static void
listeners_that_cannot_be_are_refused(void **state)
{
    struct fixture *fixture = *state;
    struct node_listeners list;
    assert_int_equal(parse_listeners(fixture, "listeners=PLAINTEXT:9092\n", &list), ERR_INVALID);
    assert_non_null(strstr(buf_z(&fixture->problems), "NAME://host:port"));
    assert_int_equal(parse_listeners(fixture, "listeners=SSL://:9093\n", &list), ERR_INVALID);
    assert_non_null(strstr(buf_z(&fixture->problems), "only PLAINTEXT"));
    assert_int_equal(
        parse_listeners(fixture, "advertised.listeners=OTHER://h:1\n", &list), ERR_INVALID);
    assert_int_equal(
        parse_listeners(fixture, "listeners=PLAINTEXT://:1,PLAINTEXT://:2\n", &list), ERR_INVALID);
}

#define WITH_FIXTURE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
TEST_MAIN(WITH_FIXTURE(defaults_stand_without_any_source),
    WITH_FIXTURE(set_wins_over_environment_over_file), WITH_FIXTURE(properties_syntax_is_javas),
    WITH_FIXTURE(a_bad_value_says_where_and_what),
    WITH_FIXTURE(an_unknown_key_is_a_warning_with_a_suggestion),
    WITH_FIXTURE(a_value_without_a_key_is_a_warning_as_any_unknown_key),
    WITH_FIXTURE(a_file_that_is_missing_is_a_problem),
    WITH_FIXTURE(listeners_are_advertised_as_they_say),
    WITH_FIXTURE(listeners_that_cannot_be_are_refused))
