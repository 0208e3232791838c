"""Requests that the scenarios send themselves, so that they do not depend on what a client offers."""
import struct
import time

import broker

CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]


def string(text):
    data = text.encode()
    return struct.pack(">h", len(data)) + data


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, form):
        values = struct.unpack_from(">" + form, self.data, self.at)
        self.at += struct.calcsize(">" + form)
        return values[0] if len(values) == 1 else values

    def string(self):
        size = self.take("h")
        return None if size < 0 else self.bytes_of(size).decode()

    def bytes(self):
        size = self.take("i")
        return None if size < 0 else self.bytes_of(size)

    def bytes_of(self, size):
        self.at += size
        return self.data[self.at - size:self.at]


def create_topic(address, topic, partitions=1, configs=None):
    """CreateTopics v2; returns when the partitions have a leader."""
    configs = configs or {}
    body = struct.pack(">i", 1) + string(topic) + struct.pack(">ihii", partitions, 1, 0, len(configs))
    body += b"".join(string(k) + string(v) for k, v in configs.items()) + struct.pack(">ib", 30000, 0)
    answer = Reader(broker.request(address, 19, 2, body, timeout_s=40))
    answer.take("ii")
    answer.string()
    code = answer.take("h")
    assert code == 0, f"CreateTopics: {code}"
    end = time.monotonic() + 20
    while not led(address, topic, partitions):
        assert time.monotonic() < end, f"{topic} has no leaders"
        time.sleep(0.02)


def led(address, topic, partitions):
    """Whether all partitions have a leader (Metadata v1)."""
    answer = Reader(broker.request(address, 3, 1, struct.pack(">i", 1) + string(topic)))
    for _ in range(answer.take("i")):
        answer.take("i"), answer.string(), answer.take("i"), answer.string()
    answer.take("ii")
    if answer.take("h") != 0:
        return False
    answer.string(), answer.take("b")
    good = 0
    for _ in range(answer.take("i")):
        code, _, leader = answer.take("hii")
        for _ in range(2):
            for _ in range(answer.take("i")):
                answer.take("i")
        good += code == 0 and leader >= 0
    return good == partitions


class Batch:
    def __init__(self, attributes, times, producer_id, producer_epoch, sequence, base_offset, last_offset, count):
        self.attributes, self.codec, self.log_append_time = attributes, CODECS[attributes & 7], bool(attributes & 8)
        self.base_timestamp, self.max_timestamp = times
        self.producer_id, self.producer_epoch, self.sequence = producer_id, producer_epoch, sequence
        self.base_offset, self.last_offset, self.count = base_offset, last_offset, count


def batches(address, topic, partition=0):
    """The headers of the batches a partition holds, by Fetch v4 from its start."""
    out, offset = [], 0
    while True:
        body = struct.pack(">iiiibi", -1, 0, 1, 10_000_000, 0, 1) + string(topic)
        body += struct.pack(">iiqi", 1, partition, offset, 10_000_000)
        answer = Reader(broker.request(address, 1, 4, body, timeout_s=20))
        answer.take("ii")
        answer.string()
        answer.take("i")
        _, code, _, _ = answer.take("ihqq")
        assert code == 0, f"Fetch: {code}"
        for _ in range(max(0, answer.take("i"))):
            answer.take("qq")
        data, before = answer.bytes() or b"", len(out)
        while len(data) >= 61:
            base, size = struct.unpack_from(">qi", data)
            if len(data) < 12 + size:
                break
            attributes, last, first_ms, max_ms, pid, epoch, sequence, count = struct.unpack_from(">hiqqqhii", data, 21)
            out.append(Batch(attributes, (first_ms, max_ms), pid, epoch, sequence, base, base + last, count))
            offset = base + last + 1
            data = data[12 + size:]
        if len(out) == before:
            return out


def list_offset(address, topic, time, isolation=0):
    """(error, timestamp, offset, leader epoch) of partition 0 by ListOffsets v7: a time, -1 the next offset, -2 the first one, -3 of the largest time."""
    body = struct.pack(">ib", -1, isolation) + b"\2" + bytes([len(topic) + 1]) + topic.encode()
    body += b"\2" + struct.pack(">iiq", 0, -1, time) + b"\0\0\0"
    # Header version 2: an empty list of tagged fields after the client's name; in the answer after its number.
    answer = broker.request(address, 2, 7, b"\0" + body)
    return struct.unpack_from(">hqqi", answer, len(answer) - 25)


def delete_records(address, topic, partition, before):
    body = struct.pack(">i", 1) + string(topic) + struct.pack(">iiqi", 1, partition, before, 20000)
    answer = Reader(broker.request(address, 21, 0, body, timeout_s=30))
    answer.take("ii")
    answer.string()
    answer.take("i")
    _, low, code = answer.take("iqh")
    assert code == 0, f"DeleteRecords: {code}"
    return low


def describe_group(address, group):
    """(state, [member id]) by DescribeGroups v0."""
    answer = Reader(broker.request(address, 15, 0, struct.pack(">i", 1) + string(group)))
    answer.take("ih")
    answer.string()
    state = answer.string()
    answer.string(), answer.string()
    members = []
    for _ in range(answer.take("i")):
        members.append(answer.string())
        answer.string(), answer.string()
        answer.bytes(), answer.bytes()
    return state, members


def throw_out(address, group, member):
    """LeaveGroup v0 in the member's name."""
    code = struct.unpack(">h", broker.request(address, 13, 0, string(group) + string(member)))[0]
    assert code == 0, f"LeaveGroup: {code}"
