"""Cases of record batches: what each kind is answered, and the bytes it leaves in the partition's files."""
import struct

import codecs_of_batches as codecs
from codecs_of_batches import GZIP, LZ4, NONE, SNAPPY, XERIAL, ZSTD
from making import Maker, crc32c, record, step, varint
from making_data import create, leader

FILES = {}
LOG_APPEND, TRANSACTIONAL, CONTROL, DELETE_HORIZON = 0x08, 0x10, 0x20, 0x40
MIN64, MAX64, MAX32 = -(1 << 63), (1 << 63) - 1, (1 << 31) - 1


def file(function):
    FILES[function.__name__] = function
    return function


# ---- making batches ----

def pairs(n, step_ms=0, key=b"k%d", value=b"v%d"):
    return b"".join(record(i, key % i if b"%" in key else key, value % i if b"%" in value else value, i * step_ms) for i in range(n))


def held(payload, n=1, *, attributes=0, last_delta=None, count=None, time_ms=1000, max_ms=None, pid=-1, epoch=-1, sequence=-1, base_offset=0,
         leader_epoch=-1, magic=2, crc=None, length=None, pack=True):
    """A batch around a payload, which is compressed as the attributes say unless pack is False."""
    if pack and attributes & 7 in codecs.PACK:
        payload = codecs.PACK[attributes & 7](payload)
    tail = struct.pack(">hiqqqhii", attributes, n - 1 if last_delta is None else last_delta, time_ms, time_ms if max_ms is None else max_ms, pid, epoch,
                       sequence, n if count is None else count) + payload
    crc = crc32c(tail) if crc is None else crc
    return (struct.pack(">qiibI", base_offset, 9 + len(tail) if length is None else length, leader_epoch, magic, crc) + tail).hex()


def raw_record(body, length=None):
    return varint(len(body) if length is None else length) + body


def body(attributes=0, time=0, offset=0, key=b"k", value=b"v", headers=b"\0", key_len=None, value_len=None):
    def sized(data, size):
        return varint((-1 if data is None else len(data)) if size is None else size) + (data or b"")
    return bytes([attributes]) + varint(time) + varint(offset) + sized(key, key_len) + sized(value, value_len) + headers


def old_message(magic, key=b"k", value=b"v", attributes=0, offset=0, time_ms=1000):
    """A message of format 0 or 1 in its message set."""
    import zlib
    part = struct.pack(">bb", magic, attributes) + (struct.pack(">q", time_ms) if magic else b"")
    for one in (key, value):
        part += struct.pack(">i", -1) if one is None else struct.pack(">i", len(one)) + one
    part = struct.pack(">I", zlib.crc32(part)) + part
    return struct.pack(">qi", offset, len(part)) + part


def put(topic, *batches, v=9, acks=-1):
    where = {"name": topic} if v < 13 else {"topicId": "$id:" + topic}
    return [step("Produce", v, {"acks": acks, "timeoutMs": 5000, "topicData": [{**where, "partitionData": [{"index": 0, "records": b}]}]}) for b in batches]


def disk(topic, unpack=False):
    return {"disk": topic, "partition": 0, **({"unpack": True} if unpack else {})}


def kept(m, label, *batches, configs=(), v=9, unpack=False):
    """A topic of its own gets the batches; then its files are looked at."""
    m.case(label, create("b%", partitions=1, configs=configs, v=7 if v == 13 else 4), *leader("b%"), *put("b%", *batches, v=v), disk("b%", unpack))


# ---- the kinds ----

def headers_of(*items):
    return varint(len(items)) + b"".join((varint(len(k)) + k if k is not None else varint(-1)) + (varint(-1) if v is None else varint(len(v)) + v)
                                         for k, v in items)


