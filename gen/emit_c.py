"""C from the message specifications: struct headers and the codec's tables (src/proto/schema_priv.h)."""
import spec

C_TYPE = {"bool": "bool", "int8": "int8_t", "int16": "int16_t", "uint16": "uint16_t",
          "int32": "int32_t", "uint32": "uint32_t", "int64": "int64_t", "float64": "double",
          "uuid": "struct uuid", "string": "struct str", "bytes": "struct bytes",
          "records": "struct proto_records"}
# The fewest bytes that a value can take: plain and compact.
SIZE_MIN = {"bool": (1, 1), "int8": (1, 1), "int16": (2, 2), "uint16": (2, 2), "int32": (4, 4),
            "uint32": (4, 4), "int64": (8, 8), "float64": (8, 8), "uuid": (16, 16),
            "string": (2, 1), "bytes": (4, 1), "records": (4, 1)}


def field_c_type(field, message):
    if field.is_struct:
        return "struct " + message.by_name[field.type].c_name
    return C_TYPE[field.type]


def version_text(field):
    low, high = field.versions
    return f"v{low}" if low == high else f"v{low}-{high}"


def header(message):
    guard = f"PROTO_{message.snake.upper()}_H"
    upper = "PROTO_" + message.snake.upper()
    out = [f"/* proto/{message.snake}.h - generated from spec/messages/{message.name}.json. */",
           f"#ifndef {guard}", f"#define {guard}", "", "#include <stdbool.h>",
           "#include <stdint.h>", "", '#include "base/bytes.h"', '#include "base/uuid.h"',
           '#include "proto/schema.h"', "", "enum {"]
    if message.key is not None:
        out.append(f"    {upper}_KEY = {message.key},")
    out += [f"    {upper}_VERSION_MIN = {message.versions[0]},",
            f"    {upper}_VERSION_MAX = {message.versions[1]},", "};", ""]
    for struct in message.in_order():
        out.append(f"struct {struct.c_name} {{")
        for f in struct.fields:
            ctype = field_c_type(f, message)
            notes = []
            if f.versions != message.versions:
                notes.append(version_text(f))
            if f.tag is not None:
                notes.append(f"tag {f.tag}")
            if f.nullable[0] <= f.nullable[1]:
                notes.append("nullable")
            note = f" /* {', '.join(notes)} */" if notes else ""
            if f.array:
                out += ["    struct {", f"        {ctype} *items;", "        int32_t count;",
                        f"    }} {f.c_name};{note}"]
            else:
                star = "*" if f.pointer else ""
                out.append(f"    {ctype} {star}{f.c_name};{note}")
        if not struct.fields:
            out.append("    uint8_t unused; /* it has no fields */")
        out += ["};", ""]
    for struct in reversed(message.in_order()):
        out.append(f"extern const struct proto_schema {struct.c_name}_schema;")
    return "\n".join(out + ["", "#endif", ""])


def c_number(value, kind):
    if kind == "bool":
        return "true" if value else "false"
    if kind == "float64":
        return repr(float(value))
    if value == -2**63:
        return "INT64_MIN"
    if value == -2**31:
        return "INT32_MIN"
    return f"{value}LL" if abs(value) > 2**31 - 1 else str(value)


def c_text(value):
    assert '"' not in value and "\\" not in value
    return f'"{value}", {len(value.encode())}'


def initializer(field, message):
    """The C initializer of a field's default, or None when it is all zero."""
    if field.array:
        return "{NULL, -1}" if field.has_default and field.default is None else None
    if field.is_struct:
        if field.pointer:
            if field.has_default and field.default is None:
                return None
            name = message.by_name[field.type].c_name
            return f"(struct {name} *)&{name}_defaults"
        inner = initializers(message.by_name[field.type], message)
        return "{" + ", ".join(inner) + "}" if inner else None
    if field.type in ("string", "bytes", "records") and field.has_default and field.default is None:
        return None
    if field.type == "string":
        return "{" + c_text(field.default or "") + "}"
    if field.type == "bytes":
        return '{(const uint8_t *)"", 0}'
    if field.type == "records":
        return '{.bytes = {(const uint8_t *)"", 0}}' if field.has_default else None
    if not field.has_default:
        return None
    return c_number(field.default, field.type)


def initializers(struct, message):
    out = []
    for f in struct.fields:
        text = initializer(f, message)
        if text is not None:
            out.append(f".{f.c_name} = {text}")
    return out


