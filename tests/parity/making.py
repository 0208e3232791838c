"""Makes cases: an ordinary request of an api, and one case for each edge of each of its fields."""
import copy
import json
import os

import cases

UNKNOWN_ID = "AAAAAAAABwAAAAAAAAAABw"   # no topic has it
RESERVED_ID = "AAAAAAAAAAAAAAAAAAAAAQ"  # the metadata topic's
LIMITS = {"int8": (-1, 0, 1, 9, -128, 127), "int16": (-1, 0, 2, -32768, 32767),
          "int32": (-1, 0, 2, -2, -(1 << 31), (1 << 31) - 1), "int64": (-1, 0, 2, -2, -(1 << 63), (1 << 63) - 1)}
TEXTS = {"empty": "", "unknown": "unknown", "slash": "a/b", "space": "a b", "non-ascii": "tü", "dot": ".", "dots": "..",
         "249": "x" * 249, "250": "x" * 250, "internal": "__consumer_offsets", "metadata": "__cluster_metadata"}
ABSENT = object()


class Maker:
    """One file of cases. "%" in a text stands for a number that no other case has."""

    def __init__(self, codec, name, **server):
        self.codec, self.name, self.lines, self.names = codec, name, [], {}
        if server:
            self.lines.append({"server": {k.replace("_", "."): v for k, v in server.items()}})

    def case(self, name, *steps):
        """Steps are dicts, as `step` makes them."""
        times = self.names[name] = self.names.get(name, 0) + 1
        if times > 1:
            name = f"{name} ({times})"
        self.lines.append({"name": name, "steps": numbered(list(steps), len(self.lines))})

    def log(self):
        """Last: what all cases left in the metadata log."""
        self.lines.append({"name": "metadata records", "steps": [], "log": True})

    def versions(self, api, top=None):
        request = self.codec.apis[api][1]
        return range(request.stable[0], (request.stable[1] if top is None else top) + 1)

    def edges(self, api, v, base, *, before=(), after=(), skip=(), more=None, texts=TEXTS):
        """A case for `base` itself and for each edge of each field that it spells out. skip: paths left
        alone, as "topics.0.name" or "topics.0.name=LABEL"; more: {path: {label: value}}."""
        request = self.codec.apis[api][1]
        kept = present(request, request.top, v, base)

        def put(label, fields):
            self.case(f"v{v} {label}", *before, step(api, v, fields), *after)

        put("ordinary", kept)
        for path, field, value in leaves(request, request.top, v, base):
            text = ".".join(map(str, path))
            if text in skip:
                continue
            for label, edge in [*edges_of(field, v, value, texts), *((more or {}).get(text, {})).items()]:
                if f"{text}={label}" not in skip and edge != value:
                    put(f"{text}={label}", replaced(kept, path, edge))

    def write(self):
        os.makedirs(cases.CASES, exist_ok=True)
        with open(os.path.join(cases.CASES, self.name + ".jsonl"), "w") as out:
            for line in self.lines:
                out.write(json.dumps(line, separators=(",", ":"), ensure_ascii=False) + "\n")
        return sum("name" in line for line in self.lines)


def step(api, v, f=None, **more):
    return {"api": api, "v": v, **({"f": f} if f is not None else {}), **more}


def numbered(value, number):
    if isinstance(value, dict):
        return {k: numbered(v, number) for k, v in value.items()}
    if isinstance(value, list):
        return [numbered(v, number) for v in value]
    return value.replace("%", str(number)) if isinstance(value, str) else value


def present(message, struct, v, value):
    """Only what the version has: a base may spell out the fields of all versions."""
    out = {}
    for field in struct.fields:
        if field.has(v) and field.json_name in value:
            one = value[field.json_name]
            if field.is_struct and one is not None:
                inner = message.by_name[field.type]
                one = [present(message, inner, v, i) for i in one] if field.array else present(message, inner, v, one)
            out[field.json_name] = one
    return out


def leaves(message, struct, v, value, path=()):
    """(path, field, value) of everything that the base spells out; of arrays, their first element."""
    for field in struct.fields:
        if not field.has(v) or field.json_name not in value:
            continue
        here, one = path + (field.json_name,), value[field.json_name]
        yield here, field, one
        if field.is_struct and one:
            inner = message.by_name[field.type]
            yield from leaves(message, inner, v, one[0] if field.array else one, here + (0,) if field.array else here)


def edges_of(field, v, value, texts):
    null = [("null", None)]
    if field.array:
        out = [("none", [])] + null
        return out + [("twice", value + value)] if value else out
    if field.is_struct:
        return null if field.pointer else []
    if field.type == "bool":
        return [(str(not value).lower(), not value)]
    if field.type in LIMITS:
        return [(str(n), n) for n in LIMITS[field.type]]
    if field.type == "float64":
        return [("zero", 0.0), ("negative", -1.0)]
    if field.type == "string":
        return [*texts.items(), *null]
    if field.type == "uuid":
        return [("zero", "AAAAAAAAAAAAAAAAAAAAAA"), ("unknown", UNKNOWN_ID), ("reserved", RESERVED_ID)]
    return [("empty", "")] + null


def replaced(value, path, edge):
    out = copy.deepcopy(value)
    at = out
    for part in path[:-1]:
        at = at[part]
    at[path[-1]] = edge
    return out


# ---- record batches ----

def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def varint(value):
    import wire
    return wire.uvarint((value << 1) ^ (value >> 63))


def record(index, key, value, timestamp_delta=0, headers=()):
    body = b"\0" + varint(timestamp_delta) + varint(index)
    for part in (key, value):
        body += varint(-1) if part is None else varint(len(part)) + part
    body += varint(len(headers))
    for name, held in headers:
        body += varint(len(name)) + name + (varint(-1) if held is None else varint(len(held)) + held)
    return varint(len(body)) + body


def batch(records=((b"k", b"v"),), time_ms=1000, pid=-1, epoch=-1, sequence=-1, attributes=0, magic=2, count=None,
          crc=None, base_offset=0, last_delta=None, step_ms=0, leader_epoch=-1):
    """A batch in hexadecimal."""
    import struct
    packed = b"".join(record(i, k, v, i * step_ms) for i, (k, v) in enumerate(records))
    n = len(records) if count is None else count
    last = len(records) - 1 if last_delta is None else last_delta
    tail = struct.pack(">hiqqqhii", attributes, last, time_ms, time_ms + max(0, len(records) - 1) * step_ms, pid, epoch,
                       sequence, n) + packed
    crc = crc32c(tail) if crc is None else crc
    return struct.pack(">qiibI", base_offset, 9 + len(tail), leader_epoch, magic, crc).hex() + tail.hex()