def plain_kinds():
    """{label: batch} of batches that are not compressed."""
    two, three = pairs(2), pairs(3)
    out = {
        "one record": held(pairs(1)), "three records": held(three, 3), "times that grow": held(pairs(3, 5), 3, max_ms=1010),
        "times that fall": held(pairs(3, -5), 3), "largest time in the middle": held(b"".join(record(i, b"k", b"v", d) for i, d in enumerate((0, 50, 20))), 3),
        "no key": held(pairs(1, key=b"", value=b"v")), "null key": held(record(0, None, b"v")), "null value": held(record(0, b"k", None)),
        "null key and value": held(record(0, None, None)), "empty value": held(record(0, b"k", b"")), "a large value": held(record(0, b"k", b"x" * 5000)),
        "headers": held(record(0, b"k", b"v", 0, [(b"h", b"1"), (b"h", b"2"), (b"", b""), (b"n", None)])),
        "many headers": held(record(0, b"k", b"v", 0, [(b"h%d" % i, b"v") for i in range(100)])),
        "a header key that is not text": held(record(0, b"k", b"v", 0, [(b"\xff\xfe", b"v")])),
        "log append time": held(pairs(1), attributes=LOG_APPEND), "control": held(pairs(1), attributes=CONTROL),
        "control of a producer": held(pairs(1), attributes=CONTROL, pid=1, epoch=0, sequence=0),
        "control and transactional": held(record(0, bytes(4), bytes(6)), attributes=CONTROL | TRANSACTIONAL, pid=1, epoch=0),
        "transactional": held(pairs(1), attributes=TRANSACTIONAL, pid=1, epoch=0, sequence=0), "transactional of nobody": held(pairs(1), attributes=TRANSACTIONAL),
        "a delete horizon": held(pairs(1), attributes=DELETE_HORIZON), "a producer": held(two, 2, pid=5, epoch=0, sequence=0),
        "a producer at 7": held(two, 2, pid=5, epoch=3, sequence=7), "a producer without sequence": held(two, 2, pid=5, epoch=0, sequence=-1),
        "a producer with sequence -2": held(two, 2, pid=5, epoch=0, sequence=-2), "a producer without epoch": held(two, 2, pid=5, epoch=-1, sequence=0),
        "producer -2": held(two, 2, pid=-2, epoch=0, sequence=0), "the largest producer": held(two, 2, pid=MAX64, epoch=32767, sequence=0),
        "sequences that wrap": held(two, 2, pid=6, epoch=0, sequence=MAX32), "an epoch of no producer": held(two, 2, epoch=4, sequence=3),
        "base offset 7": held(pairs(1), base_offset=7), "base offset -1": held(pairs(1), base_offset=-1), "leader epoch 9": held(pairs(1), leader_epoch=9),
        "crc of zero": held(pairs(1), crc=0), "crc wrong by a bit": held(pairs(1), crc=1), "magic -1": held(pairs(1), magic=-1), "magic 3": held(pairs(1), magic=3),
        "magic 127": held(pairs(1), magic=127), "magic 0 of this form": held(pairs(1), magic=0), "magic 1 of this form": held(pairs(1), magic=1),
        "count below": held(three, 3, count=2), "count above": held(two, 2, count=3), "count 0": held(two, 2, count=0), "count -1": held(two, 2, count=-1),
        "count max": held(two, 2, count=MAX32), "count min": held(two, 2, count=-MAX32 - 1), "count and delta below": held(three, 2), "count and delta above": held(two, 3),
        "delta below": held(three, 3, last_delta=1), "delta above": held(three, 3, last_delta=7), "delta 0": held(two, 2, last_delta=0),
        "delta -1": held(two, 2, last_delta=-1), "delta min": held(two, 2, last_delta=-MAX32 - 1), "delta max": held(two, 2, last_delta=MAX32),
        "no records": held(b"", 0), "no records, count 1": held(b"", 1), "no records, delta 0, count 0": held(b"", 0, last_delta=0),
        "max time below": held(pairs(2, 10), 2, max_ms=5), "max time above": held(two, 2, max_ms=999999), "max time none": held(two, 2, max_ms=-1),
        "no time": held(pairs(1), time_ms=-1), "time -2": held(pairs(1), time_ms=-2), "time min": held(pairs(1), time_ms=MIN64), "time max": held(pairs(1), time_ms=MAX64),
        "time 0": held(pairs(1), time_ms=0), "length below": held(two, 2, length=49 + 4), "length above": held(two, 2, length=49 + 400),
        "length 48": held(two, 2, length=48), "length 49": held(two, 2, length=49), "length 0": held(two, 2, length=0), "length -1": held(two, 2, length=-1),
        "length max": held(two, 2, length=MAX32), "two batches": held(pairs(1)) + held(pairs(1)), "two batches, offsets ascend": held(pairs(1)) + held(pairs(1), base_offset=1),
        "a byte after": held(pairs(1)) + "00", "bytes after": held(pairs(1)) + "00" * 30, "a header after": held(pairs(1)) + held(pairs(1))[:122],
        "half a batch after": held(pairs(1)) + held(pairs(5), 5)[:-10], "cut by a byte": held(three, 3)[:-2], "cut in the header": held(three, 3)[:100],
        "17 bytes": held(pairs(1))[:34], "16 bytes": held(pairs(1))[:32], "12 bytes": held(pairs(1))[:24], "a byte": "00", "nothing": "",
        "format 0": old_message(0).hex(), "format 1": old_message(1).hex(), "format 0, two": (old_message(0) + old_message(0, offset=1)).hex(),
        "format 1, two": (old_message(1) + old_message(1, offset=1)).hex(), "format 0, gzip": old_message(0, None, codecs.gzip_pack(old_message(0)), 1).hex(),
        "format 1, gzip": old_message(1, None, codecs.gzip_pack(old_message(1)), 1).hex(), "format 1 before 2": old_message(1).hex() + held(pairs(1)),
        "format 2 before 1": held(pairs(1)) + old_message(1).hex(), "format 0, null": old_message(0, None, None).hex(), "format 1, null key": old_message(1, None).hex(),
    }
    for bit in range(5, 16):
        if 1 << bit not in (CONTROL, DELETE_HORIZON):
            out[f"attribute bit {bit}"] = held(pairs(1), attributes=(1 << bit) - ((1 << 16) if bit == 15 else 0))
    out["all reserved bits"] = held(pairs(1), attributes=-128)
    return out


