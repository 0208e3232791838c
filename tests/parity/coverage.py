"""What the cases cover, computed from the requests themselves: for each field of each version, its edges.

An edge is a kind of value that a field can take: null, empty, unknown (another one than the ordinary), illegal
characters, too long; negative, zero, largest; an element twice; both values of a flag. What is left out stands in
uncovered.jsonl with its reason, so that a hole is seen.
"""
import collections
import json
import os
import re

import cases

HERE = os.path.dirname(os.path.abspath(__file__))
PAGE = os.path.join(HERE, "COVERAGE.md")
KINDS = ("null", "empty", "unknown", "illegal", "long", "negative", "zero", "largest", "twice", "flag")
TITLES = {"null": "null", "empty": "empty", "unknown": "unknown name, id or epoch", "illegal": "illegal characters", "long": "too large",
          "negative": "negative", "zero": "zero", "largest": "largest", "twice": "duplicate", "flag": "both values"}
LARGEST = {"int8": 127, "int16": 32767, "int32": (1 << 31) - 1, "int64": (1 << 63) - 1, "uint16": 65535}
NAMED = re.compile(r"(^|\.)(name|topic|topicName|topicNames|groupId|groups|groupsNames|resourceName|feature|key|coordinatorKeys|clientSoftware.*)$")
NOT_OF_APACHE = {("ApiVersions", 5), ("DeleteGroups", 3)}   # Kafka 4.4's: unit tests
LEGAL = re.compile(r"[a-zA-Z0-9._-]*")


def kinds_of(field, path):
    """The edges that a field has."""
    if field.array:
        return {"null", "empty", "twice"}
    if field.is_struct:
        return {"null"} if field.pointer else set()
    if field.type == "bool":
        return {"flag"}
    if field.type == "string":
        return {"null", "empty", "unknown", "long"} | ({"illegal"} if NAMED.search(path) else set())
    if field.type == "uuid":
        return {"zero", "unknown"}
    if field.type in ("bytes", "records"):
        return {"null", "empty", "unknown"}
    if field.type in LARGEST:
        return {"negative", "zero", "largest", "unknown"}
    return {"zero", "unknown"}


def fields_of(message, struct, v, path=""):
    for field in struct.fields:
        if not field.has(v):
            continue
        here = f"{path}.{field.json_name}" if path else field.json_name
        yield here, field
        if field.is_struct:
            yield from fields_of(message, message.by_name[field.type], v, here)


def edges_in(value, seen):
    """What a value of a plain field shows; other values are counted, so that two make an unknown one."""
    if value is None:
        return {"null"}
    if isinstance(value, bool):
        seen.add(value)
        return set()
    if isinstance(value, str):
        found = {"empty"} if value == "" else {"zero"} if value == "AAAAAAAAAAAAAAAAAAAAAA" else set()
        if not found:
            seen.add(re.sub(r"\d+", "#", value) if not value.startswith("$") else value[:4])
        return found | ({"long"} if len(value) >= 200 else set()) | ({"illegal"} if not LEGAL.fullmatch(value) and not value.startswith("$") else set())
    seen.add(value)
    return {"negative"} if value < 0 else {"zero"} if value == 0 else set()


