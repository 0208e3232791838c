/* cli/produce_input.c - cutting lines apart. */
#include "cli/produce_input.h"

#include <jansson.h>
#include <string.h>

#include "base/assert.h"

enum { ARENA_BYTES = 256 << 20 };

void
input_init(struct input *input)
{
    memset(input, 0, sizeof *input);
    arena_init(&input->arena, ARENA_BYTES);
}

void
input_fini(struct input *input)
{
    arena_fini(&input->arena);
}

/* ---- formats ---- */

static bool
add_literal(struct input_part *part, char c)
{
    if (part->literal_len == INPUT_LITERAL_MAX)
        return false;
    part->literal[part->literal_len++] = c;
    return true;
}

static bool
has_verb(const struct input *input, char verb)
{
    for (int i = 0; i < input->part_count; i++)
        if (input->parts[i].verb == verb)
            return true;
    return false;
}

static const char *
add_verb(struct input *input, char verb)
{
    struct input_part *last = &input->parts[input->part_count - 1];
    if (verb == 'v')
        verb = 's';
    if (verb == '\0' || strchr("kspTh", verb) == NULL)
        return "knows %k %s %v %p %T %h and %%";
    if (has_verb(input, verb))
        return "has a verb twice";
    if (last->verb != 0 && last->literal_len == 0)
        return "wants text between two verbs";
    if (input->part_count == INPUT_PARTS_MAX)
        return "has too many verbs";
    input->parts[input->part_count++] = (struct input_part){.verb = verb};
    return NULL;
}

const char *
input_format(struct input *input, const char *format)
{
    static const char escapes[] = "ntr\\0";
    static const char meant[] = "\n\t\r\\\0";
    input->part_count = 1;
    input->parts[0] = (struct input_part){0};
    for (const char *p = format; *p != '\0'; p++) {
        struct input_part *part = &input->parts[input->part_count - 1];
        if (p[0] == '%' && p[1] != '%') {
            const char *wrong = add_verb(input, p[1]);
            if (wrong != NULL)
                return wrong;
            p++;
            continue;
        }
        char c = *p;
        if (c == '\\') {
            const char *at = p[1] != '\0' ? strchr(escapes, p[1]) : NULL;
            if (at == NULL)
                return "knows \\n \\t \\r \\0 and \\\\";
            c = meant[at - escapes];
        }
        p += *p == '%' || *p == '\\'; /* both stand for one */
        /* Lines end by themselves. */
        if (c == '\n' && p[1] == '\0')
            break;
        if (!add_literal(part, c))
            return "has too long a text between two verbs";
    }
    return has_verb(input, 's') ? NULL : "wants %s, the value";
}

bool
input_separator(struct input *input, const char *separator)
{
    size_t len = strlen(separator);
    if (len == 0 || len > INPUT_LITERAL_MAX)
        return false;
    input->part_count = 0;
    input->parts[0] = (struct input_part){.verb = 'k', .literal_len = len};
    memcpy(input->parts[0].literal, separator, len);
    return true;
}

/* ---- lines ---- */

static bool
wrong(struct input *input, const char *what, struct str text)
{
    snprintf(input->error, sizeof input->error, "%s: '%.*s'", what,
        text.len > 60 ? 60 : (int)text.len, text.data != NULL ? text.data : "");
    return false;
}

static struct bytes
as_bytes(struct str s)
{
    return (struct bytes){(const uint8_t *)(s.data != NULL ? s.data : ""), s.len};
}

static bool
take_number(struct input *input, struct str text, int64_t max, int64_t *out)
{
    char digits[24];
    if (text.len == 0 || text.len >= sizeof digits)
        return wrong(input, "no number", text);
    memcpy(digits, text.data, text.len);
    digits[text.len] = '\0';
    return (digits[strspn(digits, "0123456789")] == '\0' &&
               cli_number_parse(digits, 0, max, out)) ||
           wrong(input, "no number", text);
}

/* "a=1,b=2" */
static bool
take_headers(struct input *input, struct str text, struct client_record *record)
{
    record->headers = input->headers;
    record->header_count = 0;
    while (text.len > 0) {
        const char *comma = memchr(text.data, ',', text.len);
        struct str one = {text.data, comma != NULL ? (size_t)(comma - text.data) : text.len};
        const char *equals = memchr(one.data, '=', one.len);
        if (equals == NULL)
            return wrong(input, "a header is KEY=VALUE", one);
        if (record->header_count == INPUT_HEADERS_MAX)
            return wrong(input, "too many headers", one);
        size_t key_len = (size_t)(equals - one.data);
        input->headers[record->header_count++] =
            (struct batch_header){.key = as_bytes((struct str){one.data, key_len}),
                .value = as_bytes((struct str){equals + 1, one.len - key_len - 1})};
        text.data += comma != NULL ? one.len + 1 : one.len;
        text.len -= comma != NULL ? one.len + 1 : one.len;
    }
    return true;
}

