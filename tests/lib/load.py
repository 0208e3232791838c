"""Load that knows what it was promised, for tests that break a real broker under it.

An idempotent producer of numbered records with acks=all, a reader that remembers what it was shown, and an
audit that holds both against what stands in the log at the end. Import env.in_venv's Kafka client first.
"""
import threading
import time

from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from tap import check, equal, eventually

PARTITIONS = 4
QUIET = {"log_level": 0, "reconnect.backoff.ms": 20, "reconnect.backoff.max.ms": 100, "error_cb": lambda error: None}


def create(address, topic="t", config=None):
    admin = AdminClient({"bootstrap.servers": address, **QUIET})

    def made():
        try:
            admin.create_topics([NewTopic(topic, PARTITIONS, 1, config=config or {})])[topic].result(10)
        except Exception as e:  # made by an answer that was lost
            return "already exists" in str(e)
        return True
    eventually(made, 60, f"topic {topic}")


def value_of(number):
    return b"%d " % number + b"x" * (number % 400)


class Load(threading.Thread):
    """Numbers to partitions, round robin, until told to stop; remembers what was acknowledged."""

    def __init__(self, address, topic="t", rate=10000, give_up_ms=120000, compression="lz4"):
        super().__init__(daemon=True)
        self.producer = Producer({"bootstrap.servers": address, "enable.idempotence": True, "linger.ms": 2,
                                  "delivery.timeout.ms": give_up_ms, "compression.type": compression,
                                  "retry.backoff.ms": 20, "topic.metadata.propagation.max.ms": 0, **QUIET})
        self.topic, self.pause_s = topic, 50 / rate
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
                self.producer.produce(self.topic, value_of(number),
                                      partition=number % PARTITIONS, on_delivery=self.delivered)
                number += 1
            except BufferError:
                self.producer.poll(0.05)
            self.producer.poll(0)
            if number % 50 == 0:
                time.sleep(self.pause_s)
        self.left = self.producer.flush(90)

    def stop(self):
        self.ended.set()
        self.join()
        equal(self.left, 0, "records neither delivered nor given up")

    def wait(self, more, timeout_s=60):
        """Until so many more records are acknowledged."""
        want = len(self.acked) + more
        eventually(lambda: len(self.acked) >= want, timeout_s, f"{more} more records acknowledged", 0.01)


class Reader(threading.Thread):
    """Reads along; what it was shown once must be there for ever (I: no phantoms)."""

    def __init__(self, address, topic="t"):
        super().__init__(daemon=True)
        self.consumer = Consumer({"bootstrap.servers": address, "group.id": "along", "enable.auto.commit": False,
                                  "auto.offset.reset": "earliest", "fetch.wait.max.ms": 20, "check.crcs": True, **QUIET})
        self.consumer.assign([TopicPartition(topic, p, OFFSET_BEGINNING) for p in range(PARTITIONS)])
        self.seen, self.errors, self.ended = {}, [], threading.Event()

    def run(self):
        while not self.ended.is_set():
            for message in self.consumer.consume(2000, timeout=0.1):
                if message.error():
                    self.errors.append(str(message.error()))
                    continue
                at, number = (message.partition(), message.offset()), int(message.value().split()[0])
                if self.seen.setdefault(at, number) != number:
                    self.errors.append(f"{at} was {self.seen[at]} and is {number}")
        self.consumer.close()

    def wait(self, more, timeout_s=30):
        """Until so many more records were shown to it."""
        wanted, end = len(self.seen) + more, time.monotonic() + timeout_s
        while len(self.seen) < wanted:
            check(time.monotonic() < end, f"a reader was shown {len(self.seen)} records, not {wanted}; {self.errors[-3:]}")
            check(not self.ended.is_set() and self.is_alive(), f"the reader has ended; {self.errors[-3:]}")
            time.sleep(0.01)

    def stop(self):
        self.ended.set()
        self.join()


def read_all(address, topic="t", timeout_s=60, starts=None):
    """{partition: [(offset, number)]} of the whole topic, checksums checked."""
    consumer = Consumer({"bootstrap.servers": address, "group.id": "audit", "enable.auto.commit": False,
                         "check.crcs": True, **QUIET})
    ends, seen = {}, {p: [] for p in range(PARTITIONS)}
    for p in range(PARTITIONS):
        ends[p] = consumer.get_watermark_offsets(TopicPartition(topic, p), timeout=20)[1]
    consumer.assign([TopicPartition(topic, p, (starts or {}).get(p, OFFSET_BEGINNING)) for p in range(PARTITIONS)])
    end = time.monotonic() + timeout_s
    at = {p: (starts or {}).get(p, 0) for p in ends}
    while any(at[p] < ends[p] for p in ends):
        check(time.monotonic() < end, f"the audit could not read to the end: at {at} of {ends}")
        for message in consumer.consume(5000, timeout=1):
            check(not message.error(), str(message.error()))
            seen[message.partition()].append((message.offset(), int(message.value().split()[0])))
            at[message.partition()] = message.offset() + 1
    consumer.close()
    return seen


def audit(address, load, reader=None, topic="t"):
    """Every acknowledged record is where it was said to be, once, in order; nothing that was shown is gone.
    Gives the number of records in the log."""
    return audit_records(read_all(address, topic), load, reader)


def told(load, number):
    """What a producer was told that failed with a record; None."""
    return next((text for n, text in load.failed if n == number), None)


def audit_records(seen, load, reader=None):
    where = {}
    for partition, records in seen.items():
        numbers = [number for _, number in records]
        back = [i for i in range(1, len(records)) if records[i][1] < records[i - 1][1]]
        check(not back, f"partition {partition}: out of order: " + "; ".join(
            f"{records[i]} after {records[i - 1]}, refused {told(load, records[i][1])} and {told(load, records[i - 1][1])}" for i in back[:5]))
        equal(len(numbers), len(set(numbers)), f"partition {partition}: distinct numbers")
        equal([offset for offset, _ in records], list(range(len(records))), f"partition {partition}: offsets")
        where.update({number: (partition, offset) for offset, number in records})
    lost = [n for n in list(load.acked) if n not in where]
    check(not lost, f"{len(lost)} acknowledged records are lost, first {lost[:5]}")
    moved = [n for n, at in list(load.acked.items()) if where[n] != at and at[1] >= 0]
    check(not moved, f"{len(moved)} records are not at the offset that was told: "
                     f"{[(n, load.acked[n], where[n]) for n in moved[:3]]}")
    if reader:
        equal(reader.errors, [], "errors of the reader")
        check(reader.seen, "the reader was shown nothing: it says nothing of what may be gone")
        phantoms = [at for at, number in list(reader.seen.items()) if where.get(number) != at]
        check(not phantoms, f"{len(phantoms)} records were shown to a reader and are gone: {phantoms[:3]}")
    return len(where)
