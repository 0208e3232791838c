"""The clients of the matrix: versions as the libraries tell them, and what a library has no way to do, with the reason.

run_test programs hold both true: a version that differs fails, and so does a scenario that is skipped without standing
here or that stands here and works.
"""


class Client:
    def __init__(self, program, title, library="", lacks=None, wrong=None):
        """program: below tests/interop; lacks: reason -> scenarios that its program refuses; wrong: reason -> those that fail, with Apache Kafka too."""
        self.program, self.title, self.library = program, title, library
        self.lacks = {name: reason for reason, names in (lacks or {}).items() for name in names.split()}
        self.wrong = {name: reason for reason, names in (wrong or {}).items() for name in names.split()}


OLD_LIBRDKAFKA = {
    "it asks ListOffsets version 0, which is not served (Apache Kafka 4 does not either)":
        "offset_of_a_time out_of_range_to_earliest out_of_range_to_latest commit_and_resume second_member_joins_and_leaves "
        "member_without_partitions three_groups_at_once static_member group_over_a_restart commit_with_metadata removed_member "
        "list_offsets groups_listed_described_deleted delete_group_refused",
}
NO_DELETE_RECORDS = {"AdminClient has no delete_records": "delete_records"}
NO_METADATA = {"TopicPartition has no metadata": "commit_with_metadata"}

CLIENTS = {
    "confluent-2.16": Client("python/run_test_confluent_2.16", "confluent-kafka 2.16.1", "librdkafka 2.16.0"),
    "confluent-2.0": Client("python/run_night_confluent_2.0", "confluent-kafka 2.0.2", "librdkafka 2.0.2", NO_DELETE_RECORDS),
    "confluent-1.9": Client("python/run_test_confluent_1.9", "confluent-kafka 1.9.2", "librdkafka 1.9.2", {
        **NO_DELETE_RECORDS, **NO_METADATA,
        "AdminClient has no delete_consumer_groups": "groups_listed_described_deleted delete_group_refused"}),
    "confluent-1.8": Client("python/run_night_confluent_1.8", "confluent-kafka 1.8.2", "librdkafka 1.8.2", {
        **NO_DELETE_RECORDS, **NO_METADATA,
        "AdminClient has no delete_consumer_groups": "groups_listed_described_deleted delete_group_refused"}),
    "confluent-1.6": Client("python/run_night_confluent_1.6", "confluent-kafka 1.6.1", "librdkafka 1.6.1", {**NO_DELETE_RECORDS, **OLD_LIBRDKAFKA}),
    "kafka-python": Client("python/run_test_kafka_python", "kafka-python 3.0.12", "", {
        "a header's value cannot be null": "null_and_empty_headers", "key and value cannot both be null": "null_key_and_value"}),
    "aiokafka": Client("python/run_test_aiokafka", "aiokafka 0.14.0", "", {
        "key and value cannot both be null": "null_key_and_value",
        "AIOKafkaAdminClient has no delete_consumer_groups": "groups_listed_described_deleted delete_group_refused"}),
    "kafkajs": Client("kafkajs/run_test", "kafkajs 2.2.4", "", {
        "a null header is not sent": "null_and_empty_headers", "headers are an object of lists": "interleaved_headers", "it always resets": "out_of_range_is_an_error", "it has no static members": "static_member",
        "it gives no metadata of a commit": "commit_with_metadata"}),
    "java-4.3": Client("java/run_test_4.3.1", "kafka-clients 4.3.1"),
    "java-3.9": Client("java/run_night_3.9.1", "kafka-clients 3.9.1"),
    "java-2.1": Client("java/run_night_2.1.1", "kafka-clients 2.1.1", "", {"static members came with 2.3": "static_member"}),
    "franz-go": Client("go/run_test_franz_go", "franz-go v1.22.2"),
    "sarama": Client("go/run_test_sarama", "sarama v1.61.1"),
    "kafka-go": Client("go/run_test_kafka_go", "kafka-go v0.4.51", "", {
        "it has no idempotent producer": "idempotent_producer idempotent_producer_over_a_kill idempotent_producer_after_idleness",
        "it waits until the offset is there": "out_of_range_to_latest", "it has no static members": "static_member",
        "it reads empty as null": "nulls_and_empties null_and_empty_headers",
        "it commits no words": "commit_with_metadata", "it has no DeleteRecords": "delete_records"}, {
        "it gives the producer's time": "log_append_time"}),
    "rdkafka-rust": Client("rust/run_night", "rdkafka 0.39.0", "librdkafka 2.12.1"),
    "node-librdkafka": Client("node_rdkafka/run_night", "@confluentinc/kafka-javascript 1.10.1", "librdkafka 2.15.1", {
        "headers have a value": "null_and_empty_headers", "AdminClient has no settings of topics": "topic_settings"}, {
        "it sends empty as null": "nulls_and_empties"}),
    "kcat": Client("kcat/run_night_matrix", "kcat 1.7.1", "librdkafka 2.0.2", {
        "it has no such command": "create_topic topic_settings create_partitions delete_records groups_listed_described_deleted "
        "delete_topic invalid_topic_name topic_exists bad_settings fewer_partitions delete_unknown_topic delete_group_refused "
        "commit_with_metadata",
        "a producer does not outlive its command":
            "idempotent_producer idempotent_producer_over_a_kill idempotent_producer_after_idleness",
        "headers are arguments, without a zero byte": "headers", "headers have a value": "null_and_empty_headers", "null and empty are one": "nulls_and_empties null_key_and_value",
        "it sets no timestamps": "timestamps log_append_time offset_of_a_time",
        "it commits by itself (kcat/run_test shows it)": "commit_and_resume group_over_a_restart removed_member"}),
}
