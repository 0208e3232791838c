"""kafka-python: a file through partition 0. usage: kafka_python.py HOST:PORT produce TOPIC | consume TOPIC COUNT"""
import sys

from kafka import KafkaConsumer, KafkaProducer, TopicPartition


def produce(address, topic):
    producer = KafkaProducer(bootstrap_servers=address, acks="all", linger_ms=20, batch_size=500_000)
    failed = []
    for line in sys.stdin.buffer:
        producer.send(topic, value=line[:-1], partition=0).add_errback(failed.append)
    producer.flush(120)
    producer.close()
    if failed:
        sys.exit(f"{len(failed)} not delivered, the first: {failed[0]!r}")


def consume(address, topic, count):
    consumer = KafkaConsumer(bootstrap_servers=address, max_partition_fetch_bytes=8 << 20, enable_auto_commit=False)
    partition = TopicPartition(topic, 0)
    consumer.assign([partition])
    consumer.seek_to_beginning(partition)
    left = int(count)
    while left > 0:
        for records in consumer.poll(timeout_ms=5000, max_records=min(left, 10000)).values():
            left -= len(records)
            sys.stdout.buffer.write(b"".join(r.value + b"\n" for r in records))
    consumer.close()


if __name__ == "__main__":
    {"produce": produce, "consume": consume}[sys.argv[2]](sys.argv[1], *sys.argv[3:])
