"""A partition's files as data: what an append left on disk, byte for byte.

A batch is its header's fields and its payload (`unpack`: unpacked, where both servers compressed it anew: then its
length and checksum are the library's, and only that the checksum is right is kept). The broker's clock in a batch of
LogAppendTime is masked, with the checksum over it. Long bytes are kept as their hash.
"""
import glob
import hashlib
import os
import struct

import codecs_of_batches as codecs
import making

KEPT_MAX = 400
HEADER = struct.Struct(">qiibIhiqqqhii")
FIELDS = ("baseOffset", "length", "leaderEpoch", "magic", "crc", "attributes", "lastOffsetDelta", "baseTimestamp", "maxTimestamp",
          "producerId", "producerEpoch", "baseSequence", "count")


def kept(data):
    return data.hex() if len(data) <= KEPT_MAX else f"{len(data)} bytes, sha256 {hashlib.sha256(data).hexdigest()}"


def batch(data, unpack):
    out = dict(zip(FIELDS, HEADER.unpack_from(data)))
    payload, codec = data[HEADER.size:], out["attributes"] & 7
    if unpack and codec:
        payload = codecs.UNPACK[codec](payload)
    if unpack and codec or out["attributes"] & 8:
        out["crc"] = "right" if out["crc"] == making.crc32c(data[21:]) else "wrong"
    if unpack and codec:
        out["length"] = "<length>"
    if out["attributes"] & 8:
        out["maxTimestamp"] = "<now>" if out["maxTimestamp"] > 1 << 40 else out["maxTimestamp"]
    return {**out, "payload": kept(payload)}


def batches(data, unpack):
    out, at = [], 0
    while at + HEADER.size <= len(data):
        size = 12 + struct.unpack_from(">i", data, at + 8)[0]
        if size < HEADER.size or at + size > len(data):
            break
        out.append(batch(data[at:at + size], unpack))
        at += size
    return out + ([kept(data[at:])] if any(data[at:]) else [])   # zeros: Kafka's preallocated room


def entries(data, size, times):
    """Of an index: those in use; the file of an active segment is longer in Kafka. times: the clock's are masked."""
    used = (len(data.rstrip(b"\0")) + size - 1) // size * size
    out = [data[at:at + size] for at in range(0, used, size)]
    if times:
        return ["<now>+" + e[8:].hex() if struct.unpack(">q", e[:8])[0] > 1 << 40 else e.hex() for e in out]
    return [e.hex() for e in out]


def files(log_dir, topic, partition, unpack=False):
    directory, out = os.path.join(log_dir, f"{topic}-{partition}"), {}
    for path in sorted(glob.glob(os.path.join(directory, "0*"))):
        with open(path, "rb") as f:
            data = f.read()
        name, kind = os.path.split(path)[1], path.rsplit(".", 1)[1]
        if kind == "log":
            out[name] = batches(data, unpack)
        elif kind == "index":
            out[name] = entries(data, 8, False)
        elif kind == "timeindex":
            out[name] = entries(data, 12, True)
        elif kind == "snapshot":
            out[name] = kept(data)
    for active in sorted(n for n in out if n.endswith(".log"))[-1:]:
        for kind in ("index", "timeindex"):   # those of the segment that is written to are in memory, or in longer files
            out.pop(active.replace("log", kind), None)
    return out
