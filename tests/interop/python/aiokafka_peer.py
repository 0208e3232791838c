"""aiokafka behind the verbs of the matrix. usage: aiokafka_peer.py ADDRESS"""
import asyncio
import sys
import threading

import aiokafka
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import CommitFailedError, OffsetOutOfRangeError
from aiokafka.structs import OffsetAndMetadata

import verbs


def code_of(error):
    if isinstance(error, OffsetOutOfRangeError):
        return 1
    if isinstance(error, CommitFailedError):
        return 22
    code = getattr(error, "errno", None)
    return "unknown" if code == -1 else code


def checked(rows):
    """Raises for the first (name, code, text) that failed."""
    for row in rows:
        if row[1]:
            raise verbs.Failed(row[1], str(row[2]) if len(row) > 2 else "")


class Peer:
    def __init__(self, address):
        self.base = {"bootstrap_servers": address}
        self.producers, self.consumers, self.client = {}, {}, None

    async def hello(self):
        return {"client": "aiokafka " + aiokafka.__version__}

    # Producing

    async def produce(self, topic, partition, records, codec="none", acks="all", idempotent=False, name=None, size_max=1000000, patience_ms=30000):
        if any(r["k"] is None and r["v"] is None for r in records):
            raise verbs.Lacks("key and value cannot both be null")
        producer = self.producers.get(name)
        if producer is None:
            producer = AIOKafkaProducer(acks=acks if acks == "all" else int(acks), linger_ms=5, enable_idempotence=idempotent,
                                        compression_type=None if codec == "none" else codec, max_request_size=size_max + 200000,
                                        max_batch_size=65536, request_timeout_ms=patience_ms, **self.base)
            await producer.start()
            if name:
                self.producers[name] = producer
        try:
            sent = [await producer.send(topic, verbs.decoded(r["v"]), verbs.decoded(r["k"]), partition=partition, timestamp_ms=r.get("t"),
                                        headers=[(n, verbs.decoded(v)) for n, v in r.get("h", [])]) for r in records]
            for future in sent:
                await asyncio.wait_for(future, 40)
        finally:
            if not name:
                await producer.stop()

    async def close_producer(self, name):
        await self.producers.pop(name).stop()

    # Reading

    def _consumer(self, group, reset, **options):
        return AIOKafkaConsumer(group_id=group, auto_offset_reset=reset, enable_auto_commit=False, fetch_max_wait_ms=50,
                                max_partition_fetch_bytes=6000000, **self.base, **options)

    async def open(self, name, topic, partition, offset, reset="earliest"):
        consumer, at = self._consumer(None, reset), TopicPartition(topic, partition)
        self.consumers[name] = consumer
        await consumer.start()
        consumer.assign([at])
        if isinstance(offset, int):
            consumer.seek(at, offset)
        elif offset == "earliest":
            await consumer.seek_to_beginning(at)
        else:
            await consumer.seek_to_end(at)

    async def join(self, name, group, topics, instance=None, session_ms=6000, heartbeat_ms=250, reset="earliest"):
        options = {"group_instance_id": instance} if instance else {}
        consumer = self._consumer(group, reset, session_timeout_ms=session_ms, heartbeat_interval_ms=heartbeat_ms, **options)
        consumer.subscribe(topics)
        self.consumers[name] = consumer
        # start() waits until the group is complete, which may need the others to be polled
        consumer.starting = asyncio.ensure_future(consumer.start())
        await asyncio.sleep(0)

    async def poll(self, name, ms, max=100000):
        consumer = self.consumers[name]
        starting = getattr(consumer, "starting", None)
        if starting:
            await asyncio.wait([starting], timeout=ms / 1000.0)
            if not starting.done():
                return {"records": [], "assignment": []}
            starting.result()
        rows = await consumer.getmany(timeout_ms=ms, max_records=max)
        out = [verbs.record(m.partition, m.offset, m.key, m.value, m.headers, m.timestamp) for part in rows.values() for m in part]
        return {"records": out, "assignment": [[p.topic, p.partition] for p in consumer.assignment()]}

    async def commit(self, name):
        await self.consumers[name].commit()

    async def commit_offset(self, name, topic, partition, offset, metadata):
        await self.consumers[name].commit({TopicPartition(topic, partition): OffsetAndMetadata(offset, metadata)})

    async def committed(self, name, topic, partition):
        rows = await self.admin_call("list_consumer_group_offsets", self.consumers[name]._group_id)
        row = rows[TopicPartition(topic, partition)]
        return {"offset": row.offset, "metadata": row.metadata}

    async def leave(self, name, keep=False):
        await self.consumers.pop(name).stop()

    async def offset_of_time(self, topic, partition, time):
        consumer, at = self._consumer(None, "earliest"), TopicPartition(topic, partition)
        await consumer.start()
        try:
            row = (await consumer.offsets_for_times({at: time}))[at]
            return {"offset": row.offset if row else -1}
        finally:
            await consumer.stop()

    # Administration

    async def admin_call(self, method, *arguments):
        if not self.client:
            self.client = AIOKafkaAdminClient(**self.base)
            await self.client.start()
        return await getattr(self.client, method)(*arguments)

    async def create_topic(self, topic, partitions, configs):
        checked((await self.admin_call("create_topics", [NewTopic(topic, partitions, 1, topic_configs=configs)])).topic_errors)

    async def list_topics(self):
        return {"topics": sorted(await self.admin_call("list_topics"))}

    async def describe_topic(self, topic):
        return {"partitions": len((await self.admin_call("describe_topics", [topic]))[0]["partitions"])}

    async def describe_configs(self, topic):
        answers = await self.admin_call("describe_configs", [ConfigResource(ConfigResourceType.TOPIC, topic)])
        code, text, _, _, entries = answers[0].resources[0]
        checked([(topic, code, text)])
        return {"configs": {entry[0]: entry[1] for entry in entries}}

    async def alter_config(self, topic, config, value, keep):
        answers = await self.admin_call("alter_configs", [ConfigResource(ConfigResourceType.TOPIC, topic, configs=dict(keep, **{config: value}))])
        checked((row[3], row[0], row[1]) for answer in answers for row in answer.resources)

    async def create_partitions(self, topic, total):
        checked((await self.admin_call("create_partitions", {topic: NewPartitions(total)})).topic_errors)

    async def delete_records(self, topic, partition, before):
        await self.admin_call("delete_records", {TopicPartition(topic, partition): RecordsToDelete(before)})

    async def list_offsets(self, topic, partition, at):
        consumer, place = self._consumer(None, "earliest"), TopicPartition(topic, partition)
        await consumer.start()
        try:
            ask = {"earliest": consumer.beginning_offsets, "latest": consumer.end_offsets}[at]
            return {"offset": (await ask([place]))[place]}
        finally:
            await consumer.stop()

    async def list_groups(self):
        return {"groups": [row[0] for row in await self.admin_call("list_consumer_groups")]}

    async def describe_group(self, group):
        row = (await self.admin_call("describe_consumer_groups", [group]))[0].groups[0]
        return {"state": row[2], "members": len(row[5])}

    async def delete_group(self, group):
        raise verbs.Lacks("AIOKafkaAdminClient has no delete_consumer_groups")

    async def delete_topic(self, topic):
        checked((await self.admin_call("delete_topics", [topic])).topic_error_codes)


class Loop:
    """One event loop; between requests it turns only while a request is under way, so it runs in a thread of its own."""

    def __init__(self, address):
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        self._peer = Peer(address)

    def __getattr__(self, op):
        method = getattr(self._peer, op, None)
        return method and (lambda **arguments: asyncio.run_coroutine_threadsafe(method(**arguments), self._loop).result())


if __name__ == "__main__":
    verbs.serve(Loop(sys.argv[1]), code_of)
