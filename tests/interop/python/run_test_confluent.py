#!/usr/bin/env python3
"""confluent-kafka (librdkafka): every codec and acks, groups that resume, admin, error cases."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../lib"))
import broker
import env
import tap
from tap import check, equal, test

env.in_venv("venv-confluent", "confluent-kafka==2.16.1")
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient, NewPartitions, NewTopic


def payloads(n):
    return [os.urandom(i % 97) + b"%d" % i for i in range(n)]


def produce(server, topic, values, **options):
    failed = []
    producer = Producer({"bootstrap.servers": server.address, "log_level": 0,
                         **{k.replace("_", "."): v for k, v in options.items()}})
    for i, value in enumerate(values):
        producer.produce(topic, value, key=b"k%d" % i, headers=[("n", b"%d" % i)], partition=0,
                         on_delivery=lambda e, m: failed.append(e) if e else None)
        producer.poll(0)
    equal(producer.flush(30), 0, "left in the queue")
    equal(failed, [], "failed deliveries")


def consume(server, topic, count, group):
    consumer = Consumer({"bootstrap.servers": server.address, "group.id": group, "auto.offset.reset": "earliest",
                         "enable.auto.commit": False, "session.timeout.ms": 6000, "log_level": 0})
    consumer.subscribe([topic])
    out = []
    while len(out) < count:
        message = consumer.poll(20)
        check(message is not None, f"{len(out)} of {count} records after 20 s")
        check(not message.error(), str(message.error()))
        out.append(message.value())
        last = message
    consumer.commit(last, asynchronous=False)
    consumer.close()
    return out


@test
def every_codec_and_acks_comes_back_byte_for_byte(server):
    for codec in ("none", "gzip", "snappy", "lz4", "zstd"):
        for acks in ("1", "all"):
            values = payloads(300)
            produce(server, f"c-{codec}-{acks}", values, compression_type=codec, acks=acks)
            equal(consume(server, f"c-{codec}-{acks}", 300, f"g-{codec}-{acks}"), values)


@test
def a_group_resumes_where_it_committed_also_after_a_restart(server):
    values = payloads(200)
    produce(server, "resume", values, enable_idempotence=True)
    equal(consume(server, "resume", 80, "r"), values[:80])
    server.restart()
    equal(consume(server, "resume", 120, "r"), values[80:])


@test
def topics_are_created_grown_and_deleted(server):
    admin = AdminClient({"bootstrap.servers": server.address})
    admin.create_topics([NewTopic("adm", 2, 1)])["adm"].result(20)
    try:
        admin.create_topics([NewTopic("adm", 2, 1)])["adm"].result(20)
        raise AssertionError("created twice")
    except KafkaException as e:
        equal(e.args[0].code(), KafkaError.TOPIC_ALREADY_EXISTS)
    admin.create_partitions([NewPartitions("adm", 5)])["adm"].result(20)
    equal(len(admin.list_topics("adm", timeout=20).topics["adm"].partitions), 5, "partitions")
    admin.delete_topics(["adm"])["adm"].result(20)
    check("adm" not in admin.list_topics(timeout=20).topics, "still listed")


@test
def a_record_over_the_limit_is_refused(server):
    error = []
    producer = Producer({"bootstrap.servers": server.address, "message.max.bytes": 5_000_000, "log_level": 0})
    producer.produce("big", b"x" * 3_000_000, on_delivery=lambda e, m: error.append(e))
    producer.flush(30)
    equal(error[0].code(), KafkaError.MSG_SIZE_TOO_LARGE)


if __name__ == "__main__":
    sys.exit(tap.main(broker.started, broker.finished))
