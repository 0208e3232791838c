"""Kafka's messages between JSON and bytes, straight from spec/messages: nothing of src/ takes part.

Fields have the names of Apache's JSON (camelCase); absent ones have their defaults, so short JSON
says a whole request. A decoded answer leaves out what is at its default. uuids are Apache's base64;
bytes and records are hexadecimal. Unlike the codec of src/proto, encode writes what it is told: a
null where none is allowed, a field that the version has not (then it is left out).
"""
import base64
import math
import os
import struct
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "gen"))
import spec  # noqa: E402

NUMBERS = {"bool": ">?", "int8": ">b", "int16": ">h", "uint16": ">H", "int32": ">i", "uint32": ">I", "int64": ">q",
           "float64": ">d"}
ZERO_UUID = "AAAAAAAAAAAAAAAAAAAAAA"


class Wrong(Exception):
    """Bytes that are not the message."""


def uuid_bytes(text):
    return base64.urlsafe_b64decode(text + "==")


def uuid_text(raw):
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def uvarint(value):
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, size):
        if size < 0 or self.at + size > len(self.data):
            raise Wrong(f"{size} bytes wanted at {self.at} of {len(self.data)}")
        self.at += size
        return self.data[self.at - size:self.at]

    def number(self, form):
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def uvarint(self):
        value = shift = 0
        while True:
            byte = self.take(1)[0]
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value


def plain(value):
    """What JSON and == know as well: NaN, the infinities and -0.0 are texts."""
    return value if math.isfinite(value) and (value or math.copysign(1, value) > 0) else str(value)


def default_of(field):
    """What an absent field is, as JSON."""
    if field.has_default:
        return field.default
    if field.array:
        return []
    if field.is_struct:
        return {}
    if field.type == "uuid":
        return ZERO_UUID
    return {"bool": False, "string": "", "bytes": "", "records": "", "float64": 0.0}.get(field.type, 0)


class Codec:
    def __init__(self):
        messages = spec.load_messages()
        self.by_name = {m.name: m for m in messages}
        self.apis = {request.name[:-len("Request")]: (key, request, response)
                     for key, request, response in spec.apis(messages)}
        self.names = {key: name for name, (key, _, _) in self.apis.items()}

    # ---- writing ----

    def encode(self, message, version, value):
        out = bytearray()
        self._write_struct(message, message.top, version, value, out)
        return bytes(out)

    def _length(self, size, short, flexible, out):
        if flexible:
            out += uvarint(size + 1)
        else:
            out += struct.pack(">h" if short else ">i", size)

    def _write_one(self, message, field, kind, version, value, out):
        flexible = message.is_flexible(version) and not field.compact_never
        if kind in NUMBERS:
            out += struct.pack(NUMBERS[kind], float(value) if kind == "float64" else value)
        elif kind == "uuid":
            out += uuid_bytes(value)
        elif kind in ("string", "bytes", "records"):
            raw = None if value is None else value.encode() if kind == "string" else bytes.fromhex(value)
            self._length(-1 if raw is None else len(raw), kind == "string", flexible, out)
            out += raw or b""
        else:
            if field.pointer and not field.array:
                out += struct.pack(">b", -1 if value is None else 1)
                if value is None:
                    return
            self._write_struct(message, message.by_name[kind], version, value, out)

    def _write_field(self, message, field, version, value, out):
        if not field.array:
            self._write_one(message, field, field.type, version, value, out)
            return
        flexible = message.is_flexible(version)
        self._length(-1 if value is None else len(value), False, flexible, out)
        for item in value or []:
            self._write_one(message, field, field.type, version, item, out)

    def _write_struct(self, message, struct_, version, value, out):
        known = {f.json_name for f in struct_.fields}
        assert set(value) <= known, f"{struct_.name} has no {set(value) - known}"
        tags = {}
        for field in struct_.fields:
            if not field.has(version):
                continue
            given = value.get(field.json_name, default_of(field))
            if field.tag is None:
                self._write_field(message, field, version, given, out)
            elif field.json_name in value and given != default_of(field):
                body = bytearray()
                self._write_field(message, field, version, given, body)
                tags[field.tag] = body
        if message.is_flexible(version):
            out += uvarint(len(tags))
            for tag, body in sorted(tags.items()):
                out += uvarint(tag) + uvarint(len(body)) + body

    # ---- reading ----

    def decode(self, message, version, data):
        """The whole of data, or Wrong."""
        reader = Reader(data)
        value = self._read_struct(message, message.top, version, reader)
        if reader.at != len(data):
            raise Wrong(f"{len(data) - reader.at} bytes after {message.name} v{version}")
        return value

    def _read_length(self, short, flexible, reader):
        if flexible:
            return reader.uvarint() - 1
        return reader.number(">h" if short else ">i")

    def _read_one(self, message, field, kind, version, reader):
        flexible = message.is_flexible(version) and not field.compact_never
        if kind in NUMBERS:
            value = reader.number(NUMBERS[kind])
            return plain(value) if kind == "float64" else value
        if kind == "uuid":
            return uuid_text(reader.take(16))
        if kind in ("string", "bytes", "records"):
            size = self._read_length(kind == "string", flexible, reader)
            if size < 0:
                return None
            raw = reader.take(size)
            return raw.decode("utf-8", "replace") if kind == "string" else raw.hex()
        if field.pointer and not field.array and reader.number(">b") < 0:
            return None
        return self._read_struct(message, message.by_name[kind], version, reader)

    def _read_field(self, message, field, version, reader):
        if not field.array:
            return self._read_one(message, field, field.type, version, reader)
        count = self._read_length(False, message.is_flexible(version), reader)
        if count < 0:
            return None
        return [self._read_one(message, field, field.type, version, reader) for _ in range(count)]

    def _read_struct(self, message, struct_, version, reader):
        value = {}
        for field in struct_.fields:
            if field.tag is None and field.has(version):
                value[field.json_name] = self._read_field(message, field, version, reader)
        if message.is_flexible(version):
            tagged = {f.tag: f for f in struct_.fields if f.tag is not None and f.has(version)}
            for _ in range(reader.uvarint()):
                tag, size = reader.uvarint(), reader.uvarint()
                part = Reader(reader.take(size))
                if tag not in tagged:
                    value[f"tag {tag}"] = part.data.hex()
                    continue
                value[tagged[tag].json_name] = self._read_field(message, tagged[tag], version, part)
        defaults = {f.json_name: default_of(f) for f in struct_.fields}
        return {k: v for k, v in value.items() if k not in defaults or v != defaults[k] or type(v) != type(defaults[k])}

    # ---- frames ----

    def request_frame(self, api, version, correlation_id, client_id, body):
        key, request, _ = self.apis[api]
        header = self.by_name["RequestHeader"]
        known = min(version, request.versions[1])
        head = self.encode(header, 2 if request.is_flexible(known) else 1,
                           {"requestApiKey": key, "requestApiVersion": version, "correlationId": correlation_id,
                            "clientId": client_id})
        return struct.pack(">i", len(head) + len(body)) + head + body

    def answer(self, api, version, frame):
        """(correlation id, fields) of a response frame."""
        key, request, response = self.apis[api]
        reader = Reader(frame)
        correlation_id = reader.number(">i")
        if request.is_flexible(version) and api != "ApiVersions":
            for _ in range(reader.uvarint()):
                reader.uvarint()
                reader.take(reader.uvarint())
        return correlation_id, self.decode(response, version, frame[reader.at:])
