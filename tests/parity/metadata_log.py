"""The records of a server's metadata log, read from its segments."""
import glob
import os
import struct

import wire

NO_OP, HEADER = 20, 61
# Who registered and when is each server's own.
OWN = {"RegisterBrokerRecord", "BrokerRegistrationChangeRecord", "RegisterControllerRecord"}


def varint(reader):
    value = reader.uvarint()
    return (value >> 1) ^ -(value & 1)


def values(path):
    """The value of each record of the segment; control batches left out."""
    with open(path, "rb") as f:
        data = f.read()
    at = 0
    while at + HEADER <= len(data):
        length = struct.unpack_from(">i", data, at + 8)[0]
        attributes, count = struct.unpack_from(">h", data, at + 21)[0], struct.unpack_from(">i", data, at + 57)[0]
        reader = wire.Reader(data[at + HEADER:at + 12 + length])
        at += 12 + length
        if length <= 0:
            return
        for _ in range(0 if attributes & 0x20 else count):
            varint(reader)   # length
            reader.take(1)   # attributes
            varint(reader), varint(reader)   # deltas of time and offset
            reader.take(max(0, varint(reader)))
            yield reader.take(max(0, varint(reader)))
            for _ in range(varint(reader)):
                reader.take(varint(reader))
                reader.take(max(0, varint(reader)))


def records(codec, log_dir):
    """[{"type", "version", fields...}] since the first topic."""
    by_key = {m.key: m for m in codec.by_name.values() if m.kind == "metadata"}
    out = []
    for path in sorted(glob.glob(os.path.join(log_dir, "__cluster_metadata-0", "*.log"))):
        for value in values(path):
            reader = wire.Reader(value)
            frame, key, version = reader.uvarint(), reader.uvarint(), reader.uvarint()
            message = by_key[key]
            assert frame == 1, f"frame version {frame}"
            if key != NO_OP and message.name not in OWN and (out or message.name == "TopicRecord"):
                out.append({"type": message.name, "version": version, **codec.decode(message, version, value[reader.at:])})
    return out
