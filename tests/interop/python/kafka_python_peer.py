"""kafka-python behind the verbs of the matrix. usage: kafka_python_peer.py ADDRESS"""
import collections
import concurrent.futures
import queue
import sys
import threading
import time

import kafka
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, NewPartitions
from kafka.errors import NoOffsetForPartitionError, OffsetOutOfRangeError
from kafka.structs import OffsetAndMetadata

import verbs


def code_of(error):
    if isinstance(error, (OffsetOutOfRangeError, NoOffsetForPartitionError)):
        return 1
    cause = error.args[0] if error.args and isinstance(error.args[0], BaseException) else error
    return getattr(cause, "errno", None)


class Member:
    """A consumer in a thread of its own: one whose poll ends while it joins may never join, so each poll there is long."""

    def __init__(self, consumer):
        self.consumer, self.rows, self.held, self.error = consumer, collections.deque(), {}, None
        self.assignment, self.asked, self.closing = [], queue.Queue(), False
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        while not self.closing:
            try:
                while not self.asked.empty():
                    self.asked.get()()
                for rows in self.consumer.poll(100 if self.assignment else 1500, max_records=500).values():
                    self.rows.extend(rows)
                self.assignment = [[p.topic, p.partition] for p in self.consumer.assignment()]
            except Exception as e:
                self.error = e
                time.sleep(0.05)

    def do(self, function):
        """function() in the thread; its answer or its exception."""
        done = concurrent.futures.Future()

        def run():
            try:
                done.set_result(function())
            except Exception as e:
                done.set_exception(e)
        self.asked.put(run)
        return done.result(30)

    def poll(self, ms, most):
        end, out = time.time() + ms / 1000.0, []
        while not self.rows and not self.error and time.time() < end:
            time.sleep(0.005)
        if self.error:
            error, self.error = self.error, None
            raise error
        while self.rows and len(out) < most:
            m = self.rows.popleft()
            self.held[TopicPartition(m.topic, m.partition)] = OffsetAndMetadata(m.offset + 1, "", -1)
            out.append(verbs.record(m.partition, m.offset, m.key, m.value, m.headers, m.timestamp))
        return {"records": out, "assignment": self.assignment}

    def close(self):
        self.closing = True
        self.thread.join()
        self.consumer.close(autocommit=False)