static bool
take_field(struct input *input, char verb, struct str text, struct client_record *record)
{
    int64_t number;
    switch (verb) {
    case 'k': record->key = as_bytes(text); return true;
    case 's': record->value = as_bytes(text); return true;
    case 'h': return take_headers(input, text, record);
    case 'p':
        if (!take_number(input, text, INT32_MAX, &number))
            return false;
        record->partition = (int32_t)number;
        return true;
    default:
        ASSERT(verb == 'T');
        if (!take_number(input, text, INT64_MAX, &number))
            return false;
        record->timestamp = number;
        return true;
    }
}

static bool
by_format(struct input *input, struct str line, struct client_record *record)
{
    for (int i = 0; i < input->part_count; i++) {
        const struct input_part *part = &input->parts[i];
        struct str text = line;
        if (part->verb == 0) {
            if (line.len < part->literal_len ||
                memcmp(line.data, part->literal, part->literal_len) != 0)
                return wrong(input, "does not start as the format does", line);
        } else if (part->literal_len > 0) {
            const char *end = memmem(line.data, line.len, part->literal, part->literal_len);
            if (end == NULL)
                return wrong(input, "is not of the format", line);
            text.len = (size_t)(end - line.data);
        }
        if (part->verb != 0 && !take_field(input, part->verb, text, record))
            return false;
        size_t used = part->verb == 0 ? part->literal_len : text.len + part->literal_len;
        line = (struct str){line.data + used, line.len - used};
    }
    return true;
}

/* ---- JSON: what consume -o json prints ---- */

/* A text, or null; false for anything else. */
static bool
take_json_text(struct input *input, json_t *value, struct bytes *out)
{
    *out = BYTES_NULL;
    if (value == NULL || json_is_null(value))
        return true;
    if (!json_is_string(value))
        return false;
    struct str copy =
        arena_str(&input->arena, (struct str){json_string_value(value), json_string_length(value)});
    *out = as_bytes(copy);
    return !str_is_null(copy);
}

static bool
take_json_headers(struct input *input, json_t *list, struct client_record *record)
{
    if (list == NULL)
        return true;
    if (!json_is_array(list) || json_array_size(list) % 2 != 0 ||
        json_array_size(list) > 2 * INPUT_HEADERS_MAX)
        return false;
    record->headers = input->headers;
    record->header_count = 0;
    for (size_t i = 0; i < json_array_size(list); i += 2) {
        struct batch_header *header = &input->headers[record->header_count];
        if (!take_json_text(input, json_array_get(list, i), &header->key) ||
            !take_json_text(input, json_array_get(list, i + 1), &header->value) ||
            header->key.data == NULL)
            return false;
        record->header_count++;
    }
    return true;
}

static bool
by_json(struct input *input, struct str line, struct client_record *record)
{
    json_error_t error;
    json_t *root = json_loadb(line.data, line.len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
    if (root == NULL || !json_is_object(root)) {
        json_decref(root);
        return wrong(input, root == NULL ? error.text : "no JSON object", line);
    }
    json_t *timestamp = json_object_get(root, "ts");
    bool ok = take_json_text(input, json_object_get(root, "key"), &record->key) &&
              take_json_text(input, json_object_get(root, "payload"), &record->value) &&
              take_json_headers(input, json_object_get(root, "headers"), record) &&
              (timestamp == NULL || json_is_integer(timestamp));
    if (ok && timestamp != NULL)
        record->timestamp = json_integer_value(timestamp);
    json_decref(root);
    return ok || wrong(input,
                     "wants \"key\" and \"payload\" as texts or null, \"headers\" as a list of "
                     "texts, \"ts\" as a number",
                     line);
}

bool
input_line(struct input *input, struct str line, struct client_record *record)
{
    arena_reset(&input->arena);
    input->error[0] = '\0';
    bool ok = true;
    if (input->json) {
        ok = by_json(input, line, record);
    } else if (input->part_count > 0) {
        ok = by_format(input, line, record);
    } else {
        const struct input_part *key = &input->parts[0]; /* of input_separator */
        const char *at = key->literal_len > 0
                             ? memmem(line.data, line.len, key->literal, key->literal_len)
                             : NULL;
        if (at != NULL) { /* a line without the separator is a value alone */
            size_t len = (size_t)(at - line.data);
            record->key = as_bytes((struct str){line.data, len});
            line = (struct str){at + key->literal_len, line.len - len - key->literal_len};
        }
        record->value = as_bytes(line);
    }
    if (ok && input->tombstones && record->value.len == 0)
        record->value = BYTES_NULL;
    return ok;
}
