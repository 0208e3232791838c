/* The quorum-state file, byte for byte what Apache Kafka 4.3.1 writes. */
#include "tests/lib/test.h"

#include "raft/quorum_state.h"

static const char LEADING[] = "{\"leaderId\":1,\"leaderEpoch\":1,\"votedId\":-1,"
                              "\"votedDirectoryId\":\"AAAAAAAAAAAAAAAAAAAAAA\",\"data_version\":1}";

static void
the_text_of_a_leader_is_apaches(void **state)
{
    (void)state;
    struct quorum_state in = {.version = 1, .leader_id = 1, .leader_epoch = 1, .voted_id = -1};
    int32_t voters[] = {1};
    struct buf out;
    buf_init(&out, 4096);
    quorum_state_format(&in, voters, 1, &out);
    assert_int_equal(out.err, ERR_OK);
    assert_string_equal(buf_z(&out), LEADING);
    buf_fini(&out);
}

static void
what_is_written_in_either_version_is_read_back(void **state)
{
    (void)state;
    for (int16_t version = 0; version <= 1; version++) {
        struct quorum_state in = {
            .version = version, .leader_id = -1, .leader_epoch = 7, .voted_id = 3};
        struct quorum_state got = {0};
        int32_t voters[] = {3, 4};
        struct buf out;
        if (version == 1)
            in.voted_directory_id.b[5] = 9;
        buf_init(&out, 4096);
        quorum_state_format(&in, voters, 2, &out);
        assert_int_equal(out.err, ERR_OK);
        assert_int_equal(quorum_state_parse(str_of(buf_z(&out)), &got), ERR_OK);
        assert_int_equal(got.version, version);
        assert_int_equal(got.leader_id, -1);
        assert_int_equal(got.leader_epoch, 7);
        assert_int_equal(got.voted_id, 3);
        assert_true(uuid_eq(got.voted_directory_id, in.voted_directory_id));
        buf_fini(&out);
    }
}

static void
every_cut_of_the_file_is_refused(void **state)
{
    (void)state;
    struct quorum_state got = {.leader_epoch = 42};
    for (size_t len = 0; len < sizeof LEADING - 1; len++) {
        enum err err = quorum_state_parse((struct str){LEADING, len}, &got);
        assert_int_not_equal(err, ERR_OK);
        assert_int_equal(got.leader_epoch, 42);
    }
}

static void
a_later_version_is_unsupported(void **state)
{
    (void)state;
    struct quorum_state got;
    assert_int_equal(quorum_state_parse(STR("{\"leaderId\":1,\"leaderEpoch\":1,\"votedId\":-1,"
                                            "\"votedDirectoryId\":\"AAAAAAAAAAAAAAAAAAAAAA\","
                                            "\"data_version\":2}"),
                         &got),
        ERR_UNSUPPORTED);
}

TEST_MAIN(cmocka_unit_test(the_text_of_a_leader_is_apaches),
    cmocka_unit_test(what_is_written_in_either_version_is_read_back),
    cmocka_unit_test(every_cut_of_the_file_is_refused),
    cmocka_unit_test(a_later_version_is_unsupported))
