"""Valid requests as frames, and where each field of a frame stands: what mutate.c changes.

seeds(path, codec, ids) writes every request of tests/parity/cases, in every version, as mutate.c
reads them: length and frame, count of marks, then kind, position and length of each mark.
"""
import json
import os
import struct

import cases
import wire

INT, LENGTH, VARINT, TAGS, TEXT, BATCH = range(6)
MARKS_MAX = 2000


class MarkingCodec(wire.Codec):
    """Notes what it writes. Positions are those of the buffer at hand; tags have one of their own."""

    def __init__(self):
        super().__init__()
        self.marks = []
        self.field = None   # of the length being written

    def _mark(self, kind, out, before):
        if len(out) > before or kind == TEXT:
            self.marks.append((kind, before, len(out) - before, self.field))

    def _write_field(self, message, field, version, value, out):
        self.field = (field, version)
        super()._write_field(message, field, version, value, out)

    def _length(self, size, short, flexible, out):
        before = len(out)
        super()._length(size, short, flexible, out)
        self._mark(VARINT if flexible else LENGTH, out, before)

    def _write_one(self, message, field, kind, version, value, out):
        before, marks = len(out), len(self.marks)
        self.field = (field, version)
        super()._write_one(message, field, kind, version, value, out)
        if kind in wire.NUMBERS or kind == "uuid":
            self._mark(INT if kind in wire.NUMBERS else TEXT, out, before)
        elif kind in ("string", "bytes", "records") and value:
            _, at, size, _ = self.marks[marks]   # its length
            self._mark(BATCH if kind == "records" else TEXT, out, at + size)

    def _write_struct(self, message, struct_, version, value, out):
        tagged = [f for f in struct_.fields if f.tag is not None and f.has(version) and f.json_name in value and
                  value[f.json_name] != wire.default_of(f)]
        for field in struct_.fields:
            if field.has(version) and field.tag is None:
                self._write_field(message, field, version, value.get(field.json_name, wire.default_of(field)), out)
        if not message.is_flexible(version):
            return
        before = len(out)
        out += wire.uvarint(len(tagged))
        self._mark(TAGS, out, before)
        for field in sorted(tagged, key=lambda f: f.tag):
            kept, self.marks = self.marks, []
            body = bytearray()
            self._write_field(message, field, version, value[field.json_name], body)
            inner, self.marks = self.marks, kept
            out += wire.uvarint(field.tag)
            before = len(out)
            out += wire.uvarint(len(body))
            self._mark(VARINT, out, before)
            self.marks += [(kind, at + len(out), size, held) for kind, at, size, held in inner]
            out += body


def frame(codec, api, version, fields, correlation_id):
    """(frame with its size, marks): kind, position, length, and (field, version) of a length."""
    key, request, _ = codec.apis[api]
    out = bytearray(4)
    codec.marks = []
    codec._write_struct(codec.by_name["RequestHeader"], codec.by_name["RequestHeader"].top,
                        2 if request.is_flexible(min(version, request.versions[1])) else 1,
                        {"requestApiKey": key, "requestApiVersion": version, "correlationId": correlation_id,
                         "clientId": "mutate"}, out)
    marks = [m for m in codec.marks if m[1] >= 12]   # whom it is for and its number stay
    codec.marks = []
    body = bytearray()
    codec._write_struct(request, request.top, version, fields, body)
    marks += [(kind, at + len(out), size, held) for kind, at, size, held in codec.marks]
    out += body
    struct.pack_into(">i", out, 0, len(out) - 4)
    return bytes(out), marks[:MARKS_MAX]


def filled(value, ids):
    if isinstance(value, dict):
        return {k: filled(v, ids) for k, v in value.items()}
    if isinstance(value, list):
        return [filled(v, ids) for v in value]
    if isinstance(value, str) and value.startswith("$"):
        return ids.get(value[4:], wire.ZERO_UUID) if value.startswith("$id:") else 0 if value == "$session" else ""
    return value


def seeds(path, codec, ids, size_max=60000):
    """The number of frames written; each once."""
    seen, marking = set(), MarkingCodec()
    with open(path, "wb") as out:
        for name in cases.names(()):
            for case in cases.load(os.path.join(cases.CASES, name + ".jsonl"))[1]:
                for step in case["steps"]:
                    if "api" not in step or "raw" in step or step["api"] == "UnregisterBroker":
                        continue
                    fields = filled(step.get("f", {}), ids)
                    what = (step["api"], step["v"], json.dumps(fields, sort_keys=True))
                    if what in seen:
                        continue
                    try:
                        data, marks = frame(marking, step["api"], step["v"], fields, len(seen) + 1)
                    except (struct.error, ValueError, KeyError, AssertionError, TypeError):
                        continue
                    if len(data) > size_max:
                        continue
                    seen.add(what)
                    out.write(struct.pack(">I", len(data)) + data + struct.pack(">H", len(marks)))
                    out.write(b"".join(struct.pack(">BII", *mark[:3]) for mark in marks))
    return len(seen)