def record_kinds():
    """{label: payload of one record}, or (payload, count)."""
    good = body()
    return {
        "attributes 1": raw_record(body(attributes=1)), "attributes 255": raw_record(body(attributes=255)), "length below": raw_record(good, len(good) - 1),
        "length above": raw_record(good, len(good) + 1), "length 0": raw_record(b""), "length -1": raw_record(good, -1), "length min": raw_record(good, -MAX32 - 1),
        "length max": raw_record(good, MAX32), "a byte within": raw_record(good + b"\0"), "a byte behind": raw_record(good) + b"\0",
        "a record behind": raw_record(good) + raw_record(body(offset=1)), "key of -2": raw_record(body(key_len=-2)), "key too long": raw_record(body(key_len=500)),
        "key of min": raw_record(body(key_len=-MAX32 - 1)), "value of -2": raw_record(body(value_len=-2)), "value too long": raw_record(body(value_len=500)),
        "offset 1": raw_record(body(offset=1)), "offset -1": raw_record(body(offset=-1)), "offset max": raw_record(body(offset=MAX32)),
        "offsets same": (raw_record(good) * 2, 2), "offsets fall": (raw_record(body(offset=1)) + raw_record(good), 2),
        "offsets skip": (raw_record(good) + raw_record(body(offset=2)), 2), "time -1": raw_record(body(time=-1)), "time of minus the base": raw_record(body(time=-1000)),
        "time below zero": raw_record(body(time=-1001)), "time below minus one": raw_record(body(time=-1002)), "time max": raw_record(body(time=MAX64)),
        "time min": raw_record(body(time=MIN64)), "headers -1": raw_record(body(headers=varint(-1))), "headers max": raw_record(body(headers=varint(MAX32))),
        "headers 1 of none": raw_record(body(headers=varint(1))), "headers less than said": raw_record(body(headers=varint(2) + headers_of((b"h", b"v"))[1:])),
        "headers more than said": raw_record(body(headers=headers_of((b"h", b"v"), (b"i", b"w")).replace(varint(2), varint(1), 1))),
        "header key null": raw_record(body(headers=headers_of((None, b"v")))), "header key -2": raw_record(body(headers=varint(1) + varint(-2) + varint(-1))),
        "header value -2": raw_record(body(headers=varint(1) + varint(1) + b"h" + varint(-2))),
        "header key too long": raw_record(body(headers=varint(1) + varint(90) + b"h" + varint(-1))),
        "header value too long": raw_record(body(headers=varint(1) + varint(1) + b"h" + varint(90))), "no headers": raw_record(body(headers=b"")),
        "no value": raw_record(bytes([0, 0, 0]) + varint(1) + b"k"), "attributes alone": raw_record(b"\0"), "a varint of six bytes": b"\xff" * 5 + b"\x01" + good,
        "a varint longer than needed": b"\x8e\x00" + body(key=b"k", value=b"v")[:7], "a time of eleven bytes": raw_record(b"\0" + b"\xff" * 10 + b"\x01" + good[2:]),
        "a varint without end": b"\xff" * 3,
    }


