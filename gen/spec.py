"""Reads spec/messages/*.json and spec/errors.json into plain objects; README.md has the format."""
import json
import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parent.parent

PRIMITIVES = {"bool", "int8", "int16", "uint16", "int32", "uint32", "int64", "float64", "uuid",
              "string", "bytes", "records"}
KINDS = ("request", "response", "header", "metadata", "offsets", "transaction", "share",
         "remote_log", "control", "data")
C_WORDS = {"default", "register", "int", "char", "short", "long", "double", "float", "switch",
           "case", "for", "do", "if", "else", "static", "const", "struct", "union", "enum",
           "signed", "unsigned", "void", "volatile", "return", "auto", "break", "extern"}


def snake(name):
    """TopicIdPartition -> topic_id_partition, KRaftVersion -> kraft_version."""
    return re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name).lower()


def parse_range(text, first, last):
    """"2-4", "3+", "5", "none" or None (all) as (first, last); an empty range is (0, -1)."""
    if text is None:
        return first, last
    if text == "none":
        return 0, -1
    if text.endswith("+"):
        return int(text[:-1]), last
    low, _, high = text.partition("-")
    return int(low), int(high or low)


class Field:
    def __init__(self, raw, struct):
        message = struct.message
        first, last = message.versions
        self.name = raw["name"]
        self.json_name = self.name[0].lower() + self.name[1:]
        self.c_name = snake(self.name)
        if self.c_name in C_WORDS:
            self.c_name += "_"
        self.array = raw["type"].startswith("[]")
        self.type = raw["type"][2:] if self.array else raw["type"]
        self.is_struct = self.type not in PRIMITIVES
        self.versions = parse_range(raw.get("versions"), first, last)
        self.nullable = parse_range(raw.get("nullable", "none"), first, last)
        self.tag = raw.get("tag")
        self.ignorable = raw.get("ignorable", False)
        self.compact_never = raw.get("flexible") == "none"
        self.has_default = "default" in raw
        self.default = raw.get("default")
        self.about = raw.get("about", "")
        # A struct that may be null in some version is held by pointer.
        self.pointer = self.is_struct and not self.array and self.nullable[0] <= self.nullable[1]

    def has(self, version):
        return self.versions[0] <= version <= self.versions[1]

    def may_be_null(self, version):
        return self.nullable[0] <= version <= self.nullable[1]


class Struct:
    def __init__(self, name, raw_fields, message):
        self.name = name
        self.message = message
        self.top = name == message.name
        self.c_name = "proto_" + message.snake + ("" if self.top else "_" + snake(name))
        self.fields = [Field(f, self) for f in raw_fields]


class Message:
    def __init__(self, raw):
        self.name = raw["name"]
        self.snake = snake(self.name)
        self.kind = raw["kind"]
        assert self.kind in KINDS, self.kind
        self.key = raw.get("key")
        self.versions = parse_range(raw["versions"], 0, 0)
        self.stable = parse_range(raw.get("stable"), *self.versions)
        self.flexible = parse_range(raw["flexible"], *self.versions)
        self.listeners = raw.get("listeners", [])
        self.forwardable = raw.get("forwardable", False)
        self.about = raw.get("about", "")
        self.top = Struct(self.name, raw["fields"], self)
        self.structs = [Struct(n, f, self) for n, f in raw.get("structs", {}).items()]
        self.by_name = {s.name: s for s in self.structs}
        for struct in [self.top] + self.structs:
            for field in struct.fields:
                assert not field.is_struct or field.type in self.by_name, (self.name, field.name)

    def is_flexible(self, version):
        return self.flexible[0] <= version <= self.flexible[1]

    def in_order(self):
        """Nested structs before those that hold them."""
        done = []

        def visit(struct, path):
            assert struct.name not in path, f"{self.name}: {struct.name} holds itself"
            assert len(path) < 8, f"{self.name}: nested too deeply"
            if struct in done:
                return
            for field in struct.fields:
                if field.is_struct:
                    visit(self.by_name[field.type], path + [struct.name])
            done.append(struct)

        visit(self.top, [])
        return done


def load_messages():
    out = []
    for path in sorted((ROOT / "spec" / "messages").glob("*.json")):
        message = Message(json.loads(path.read_text()))
        assert message.name == path.stem, path
        out.append(message)
    return out


def load_errors():
    return json.loads((ROOT / "spec" / "errors.json").read_text())


def apis(messages):
    """[(key, request, response)] in order of the key."""
    requests = {m.key: m for m in messages if m.kind == "request"}
    responses = {m.key: m for m in messages if m.kind == "response"}
    assert requests.keys() == responses.keys()
    return [(k, requests[k], responses[k]) for k in sorted(requests)]