class Coverage:
    def __init__(self, codec):
        self.codec = codec
        self.shown = collections.defaultdict(set)    # (api, v, path): kinds
        self.seen = collections.defaultdict(set)     # (api, v, path): values
        self.counts, self.series = collections.Counter(), collections.Counter()
        self.errors = collections.defaultdict(set)   # api: codes that Kafka answered
        self.total = 0
        for name in cases.names([]):
            answers = cases.answers(name)
            for case in cases.load(os.path.join(cases.CASES, name + ".jsonl"))[1]:
                self.total += 1
                self._case(case, answers.get(case["name"]) or [])

    def _case(self, case, answers):
        asked = [(s["api"], s["v"]) for s in case["steps"] if "api" in s]
        for one in set(asked):
            self.counts[one] += 1
            self.series[one] += asked.count(one) > 1 or len(asked) > 1
        for i, step in enumerate(case["steps"]):
            if "api" not in step:
                continue
            if i < len(answers):
                self._codes(step["api"], answers[i])
            if "f" in step:
                message = self.codec.apis[step["api"]][1]
                self._struct(message, message.top, step["api"], step["v"], step["f"], "")

    def _codes(self, api, answer):
        if isinstance(answer, dict):
            self.errors[api] |= {v for k, v in answer.items() if k.endswith("rrorCode") and isinstance(v, int)}
            answer = list(answer.values())
        if isinstance(answer, list):
            for one in answer:
                self._codes(api, one)
        elif answer in ("closed", "silent"):
            self.errors[api].add(answer)

    def _struct(self, message, struct, api, v, value, path):
        for field in struct.fields:
            if not field.has(v) or field.json_name not in value:
                continue
            here, one = f"{path}.{field.json_name}" if path else field.json_name, value[field.json_name]
            shown, seen = self.shown[api, v, here], self.seen[api, v, here]
            if field.array and one is not None:
                if not one:
                    shown.add("empty")
                texts = [json.dumps(x, sort_keys=True) for x in one]
                names = [json.dumps(next(iter(x.values()), None)) if isinstance(x, dict) else json.dumps(x) for x in one]
                if len(set(texts)) < len(texts) or len(set(names)) < len(names):
                    shown.add("twice")
                if not field.is_struct:
                    for x in one:
                        self.shown[api, v, here + "[]"] |= edges_in(x, self.seen[api, v, here + "[]"])
            elif not field.is_struct or one is None:
                shown |= edges_in(one, seen)
                if one == LARGEST.get(field.type):
                    shown.add("largest")
            if field.is_struct and one is not None:
                for x in one if field.array else [one]:
                    self._struct(message, message.by_name[field.type], api, v, x, here)

    def rows(self):
        """(api, v, {kind: (shown, possible)}, holes) of all that is asked."""
        for api, v in sorted(self.counts, key=lambda x: (self.codec.apis[x[0]][0], x[1])):
            message = self.codec.apis[api][1]
            if not message.stable[0] <= v <= message.stable[1]:
                continue
            table, holes = {k: [0, 0] for k in KINDS}, []
            for path, field in fields_of(message, message.top, v):
                shown, seen = set(self.shown[api, v, path]), self.seen[api, v, path]
                if len(seen) > 1:
                    shown |= {"unknown", "flag"}
                for kind in kinds_of(field, path):
                    table[kind][1] += 1
                    table[kind][0] += kind in shown
                    if kind not in shown:
                        holes.append((path, kind))
            yield api, v, table, holes


def load_uncovered():
    with open(os.path.join(HERE, "uncovered.jsonl")) as f:
        return [json.loads(line) for line in f if line.strip()]


def unexplained(coverage, reasons):
    """[(api, v, path, kind)] that no line of uncovered.jsonl speaks of."""
    def known(api, path, kind):
        return any(re.fullmatch(r["api"], api) and re.fullmatch(r["field"], path) and kind in r.get("kinds", KINDS) for r in reasons)
    return [(api, v, path, kind) for api, v, _, holes in coverage.rows() for path, kind in holes if not known(api, path, kind)]


def page(coverage, reasons):
    out = ["# What the cases cover", "", "Written by `tests/parity/make` from the cases; `run_test` fails when a hole has no reason.", "",
           f"{coverage.total} cases. A cell says of how many fields the edge is asked, of those that have it; the rest stands in `uncovered.jsonl`.", "",
           "| Request | Version | Cases | Sequences | " + " | ".join(TITLES[k] for k in KINDS) + " |", "|---|---|---|---|" + "---|" * len(KINDS)]
    for api, v, table, _ in coverage.rows():
        cells = [f"{shown}/{of}" if of else "" for shown, of in (table[k] for k in KINDS)]
        out.append(f"| {api} | {v} | {coverage.counts[api, v]} | {coverage.series[api, v] or ''} | " + " | ".join(cells) + " |")
    out += ["", "## Errors that Kafka answered", "", "| Request | Codes |", "|---|---|"]
    for api in sorted(coverage.errors, key=lambda a: coverage.codec.apis[a][0]):
        codes = coverage.errors[api]
        numbers = sorted(c for c in codes if isinstance(c, int))
        out.append(f"| {api} | {', '.join(map(str, numbers + sorted(c for c in codes if isinstance(c, str))))} |")
    out += ["", "## Left out", ""]
    out += [f"- {r['api']} `{r['field']}`{' (' + ', '.join(r['kinds']) + ')' if 'kinds' in r else ''}: {r['why']}" for r in reasons]
    return "\n".join(out) + "\n"