def size_min(struct, version):
    message = struct.message
    compact = message.is_flexible(version)
    total = 1 if compact else 0
    for f in struct.fields:
        if not f.has(version) or f.tag is not None:
            continue
        if f.array:
            total += 1 if compact else 4
        elif f.is_struct:
            total += 1 if f.may_be_null(version) else \
                size_min(message.by_name[f.type], version)
        else:
            total += SIZE_MIN[f.type][1 if compact and not f.compact_never else 0]
    return total


def op(field, index, version, message):
    kind = "ARRAY" if field.array else "STRUCT" if field.is_struct else field.type.upper()
    code = [f"PROTO_{kind}"]
    if field.may_be_null(version):
        code.append("PROTO_NULLABLE")
    if message.is_flexible(version) and not field.compact_never:
        code.append("PROTO_COMPACT")
    if field.tag is not None:
        code.append("PROTO_TAGGED")
    return f"{{{' | '.join(code)}, {index}}}"


class Tables:
    """The tables of one C file; equal op lists and plans are shared within a struct."""

    def __init__(self):
        self.lines = []

    def array(self, name, ctype, items):
        if not items:
            return "NULL"
        self.lines.append(f"static const {ctype} {name}[] = {{{', '.join(items)}}};")
        return name

    def plans(self, struct):
        message = struct.message
        plans, plan_of, parts = [], [], {}

        def part(kind, ctype, items):
            if not items:
                return "NULL"
            key = (ctype, tuple(items))
            if key not in parts:
                parts[key] = self.array(f"{struct.c_name}_{kind}{len(parts)}", ctype, items)
            return parts[key]

        for version in range(message.versions[0], message.versions[1] + 1):
            present = [(i, f) for i, f in enumerate(struct.fields) if f.has(version)]
            ops = [op(f, i, version, message) for i, f in present if f.tag is None]
            tagged = [op(f, i, version, message) for i, f in
                      sorted((p for p in present if p[1].tag is not None),
                             key=lambda p: p[1].tag)]
            absent = [str(i) for i, f in enumerate(struct.fields)
                      if not f.has(version) and not f.ignorable]
            flexible = message.is_flexible(version)
            assert flexible or not tagged, (message.name, version)
            assert len(tagged) <= 32, message.name
            text = (f"{{{part('ops', 'struct proto_op', ops)}, "
                    f"{part('ops', 'struct proto_op', tagged)}, "
                    f"{part('absent', 'uint8_t', absent)}, "
                    f"{len(ops)}, {len(tagged)}, {len(absent)}, "
                    f"{'true' if flexible else 'false'}, {size_min(struct, version)}}}")
            if text not in plans:
                plans.append(text)
            plan_of.append(str(plans.index(text)))
        self.array(f"{struct.c_name}_plans", "struct proto_plan", plans)
        self.array(f"{struct.c_name}_plan_of", "uint8_t", plan_of)

    def field(self, f, struct):
        message = struct.message
        own = f"struct {struct.c_name}"
        kind = "STRUCT" if f.is_struct else f.type.upper()
        size = f"sizeof({field_c_type(f, message)})" if f.array or f.is_struct else "0"
        schema = f"&{message.by_name[f.type].c_name}_schema" if f.is_struct else "NULL"
        return (f'    {{"{f.json_name}", offsetof({own}, {f.c_name}), '
                f"PROTO_{'ARRAY' if f.array else kind}, PROTO_{kind}, {size}, "
                f"{'true' if f.ignorable else 'false'}, {'true' if f.pointer else 'false'}, "
                f"{f.versions[0]}, {f.versions[1]}, {f.nullable[0]}, {f.nullable[1]}, "
                f"{-1 if f.tag is None else f.tag}, {schema}}},")

    def struct(self, struct):
        message, name = struct.message, struct.c_name
        inits = ", ".join(initializers(struct, message)) or "0"
        self.lines.append(f"static const struct {name} {name}_defaults = {{{inits}}};")
        fields = "NULL"
        if struct.fields:
            fields = f"{name}_fields"
            self.lines.append(f"static const struct proto_field {fields}[] = {{")
            self.lines += [self.field(f, struct) for f in struct.fields]
            self.lines.append("};")
        self.plans(struct)
        self.lines.append(
            f'const struct proto_schema {name}_schema = {{"{struct.name}", sizeof(struct {name}), '
            f"{message.versions[0]}, {message.versions[1]}, {len(struct.fields)}, {fields}, "
            f"{name}_plan_of, {name}_plans, &{name}_defaults}};")
        self.lines.append("")


