#!/usr/bin/env python3
"""Turns the output of facts/Facts.java into spec/messages/*.json and spec/errors.json.

Names, types, versions and defaults come from the facts; "about" and "text" are ours and are kept
from the files that are there already. See README.md for the format.
"""
import json
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
SPEC = ROOT / "spec" / "messages"

SIMPLE = {"BOOLEAN": "bool", "INT8": "int8", "INT16": "int16", "UINT16": "uint16",
          "INT32": "int32", "UINT32": "uint32", "INT64": "int64", "FLOAT64": "float64",
          "UUID": "uuid", "STRING": "string", "BYTES": "bytes", "RECORDS": "records"}
ELEMENT = {"Byte": "int8", "Short": "int16", "Integer": "int32", "Long": "int64",
           "String": "string", "Uuid": "uuid"}
ZERO = {"bool": False, "float64": 0.0, "string": "", "uuid": "", "bytes": "", "records": ""}
# Neither wire messages nor record types of a broker.
SKIP = {"SubscriptionInfoData"}


def span(versions, first, last):
    """A list of versions as "2-4", "3+" or "5"; asserts that it has no gaps."""
    assert versions == list(range(versions[0], versions[-1] + 1)), versions
    if versions[-1] == last:
        return f"{versions[0]}+" if versions[0] != last or first == last else f"{last}+"
    return str(versions[0]) if len(versions) == 1 else f"{versions[0]}-{versions[-1]}"


def capital(name):
    return name[0].upper() + name[1:]


def field(fact, message):
    first, last, flexible = message["min"], message["max"], message["flexible"]
    versions = [e["v"] for e in fact["versions"]]
    wire = fact["versions"][-1]["type"].replace("COMPACT_", "").replace("NULLABLE_", "")
    if fact["array"]:
        kind = "[]" + ELEMENT.get(fact["java"], fact["java"])
    elif wire == "{":
        kind = fact["java"]
    else:
        kind = SIMPLE[wire]
    out = {"name": capital(fact["name"]), "type": kind}
    if versions != list(range(first, last + 1)):
        out["versions"] = span(versions, first, last)
    nullable = [e["v"] for e in fact["versions"] if e["nullable"]]
    if nullable:
        out["nullable"] = span(nullable, first, last)
    tags = {e["tag"] for e in fact["versions"] if "tag" in e}
    if tags:
        assert len(tags) == 1 and all("tag" in e for e in fact["versions"])
        out["tag"] = tags.pop()
    if "default" in fact:
        value = fact["default"]
        if value is not None and kind not in ("string",):
            value = json.loads(value)
        if kind == "records" and not nullable:
            value = ""
        if value != ZERO.get(kind, 0) or (value is None) != (kind in ZERO and ZERO[kind] is None):
            out["default"] = value
    if fact["ignorable"] == "yes":
        out["ignorable"] = True
    if "STRING" in wire and any("COMPACT" not in e["type"] and e["v"] in flexible
                                for e in fact["versions"]) and not fact["array"]:
        out["flexible"] = "none"
    return out


def kind_of(message):
    package, _, name = message["class"].rpartition(".")
    for suffix in ("Request", "Response"):
        if name.endswith(suffix + "Data"):
            return name[:-4], suffix.lower()
    if name.endswith("HeaderData"):
        return name[:-4], "header"
    for part, kind in (("common.metadata", "metadata"), ("coordinator.group", "offsets"),
                       ("coordinator.transaction", "transaction"), ("coordinator.share", "share"),
                       ("remote.metadata", "remote_log")):
        if part in package and not name == "ProducerSnapshot":
            return name, kind
    if name in ("EndTxnMarker", "LeaderChangeMessage", "SnapshotHeaderRecord",
                "SnapshotFooterRecord", "KRaftVersionRecord", "VotersRecord",
                "ControlRecordTypeSchema"):
        return name, "control"
    return name, "data"


def message_spec(message, apis, old):
    name, kind = kind_of(message)
    first, last = message["min"], message["max"]
    out = {"name": name, "kind": kind}
    if message["key"] >= 0:
        out["key"] = message["key"]
    out["versions"] = f"{first}-{last}"
    out["flexible"] = span(message["flexible"], first, last) if message["flexible"] else "none"
    if kind == "request":
        api = apis[message["key"]]
        if api["max"] != api["max_unstable"]:
            out["stable"] = f"{api['min']}-{api['max']}"
        out["listeners"] = sorted(api["listeners"])
        if api["forwardable"]:
            out["forwardable"] = True
    out["about"] = old.get("about", "")
    for index, struct in enumerate(message["structs"]):
        fields = [field(f, message) for f in struct["fields"] if f["versions"]]
        if index == 0:
            out["fields"] = fields
            out["structs"] = {}
        else:
            out["structs"][struct["name"]] = fields
    return out


def dump(spec):
    """One field a line, so that a change of the protocol reads well in a diff."""
    lines = ["{"]
    for key, value in spec.items():
        if key not in ("fields", "structs"):
            lines.append(f"  {json.dumps(key)}: {json.dumps(value)},")

    def block(name, fields, indent, end):
        pad = " " * indent
        if not fields:
            lines.append(f"{pad}{json.dumps(name)}: []{end}")
            return
        lines.append(f"{pad}{json.dumps(name)}: [")
        for i, f in enumerate(fields):
            comma = "," if i + 1 < len(fields) else ""
            lines.append(f"{pad}  {json.dumps(f)}{comma}")
        lines.append(f"{pad}]{end}")

    structs = list(spec["structs"].items())
    block("fields", spec["fields"], 2, "," if structs else "")
    if structs:
        lines.append('  "structs": {')
        for i, (name, fields) in enumerate(structs):
            block(name, fields, 4, "," if i + 1 < len(structs) else "")
        lines.append("  }")
    lines.append("}")
    return "\n".join(lines) + "\n"


def main():
    facts = json.loads(pathlib.Path(sys.argv[1]).read_text())
    apis = {a["key"]: a for a in facts["apis"]}
    SPEC.mkdir(parents=True, exist_ok=True)
    seen = set()
    for message in facts["messages"]:
        name, _ = kind_of(message)
        if name in SKIP or message["max"] < message["min"]:
            continue
        path = SPEC / f"{name}.json"
        assert name not in seen, name
        seen.add(name)
        old = json.loads(path.read_text()) if path.exists() else {}
        path.write_text(dump(message_spec(message, apis, old)))
    for path in SPEC.glob("*.json"):
        if path.stem not in seen:
            print(f"no longer a fact: {path}", file=sys.stderr)
    path = ROOT / "spec" / "errors.json"
    old = {e["name"]: e for e in json.loads(path.read_text())} if path.exists() else {}
    rows = []
    for e in sorted(facts["errors"], key=lambda e: e["code"]):
        rows.append({"code": e["code"], "name": e["name"], "retriable": e["retriable"],
                     "text": old.get(e["name"], {}).get("text", "")})
    path.write_text("[\n" + ",\n".join("  " + json.dumps(r) for r in rows) + "\n]\n")
    print(f"{len(seen)} messages, {len(rows)} errors")


if __name__ == "__main__":
    main()