def packed_kinds(codec):
    """{label: (payload as it stands in the batch, count)}."""
    pack, three = codecs.PACK[codec], pairs(3)
    good, large = pack(three), b"".join(record(i, b"k%d" % i, b"abcdefgh" * 1500) for i in range(20))
    out = {"three records": (good, 3), "a large one": (pack(large), 20), "no bytes": (b"", 1), "of nothing": (pack(b""), 1), "fewer records": (pack(pairs(2)), 3),
           "more records": (pack(pairs(4)), 3), "a byte behind the records": (pack(three + b"\0"), 3), "half a record": (pack(three[:-3]), 3),
           "a byte behind the stream": (good + b"\0", 3), "bytes behind the stream": (good + b"\xab" * 20, 3), "a byte less": (good[:-1], 3), "half": (good[:len(good) // 2], 3),
           "two streams": (pack(pairs(1)) + pack(record(1, b"k", b"v")), 2), "twice": (good + good, 3), "plain bytes": (three, 3), "zeros": (bytes(30), 3),
           "a byte": (good[:1], 3), "two bytes": (good[:2], 3), "headers": (pack(record(0, b"k", b"v", 0, [(b"h", b"1"), (b"n", None)])), 1),
           "null key and value": (pack(record(0, None, None)), 1), "offsets skip": (pack(record(0, b"k", b"v") + record(2, b"k", b"v")), 2),
           "zeros for records": (pack(bytes(100)), 3), "a bad first byte": (bytes([good[0] ^ 0xff]) + good[1:], 3),
           "a bad middle": (good[:len(good) // 2] + bytes([good[len(good) // 2] ^ 0x55]) + good[len(good) // 2 + 1:], 3)}
    if codec == GZIP:
        named = b"\x1f\x8b\x08\x08" + bytes(6) + b"name\0"
        out.update({"with a name": (named + good[10:], 3), "stored": (codecs.gzip_pack(three, 0), 3), "best": (codecs.gzip_pack(large, 9), 20),
                    "wrong sum": (good[:-8] + bytes(4) + good[-4:], 3), "wrong size": (good[:-4] + bytes(4), 3), "without the end": (good[:-8], 3)})
    if codec == SNAPPY:
        block = codecs.snappy_block(three)
        framed = struct.pack(">i", len(block)) + block
        out.update({"raw": (block, 3), "header alone": (XERIAL, 1), "version 2": (XERIAL[:8] + struct.pack(">ii", 2, 1) + framed, 3),
                    "version 0": (XERIAL[:8] + struct.pack(">ii", 0, 0) + framed, 3), "compatible 2": (XERIAL[:8] + struct.pack(">ii", 1, 2) + framed, 3),
                    "a block of 0": (XERIAL + bytes(4) + framed, 3), "a block of -1": (XERIAL + b"\xff" * 4 + framed, 3), "a block too long": (XERIAL + struct.pack(">i", 9999) + block, 3),
                    "blocks of 7 bytes": (codecs.snappy_pack(three, 7), 3), "a header between blocks": (XERIAL + framed + XERIAL, 3),
                    "said to be huge": (b"\xff\xff\xff\xff\x07" + block[1:], 3)})
    if codec == LZ4:
        out.update({"linked blocks": (codecs.lz4_pack(three, 0x40), 3), "sums of blocks": (codecs.lz4_pack(three, 0x70), 3), "its size": (codecs.lz4_pack(three, 0x68), 3),
                    "a sum of all": (codecs.lz4_pack(three, 0x64), 3), "blocks of 4 MB": (codecs.lz4_pack(large, 0x60, 0x70, 4 << 20), 20),
                    "blocks of 256 KB": (codecs.lz4_pack(large, 0x60, 0x50, 256 << 10), 20), "block size 3": (codecs.lz4_pack(three, 0x60, 0x30), 3),
                    "block size 0": (codecs.lz4_pack(three, 0x60, 0), 3), "wrong sum of the header": (codecs.lz4_pack(three, header_sum=1), 3),
                    "version 0": (codecs.lz4_pack(three, 0x20), 3), "version 2": (codecs.lz4_pack(three, 0xA0), 3), "a reserved bit": (codecs.lz4_pack(three, 0x62), 3),
                    "a dictionary": (codecs.lz4_pack(three, 0x61), 3), "without the end": (codecs.lz4_pack(three, end=False), 3), "reserved bits of the size": (codecs.lz4_pack(
                        three, 0x60, 0x4F), 3), "wrong sum of all": (codecs.lz4_pack(three, 0x64)[:-1] + b"\0", 3), "wrong sum of a block": (
                            codecs.lz4_pack(three, 0x70)[:-8] + bytes(8), 3), "a block as it is": (codecs.lz4_pack(three)[:7] + struct.pack("<I", 1 << 31 | len(three)) + three + bytes(4), 3)})
    if codec == ZSTD:
        skip = struct.pack("<II", 0x184D2A50, 4) + b"skip"
        out.update({"a skipped frame before": (skip + good, 3), "a skipped frame behind": (good + skip, 3), "a skipped frame alone": (skip, 3),
                    "unknown dictionary": (good[:4] + bytes([good[4] | 1]) + b"\x07" + good[5:], 3), "a window too large": (good[:4] + b"\x00\xff" + good[6:], 3)})
    return out


@file
def record_batches(codec, name):
    """Every kind of batch in a topic with nothing set."""
    m = Maker(codec, name, log_retention_ms=-1)   # the records are of 1970
    for label, one in plain_kinds().items():
        kept(m, label, one)
    for label, one in record_kinds().items():
        payload, n = one if isinstance(one, tuple) else (one, 1)
        kept(m, "record: " + label, held(payload, n))
        kept(m, "packed record: " + label, held(payload, n, attributes=GZIP))
    for which in (GZIP, SNAPPY, LZ4, ZSTD):
        for label, (payload, n) in packed_kinds(which).items():
            kept(m, f"{codecs.NAMES[which]}: {label}", held(payload, n, attributes=which, pack=False))
        kept(m, f"{codecs.NAMES[which]}: of a producer, twice", *[held(pairs(2), 2, attributes=which, pid=8, epoch=0, sequence=0)] * 2)
    for which in (5, 6, 7):
        kept(m, f"codec {which}", held(pairs(1), attributes=which))
    for v in range(3, 14):
        for which in (NONE, GZIP, SNAPPY, LZ4, ZSTD):
            kept(m, f"v{v} {codecs.NAMES[which]}", held(pairs(2), 2, attributes=which), v=v)
        kept(m, f"v{v} refused records", held(raw_record(body()) + raw_record(body(offset=5)), 2), v=v)
    kept(m, "one after the other", held(pairs(1)), held(pairs(3), 3), held(pairs(2), 2, attributes=GZIP), held(pairs(1), crc=3), held(pairs(1)))
    return m.write()


SETTINGS = {
    "compact": [("cleanup.policy", "compact")], "compact and delete": [("cleanup.policy", "compact,delete")], "log append time": [("message.timestamp.type", "LogAppendTime")],
    "at most 150 bytes": [("max.message.bytes", "150")], "not before": [("message.timestamp.before.max.ms", "1000")], "not after": [("message.timestamp.after.max.ms", "1000")],
    "uncompressed": [("compression.type", "uncompressed")], "of the producer": [("compression.type", "producer")],
}


@file
def record_settings(codec, name):
    """Batches under each setting of a topic that looks at them."""
    m = Maker(codec, name, log_retention_ms=-1)
    now = 1 << 42   # far ahead of every clock that runs this
    batches = {
        "keys": held(pairs(2), 2), "null key": held(record(0, None, b"v")), "null key second": held(record(0, b"k", b"v") + record(1, None, b"v"), 2),
        "null keys": held(record(0, None, b"v") + record(1, b"k", b"v") + record(2, None, None), 3), "empty key": held(record(0, b"", b"v")),
        "null key, skipping": held(record(0, None, b"v") + record(5, None, b"v"), 2), "null value": held(record(0, b"k", None)), "packed null key": held(record(0, None, b"v"), attributes=GZIP),
        "append time": held(pairs(2), 2, attributes=LOG_APPEND), "append time, packed": held(pairs(2), 2, attributes=LOG_APPEND | GZIP), "times": held(pairs(3, 7), 3),
        "no time": held(pairs(1), time_ms=-1), "time 0": held(pairs(1), time_ms=0), "time -5": held(pairs(1), time_ms=-5), "time ahead": held(pairs(2), 2, time_ms=now),
        "second time ahead": held(record(0, b"k", b"v") + record(1, b"k", b"v", now), 2), "append time ahead": held(pairs(1), attributes=LOG_APPEND, time_ms=now),
        "times, packed": held(pairs(3, 7), 3, attributes=ZSTD), "250 bytes": held(record(0, b"k", b"x" * 170)), "250 bytes, packed": held(record(0, b"k", b"x" * 170), attributes=GZIP),
        "packed and still too large": held(record(0, b"k", bytes(range(256))), attributes=SNAPPY), "a producer": held(pairs(2), 2, pid=4, epoch=0, sequence=0),
        "control": held(pairs(1), attributes=CONTROL), "wrong crc": held(record(0, None, b"x" * 170), crc=4), "wrong count": held(record(0, None, b"v"), 1, count=2)}
    for setting, configs in SETTINGS.items():
        for label, one in batches.items():
            kept(m, f"{setting}: {label}", one, configs=configs)
    wide = b"".join(record(i, b"k%d" % i, b"some text " * 20, i * 3) for i in range(5))
    for target in ("uncompressed", "gzip", "snappy", "lz4", "zstd"):
        configs = [("compression.type", target)]
        for source in (NONE, GZIP, SNAPPY, LZ4, ZSTD):
            same = codecs.NAMES[source] == target
            for label, more in (("", {}), (" of a producer", {"pid": 4, "epoch": 1, "sequence": 3}), (" without time", {"time_ms": -1}), (" a wrong max time", {"max_ms": 77})):
                times = wide if label != " without time" else pairs(5)
                kept(m, f"{codecs.NAMES[source]} to {target}{label}", held(times, 5, attributes=source, **more), configs=configs, unpack=not same)
            kept(m, f"{codecs.NAMES[source]} to {target} with append time", held(wide, 5, attributes=source), configs=configs + [("message.timestamp.type", "LogAppendTime")],
                 unpack=not same)
            kept(m, f"{codecs.NAMES[source]} to {target} too large before", held(record(0, b"k", bytes(range(256)) * 2), attributes=source),
                 configs=configs + [("max.message.bytes", "300")], unpack=not same)
            kept(m, f"{codecs.NAMES[source]} to {target} too large after", held(record(0, b"k", b"x" * 2000), attributes=source),
                 configs=configs + [("max.message.bytes", "300")], unpack=not same)
            kept(m, f"{codecs.NAMES[source]} to {target} headers", held(record(0, None, None, 0, [(b"h", b"1"), (b"", None)]), attributes=source), configs=configs, unpack=not same)
            if source:
                kept(m, f"{codecs.NAMES[source]} to {target} broken", held(pairs(3)[:-4], 3, attributes=source), configs=configs, unpack=not same)
                kept(m, f"{codecs.NAMES[source]} to {target} more records", held(pairs(4), 3, attributes=source), configs=configs, unpack=not same)
    for key, value in (("compression.gzip.level", "9"), ("compression.zstd.level", "19"), ("compression.lz4.level", "12")):
        kept(m, f"{key} {value}", held(wide, 5), configs=[("compression.type", key.split(".")[1]), (key, value)], unpack=True)
    return m.write()


@file
def record_segments(codec, name):
    """Segments, their indexes and the producers' snapshots after a roll."""
    m = Maker(codec, name, log_retention_ms=-1)
    rolls, every = ("segment.ms", "1000"), ("index.interval.bytes", "0")

    def at(*times, n=2, **more):
        return [held(pairs(n), n, time_ms=t, **more) for t in times]

    def chain(times, pid=3, epoch=0, n=2):
        return [held(pairs(n), n, time_ms=t, pid=pid, epoch=epoch, sequence=i * n) for i, t in enumerate(times)]

    for label, configs, batches in (
            ("rolled by time", [rolls], at(1000, 1500, 3000, 3500, 9000)), ("not at the very time", [rolls], at(1000, 2000, 2001)),
            ("times that fall", [rolls], at(9000, 1000, 500, 9500, 20000)), ("no times", [rolls], at(-1, -1, 5000, 9000)), ("every batch indexed", [every, rolls], at(*range(1000, 1900, 100), 5000)),
            ("every other indexed", [("index.interval.bytes", "100"), rolls], at(*range(1000, 1900, 100), 5000)), ("indexed by 4096", [rolls], [
                held(record(0, b"k", b"x" * 1500), time_ms=1000 + i) for i in range(8)] + at(9000)),
            ("index full", [every, ("segment.index.bytes", "24")], at(*range(1000, 2200, 100))), ("index of one entry", [every, ("segment.index.bytes", "12")], at(*range(1000, 1600, 100))),
            ("largest time first", [every, rolls], at(1900, 1000, 1100, 1200, 9000)), ("same times", [every, rolls], at(1000, 1000, 1000, 9000)),
            ("largest time in the middle of a batch", [every, rolls], [held(b"".join(record(i, b"k", b"v", d) for i, d in enumerate((0, 50, 20))), 3)] * 3 + at(9000)),
            ("packed, largest time in the middle", [every, rolls], [held(b"".join(record(i, b"k", b"v", d) for i, d in enumerate((0, 50, 20))), 3, attributes=GZIP)] * 3 + at(9000)),
            ("a producer", [rolls], chain((1000, 1100, 5000, 5100, 9000))), ("a producer, six batches", [rolls], chain((1000, 1010, 1020, 1030, 1040, 1050, 9000))),
            ("a producer's new epoch", [rolls], chain((1000, 1100)) + chain((1200, 5000), epoch=1)), ("two producers", [rolls], [
                b for pair in zip(chain((1000, 1100, 5000)), chain((1001, 1101, 5001), pid=4)) for b in pair]),
            ("twenty producers", [rolls], [held(pairs(1), time_ms=1000 + p, pid=p, epoch=0, sequence=0) for p in range(20)] + at(9000)),
            ("a producer sends again after a roll", [rolls], chain((1000, 5000)) + chain((1000, 5000))), ("a producer out of order after a roll", [rolls], [
                *chain((1000, 5000)), held(pairs(1), time_ms=9000, pid=3, epoch=0, sequence=9)]),
            ("a refused batch does not roll", [rolls], [*at(1000), held(pairs(1), time_ms=9000, crc=1), *at(1100)]),
            ("a wrapped sequence", [rolls], [held(pairs(2), 2, pid=6, epoch=0, sequence=MAX32 - 1), held(pairs(1), pid=6, epoch=0, sequence=0), *at(9000)]),
            ("append time", [("message.timestamp.type", "LogAppendTime"), every], at(1000, 2000, 3000)), ("jitter of none", [rolls, ("segment.jitter.ms", "0")], at(1000, 3000)),
            ("compacted", [("cleanup.policy", "compact"), rolls], at(1000, 3000, 6000)), ("preallocated", [("preallocate", "true"), ("segment.bytes", "1048576"), rolls], at(1000, 3000)),
            ("flushed", [("flush.messages", "1"), rolls], at(1000, 3000)), ("too large for a segment", [("max.message.bytes", "2000000"), ("segment.bytes", "1048576")], [
                held(record(0, b"k", b"x" * 100)), held(record(0, b"k", bytes(2000)))])):
        kept(m, label, *batches, configs=configs)
    m.case("records deleted", create("b%", partitions=1, configs=[rolls], v=4), *leader("b%"), *put("b%", *at(1000, 3000, 6000)), step("DeleteRecords", 2, {"topics": [
        {"name": "b%", "partitions": [{"partitionIndex": 0, "offset": 3}]}], "timeoutMs": 5000}), *put("b%", *at(9000)), disk("b%"))
    return m.write()