def tables(messages, file_name):
    out = Tables()
    for message in messages:
        for struct in message.in_order():
            out.struct(struct)
    includes = [f'#include "proto/{m.snake}.h"' for m in messages]
    head = [f"/* proto/{file_name} - generated from spec/messages/. */",
            "#include <stddef.h>", "", '#include "proto/schema_priv.h"'] + includes + [""]
    return "\n".join(head + out.lines) + "\n"


def kind_constant(message):
    kind = message.kind.upper()
    if message.kind in ("offsets", "transaction", "share"):
        kind += "_KEY" if message.name.endswith("Key") else "_VALUE"
    return f"PROTO_{kind}"


def index_table(messages):
    """Lookups: APIs by key, messages by name."""
    apis = spec.apis(messages)
    out = ["/* proto/tables_index.c - generated from spec/messages/. */",
           "#include <stddef.h>", "", '#include "proto/schema_priv.h"']
    out += [f'#include "proto/{m.snake}.h"' for m in messages]
    out += ["", "const struct proto_api proto_apis[] = {"]
    by_key = {}
    for key, request, response in apis:
        by_key[key] = len(by_key)
        assert request.versions == response.versions, request.name
        flexible = request.flexible[0] if request.flexible[0] <= request.flexible[1] else "INT16_MAX"
        yes = ["true" if x else "false" for x in
               ("broker" in request.listeners, "controller" in request.listeners,
                request.forwardable)]
        out.append(f'    {{{key}, "{request.name[:-7]}", {request.stable[0]}, {request.stable[1]}, '
                   f"{flexible}, &proto_{request.snake}_schema, &proto_{response.snake}_schema, "
                   f"{', '.join(yes)}}},")
    out += ["};", f"const int proto_api_count = {len(apis)};"]
    indexes = [str(by_key.get(k, -1)) for k in range(apis[-1][0] + 1)]
    out += [f"const int16_t proto_api_by_key[] = {{{', '.join(indexes)}}};",
            f"const int proto_api_by_key_count = {len(indexes)};", "",
            "const struct proto_message proto_messages[] = {"]
    by_kind = {}
    for i, m in enumerate(sorted(messages, key=lambda m: m.name)):
        key = -1 if m.key is None else m.key
        assert key < 128, m.name
        out.append(f"    {{{kind_constant(m)}, {key}, &proto_{m.snake}_schema}},")
        keys = by_kind.setdefault(kind_constant(m), {})
        if key >= 0:
            assert key not in keys, m.name
            keys[key] = i
    out += ["};", f"const int proto_message_count = {len(messages)};",
            "const int16_t proto_message_by_key[PROTO_KIND_COUNT][PROTO_KEY_COUNT] = {"]
    for kind, keys in by_kind.items():
        row = ", ".join(str(keys.get(k, -1)) for k in range(128))
        out.append(f"    [{kind}] = {{{row}}},")
    return "\n".join(out + ["};", ""])


def api_keys(messages):
    out = ["/* proto/api_keys.h - generated from spec/messages/. */", "#ifndef PROTO_API_KEYS_H",
           "#define PROTO_API_KEYS_H", "", "enum proto_api_key {"]
    for key, request, _ in spec.apis(messages):
        out.append(f"    PROTO_API_{spec.snake(request.name[:-7]).upper()} = {key},")
    return "\n".join(out + ["};", "", "#endif", ""])


def error_codes_h(errors):
    out = ["/* proto/error_codes.h - Kafka's protocol errors; generated from spec/errors.json. */",
           "#ifndef PROTO_ERROR_CODES_H", "#define PROTO_ERROR_CODES_H", "",
           "#include <stdbool.h>", "#include <stdint.h>", "",
           "/* X(name, code, retriable, text) */", "#define PROTO_ERROR_LIST(X) \\"]
    for i, e in enumerate(errors):
        end = " \\" if i + 1 < len(errors) else ""
        out.append(f'    X({e["name"]}, {e["code"]}, {str(e["retriable"]).lower()}, '
                   f'"{e["text"]}"){end}')
    out += ["", "enum proto_error {", "#define X(name, code, retriable, text) PROTO_ERROR_##name = code,",
            "    PROTO_ERROR_LIST(X)", "#undef X", "};", "",
            "/* Kafka's name and our text of a code; \"UNKNOWN\" for one that is not listed. */",
            "const char *proto_error_name(int16_t code);",
            "const char *proto_error_text(int16_t code);",
            "/* Whether a client may try the same thing again. */",
            "bool proto_error_retriable(int16_t code);", "", "#endif", ""]
    return "\n".join(out)
