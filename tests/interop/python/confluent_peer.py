"""confluent-kafka, 1.6 to the newest, behind the verbs of the matrix. usage: confluent_peer.py ADDRESS"""
import json
import sys
import time

import confluent_kafka
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, NewPartitions, NewTopic

import verbs
from verbs import Failed, Lacks

# What it tells and gets over by itself.
PASSING = (KafkaError._PARTITION_EOF, KafkaError._ALL_BROKERS_DOWN, KafkaError._TRANSPORT, 14)   # COORDINATOR_LOAD_IN_PROGRESS
LIBRARY = confluent_kafka.libversion()[1]
LOCAL = {KafkaError._UNKNOWN_TOPIC: 3, KafkaError._UNKNOWN_PARTITION: 3, -140: 1}


def code_of(error):
    error = error.args[0] if isinstance(error, KafkaException) else error
    if not isinstance(error, KafkaError):
        return None
    return LOCAL.get(error.code(), error.code())


def wait(futures):
    for future in futures.values():
        return future.result(30)


class Peer:
    def __init__(self, address):
        self.base = {"bootstrap.servers": address, "log_level": 3, "reconnect.backoff.max.ms": 100}
        self.producers, self.consumers, self.held = {}, {}, {}
        self.client = None

    def hello(self):
        version = confluent_kafka.version()
        return {"client": "confluent-kafka " + (version if isinstance(version, str) else version[0]), "library": "librdkafka " + confluent_kafka.libversion()[0]}

    # Producing

    def produce(self, topic, partition, records, codec="none", acks="all", idempotent=False, name=None, size_max=1000000, patience_ms=30000):
        producer = self.producers.get(name)
        if producer is None:
            config = dict(self.base, **{"message.max.bytes": size_max + 200000, "linger.ms": 5, "compression.codec": codec,
                                        "request.required.acks": {"all": -1}.get(acks, acks), "message.send.max.retries": 20, "topic.metadata.propagation.max.ms": patience_ms})
            if idempotent:
                config["enable.idempotence"] = True
            producer = Producer(config)
            if name:
                self.producers[name] = producer
        failed = []
        for r in records:
            options = {}
            if r.get("h"):
                options["headers"] = [(n, verbs.decoded(v)) for n, v in r["h"]]
            if "t" in r:
                options["timestamp"] = r["t"]
            producer.produce(topic, verbs.decoded(r["v"]), verbs.decoded(r["k"]), partition,
                             on_delivery=lambda e, m: failed.append(e) if e else None, **options)
        if producer.flush(50):
            raise Failed(None, "records are left in the queue")
        if failed:
            raise KafkaException(failed[0])

    def close_producer(self, name):
        self.producers.pop(name).flush(10)

    # Reading

    def _consumer(self, group, reset, **options):
        flat = {"group.id": group, "auto.offset.reset": {"none": "error"}.get(reset, reset), "enable.auto.commit": False,
                "fetch.wait.max.ms": 50, "fetch.message.max.bytes": 6000000, "enable.partition.eof": False}
        flat.update(options)
        return Consumer(dict(self.base, **flat))

    def open(self, name, topic, partition, offset, reset="earliest"):
        consumer = self._consumer("alone", reset)
        offset = {"earliest": confluent_kafka.OFFSET_BEGINNING, "latest": confluent_kafka.OFFSET_END}.get(offset, offset)
        consumer.assign([TopicPartition(topic, partition, offset)])
        self.consumers[name] = consumer

    def join(self, name, group, topics, instance=None, session_ms=6000, heartbeat_ms=250, reset="earliest"):
        options = {"session.timeout.ms": session_ms, "heartbeat.interval.ms": heartbeat_ms}
        if instance:
            options["group.instance.id"] = instance
        self.consumers[name] = self._consumer(group, reset, **options)
        self.consumers[name].subscribe(topics)

    def poll(self, name, ms, max=100000):
        consumer, out, end = self.consumers[name], [], time.time() + ms / 1000.0
        while len(out) < max:
            m = consumer.poll(0.01 if out else 0.02)
            if m is None:
                if out or time.time() > end:
                    break
                continue
            if m.error():
                if m.error().code() in PASSING:
                    continue
                if m.error().code() == KafkaError._UNSUPPORTED_FEATURE and LIBRARY < 0x01080000:
                    raise Lacks("asks ListOffsets version 0")
                raise KafkaException(m.error())
            out.append(verbs.record(m.partition(), m.offset(), m.key(), m.value(), m.headers(), m.timestamp()[1]))
            self.held.setdefault(name, {})[(m.topic(), m.partition())] = m.offset() + 1
        return {"records": out, "assignment": [[p.topic, p.partition] for p in consumer.assignment()]}

    def commit(self, name):
        self._committed(self.consumers[name], [TopicPartition(t, p, o) for (t, p), o in self.held[name].items()])

    def _committed(self, consumer, offsets):
        for row in consumer.commit(offsets=offsets, asynchronous=False):
            if row.error:
                raise KafkaException(row.error)

    def commit_offset(self, name, topic, partition, offset, metadata):
        try:
            row = TopicPartition(topic, partition, offset, metadata)
        except TypeError:
            raise Lacks("no metadata in TopicPartition")
        self._committed(self.consumers[name], [row])

    def committed(self, name, topic, partition):
        row = self.consumers[name].committed([TopicPartition(topic, partition)], 20)[0]
        if not hasattr(row, "metadata"):
            raise Lacks("no metadata in TopicPartition")
        return {"offset": row.offset, "metadata": row.metadata}

    def leave(self, name, keep=False):
        self.held.pop(name, None)
        self.consumers.pop(name).close()

    @staticmethod
    def _needs_list_offsets():
        if LIBRARY < 0x01080000:
            raise Lacks("asks ListOffsets version 0")

    def statistics(self, topic, low, seconds=10):
        """What the library's statistics say of partition 0, once its low offset is so."""
        seen = {}

        def hear(text):
            part = json.loads(text)["topics"].get(topic, {}).get("partitions", {}).get("0", {})
            seen.update({k: part[k] for k in ("lo_offset", "hi_offset", "ls_offset") if k in part})
        consumer = self._consumer("alone", "earliest", **{"statistics.interval.ms": 100, "stats_cb": hear})
        consumer.assign([TopicPartition(topic, 0, confluent_kafka.OFFSET_BEGINNING)])
        end = time.time() + seconds
        while seen.get("lo_offset") != low and time.time() < end:
            consumer.poll(0.1)
        consumer.close()
        return seen

    def offset_of_time(self, topic, partition, time):
        self._needs_list_offsets()
        consumer = self._consumer("alone", "earliest")
        try:
            return {"offset": consumer.offsets_for_times([TopicPartition(topic, partition, time)], 20)[0].offset}
        finally:
            consumer.close()

    # Administration

    @property
    def admin(self):
        self.client = self.client or AdminClient(self.base)
        return self.client

    def _has(self, name):
        if not hasattr(self.admin, name):
            raise Lacks("no AdminClient." + name)
        return getattr(self.admin, name)

    def create_topic(self, topic, partitions, configs):
        wait(self.admin.create_topics([NewTopic(topic, partitions, 1, config=configs)]))

    def list_topics(self):
        return {"topics": sorted(self.admin.list_topics(timeout=20).topics)}

    def describe_topic(self, topic):
        return {"partitions": len(self.admin.list_topics(topic=topic, timeout=20).topics[topic].partitions)}

    def describe_configs(self, topic):
        rows = wait(self.admin.describe_configs([ConfigResource(ConfigResource.Type.TOPIC, topic)]))
        return {"configs": {name: row.value for name, row in rows.items()}}

    def alter_config(self, topic, config, value, keep):
        if not hasattr(self.admin, "incremental_alter_configs"):
            wait(self.admin.alter_configs([ConfigResource(ConfigResource.Type.TOPIC, topic, set_config=dict(keep, **{config: value}))]))
            return
        from confluent_kafka.admin import AlterConfigOpType, ConfigEntry
        entry = ConfigEntry(config, value, incremental_operation=AlterConfigOpType.SET)
        wait(self.admin.incremental_alter_configs([ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=[entry])]))

    def create_partitions(self, topic, total):
        wait(self.admin.create_partitions([NewPartitions(topic, total)]))

    def delete_records(self, topic, partition, before):
        wait(self._has("delete_records")([TopicPartition(topic, partition, before)]))

    def list_offsets(self, topic, partition, at):
        if hasattr(self.admin, "list_offsets"):
            from confluent_kafka.admin import OffsetSpec
            spec = {"earliest": OffsetSpec.earliest, "latest": OffsetSpec.latest}[at]()
            return {"offset": wait(self.admin.list_offsets({TopicPartition(topic, partition): spec})).offset}
        self._needs_list_offsets()
        consumer = self._consumer("alone", "earliest")
        try:
            low, high = consumer.get_watermark_offsets(TopicPartition(topic, partition), 20)
        finally:
            consumer.close()
        return {"offset": {"earliest": low, "latest": high}[at]}

    def list_groups(self):
        if hasattr(self.admin, "list_consumer_groups"):
            return {"groups": [g.group_id for g in self.admin.list_consumer_groups().result(20).valid]}
        return {"groups": [g.id for g in self._has("list_groups")(timeout=20)]}

    def describe_group(self, group):
        if hasattr(self.admin, "describe_consumer_groups"):
            row = wait(self.admin.describe_consumer_groups([group]))
            return {"state": row.state.name, "members": len(row.members)}
        row = self._has("list_groups")(group=group, timeout=20)[0]
        return {"state": row.state, "members": len(row.members)}

    def delete_group(self, group):
        wait(self._has("delete_consumer_groups")([group]))

    def delete_topic(self, topic):
        wait(self.admin.delete_topics([topic]))


if __name__ == "__main__":
    verbs.serve(Peer(sys.argv[1]), code_of)
