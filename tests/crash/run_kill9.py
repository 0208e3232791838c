#!/usr/bin/env python3
"""The real process killed with SIGKILL under load, again and again, then audited.

usage: run_kill9.py [ROUNDS]     default 10, or $CRASH_ROUNDS; TEST_SEED replays the moments of the kills

An idempotent producer writes numbered records to several partitions with acks=all while the broker
is killed and started again. Every acknowledged record must be there at the offset that was told,
no number twice, and the numbers of each partition in order.
"""
import os
import random
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import broker
import env
import tap
from tap import check, equal, test

env.in_venv("venv-confluent", "confluent-kafka==2.16.1")
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

ROUNDS = int(os.environ.get("CRASH_ROUNDS", 10))
if len(sys.argv) > 1 and sys.argv[1].isdigit():
    ROUNDS = int(sys.argv.pop(1))
PARTITIONS = 4


class Load(threading.Thread):
    """Numbers to partitions, round robin, until told to stop; remembers what was acknowledged."""

    def __init__(self, address):
        super().__init__()
        self.producer = Producer({"bootstrap.servers": address, "enable.idempotence": True, "linger.ms": 2,
                                  "delivery.timeout.ms": 120000, "compression.type": "lz4",
                                  "reconnect.backoff.max.ms": 200, "log_level": 0})
        self.acked, self.failed, self.ended = {}, [], threading.Event()

    def delivered(self, error, message):
        number = int(message.value().split()[0])
        if error:
            self.failed.append((number, str(error)))
        else:
            self.acked[number] = (message.partition(), message.offset())

    def run(self):
        number = 0
        while not self.ended.is_set():
            try:
                self.producer.produce("t", b"%d " % number + b"x" * (number % 400), partition=number % PARTITIONS,
                                      on_delivery=self.delivered)
                number += 1
            except BufferError:
                self.producer.poll(0.05)
            self.producer.poll(0)
            if number % 50 == 0:
                time.sleep(0.005)
        check(self.producer.flush(90) == 0, "not everything was delivered or given up")


def read_all(address):
    """{partition: [(offset, number)]}"""
    consumer = Consumer({"bootstrap.servers": address, "group.id": "audit", "enable.auto.commit": False,
                         "enable.partition.eof": False, "log_level": 0})
    ends, seen = {}, {}
    for p in range(PARTITIONS):
        ends[p] = consumer.get_watermark_offsets(TopicPartition("t", p), timeout=20)[1]
        seen[p] = []
    consumer.assign([TopicPartition("t", p, OFFSET_BEGINNING) for p in range(PARTITIONS)])
    end = time.monotonic() + 60
    while any(not seen[p] or seen[p][-1][0] + 1 < ends[p] for p in ends if ends[p] > 0):
        check(time.monotonic() < end, "the audit could not read to the end")
        for message in consumer.consume(5000, timeout=1):
            check(not message.error(), str(message.error()))
            seen[message.partition()].append((message.offset(), int(message.value().split()[0])))
    consumer.close()
    return seen


@test
def what_was_acknowledged_survives_kill_9_once_and_in_order(server):
    chance = random.Random(tap.seed())
    admin = AdminClient({"bootstrap.servers": server.address})
    admin.create_topics([NewTopic("t", PARTITIONS, 1)])["t"].result(30)
    load = Load(server.address)
    load.start()
    try:
        for _ in range(ROUNDS):
            time.sleep(chance.uniform(0.1, 1.2))
            server.kill9()
            server.start()
    finally:
        time.sleep(1)
        load.ended.set()
        load.join()
    seen = read_all(server.address)
    count = sum(map(len, seen.values()))
    print(f"# {ROUNDS} kills, {len(load.acked)} acknowledged, {len(load.failed)} refused, {count} in the log", flush=True)
    check(len(load.acked) > 100 * ROUNDS, "too little load to say anything")
    where = {}
    for partition, records in seen.items():
        numbers = [number for _, number in records]
        check(numbers == sorted(numbers), f"partition {partition}: out of order")
        equal(len(numbers), len(set(numbers)), f"partition {partition}: distinct numbers")
        equal([offset for offset, _ in records], list(range(len(records))), f"partition {partition}: offsets")
        where.update({number: (partition, offset) for offset, number in records})
    lost = [n for n in load.acked if n not in where]
    check(not lost, f"{len(lost)} acknowledged records are lost, first {lost[:5]}")
    moved = [n for n, at in load.acked.items() if where[n] != at and at[1] >= 0]
    check(not moved, f"{len(moved)} records are not at the offset that was told: {[(n, load.acked[n], where[n]) for n in moved[:3]]}")


if __name__ == "__main__":
    sys.exit(tap.main(broker.started, broker.finished))