class Peer:
    def __init__(self, address):
        self.base = {"bootstrap_servers": address, "reconnect_backoff_max_ms": 200}
        self.producers, self.members, self.client = {}, {}, None

    def hello(self):
        return {"client": "kafka-python " + kafka.__version__}

    # Producing

    def produce(self, topic, partition, records, codec="none", acks="all", idempotent=False, name=None, size_max=1000000, patience_ms=30000):
        for r in records:
            if any(value is None for _, value in r.get("h", [])):
                raise verbs.Lacks("a header's value cannot be null")
            if r["k"] is None and r["v"] is None:
                raise verbs.Lacks("key and value cannot both be null")
        producer = self.producers.get(name)
        if producer is None:
            producer = KafkaProducer(acks=acks if acks == "all" else int(acks), linger_ms=5, enable_idempotence=idempotent,
                                     compression_type=None if codec == "none" else codec, max_request_size=size_max + 200000,
                                     allow_auto_create_topics=True, max_block_ms=patience_ms, **self.base)
            if name:
                self.producers[name] = producer
        try:
            sent = [producer.send(topic, verbs.decoded(r["v"]), verbs.decoded(r["k"]), partition=partition, timestamp_ms=r.get("t"),
                                  headers=[(n, verbs.decoded(v)) for n, v in r.get("h", [])]) for r in records]
            producer.flush(40)
            for future in sent:
                future.get(1)
        except kafka.errors.KafkaTimeoutError as e:
            if "etadata" in str(e):   # it asks again until then
                raise verbs.Failed(3, str(e))
            raise
        finally:
            if not name:
                producer.close(5)

    def close_producer(self, name):
        self.producers.pop(name).close(5)

    # Reading

    def _consumer(self, group, reset, **options):
        return KafkaConsumer(group_id=group, auto_offset_reset=reset, enable_auto_commit=False, fetch_max_wait_ms=50,
                             max_partition_fetch_bytes=6000000, **self.base, **options)

    def open(self, name, topic, partition, offset, reset="earliest"):
        consumer, at = self._consumer(None, reset), TopicPartition(topic, partition)
        consumer.assign([at])
        if isinstance(offset, int):
            consumer.seek(at, offset)
        elif offset == "earliest":
            consumer.seek_to_beginning(at)
        else:
            consumer.seek_to_end(at)
        self.members[name] = Member(consumer)

    def join(self, name, group, topics, instance=None, session_ms=6000, heartbeat_ms=250, reset="earliest"):
        options = {"group_instance_id": instance} if instance else {}
        consumer = self._consumer(group, reset, session_timeout_ms=session_ms, heartbeat_interval_ms=heartbeat_ms, **options)
        consumer.subscribe(topics)
        self.members[name] = Member(consumer)

    def poll(self, name, ms, max=100000):
        return self.members[name].poll(ms, max)

    def commit(self, name):
        member = self.members[name]
        member.do(lambda: member.consumer.commit(dict(member.held)))

    def commit_offset(self, name, topic, partition, offset, metadata):
        member = self.members[name]
        member.do(lambda: member.consumer.commit({TopicPartition(topic, partition): OffsetAndMetadata(offset, metadata, -1)}))

    def committed(self, name, topic, partition):
        member = self.members[name]
        row = member.do(lambda: member.consumer.committed(TopicPartition(topic, partition), metadata=True))
        return {"offset": row.offset, "metadata": row.metadata}

    def leave(self, name, keep=False):
        self.members.pop(name).close()

    def offset_of_time(self, topic, partition, time):
        consumer = self._consumer(None, "earliest")
        try:
            at = TopicPartition(topic, partition)
            row = consumer.offsets_for_times({at: time})[at]
            return {"offset": row.offset if row else -1}
        finally:
            consumer.close()

    # Administration

    @property
    def admin(self):
        self.client = self.client or KafkaAdminClient(**self.base)
        return self.client

    def create_topic(self, topic, partitions, configs):
        self.admin.create_topics({topic: {"num_partitions": partitions, "replication_factor": 1, "configs": configs}})

    def list_topics(self):
        return {"topics": sorted(self.admin.list_topics())}

    def describe_topic(self, topic):
        return {"partitions": len(self.admin.describe_topics([topic])[0]["partitions"])}

    def describe_configs(self, topic):
        rows = self.admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)], config_filter="all")
        return {"configs": {name: row["value"] for name, row in rows["topic"][topic].items()}}

    def alter_config(self, topic, config, value, keep):
        self.admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, configs={config: value})])

    def create_partitions(self, topic, total):
        self.admin.create_partitions({topic: NewPartitions(total)})

    def delete_records(self, topic, partition, before):
        self.admin.delete_records({TopicPartition(topic, partition): before})

    def list_offsets(self, topic, partition, at):
        at, place = {"earliest": -2, "latest": -1}[at], TopicPartition(topic, partition)
        return {"offset": self.admin.list_partition_offsets({place: at})[place].offset}

    def list_groups(self):
        return {"groups": [g["group_id"] for g in self.admin.list_groups()]}

    def describe_group(self, group):
        row = self.admin.describe_groups([group])[group]
        return {"state": row["group_state"], "members": len(row["members"])}

    def delete_group(self, group):
        answer = self.admin.delete_groups([group])
        if answer.get(group) not in (None, "OK"):
            raise verbs.Failed({"NonEmptyGroupError": 68, "GroupIdNotFoundError": 69}.get(answer[group]), str(answer))

    def delete_topic(self, topic):
        self.admin.delete_topics([topic])


if __name__ == "__main__":
    verbs.serve(Peer(sys.argv[1]), code_of)
