/* codec_peer - our half of the codec exchange; see README.md.
 *
 *   codec_peer list                 names of the messages
 *   codec_peer write SAMPLES SEED   random messages, encoded by us, to standard output
 *   codec_peer check                judges the stream of Apache's on standard input
 *   codec_peer table                messages and versions
 *   codec_peer seeds DIR            a small corpus for the decoder's fuzzer */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/arena.h"
#include "base/bytes.h"
#include "base/uuid.h"
#include "proto/fill.h"
#include "proto/schema.h"

enum { ARENA_BYTES = 8 << 20, TEXT_BYTES = 64 << 20, NAME_BYTES = 128, SHOWN_MAX = 5 };

struct peer {
    struct arena arena;
    struct writer w;
    struct buf json;
    long samples;
    long versions;
    long differences;
    long doubles; /* JSON equal but for the digits of a double */
};

static void
peer_init(struct peer *p)
{
    memset(p, 0, sizeof *p);
    arena_init(&p->arena, ARENA_BYTES);
    writer_init(&p->w, TEXT_BYTES);
    buf_init(&p->json, TEXT_BYTES);
}

static void
peer_fini(struct peer *p)
{
    arena_fini(&p->arena);
    writer_fini(&p->w);
    buf_fini(&p->json);
}

static void
put(const void *data, size_t len)
{
    uint8_t head[4];

    store_be32(head, (uint32_t)len);
    fwrite(head, 1, sizeof head, stdout);
    fwrite(data, 1, len, stdout);
}

static void
fail(struct peer *p, const char *name, int version, const char *what)
{
    if (p->differences++ < SHOWN_MAX)
        fprintf(stderr, "# %s v%d: %s\n", name, version, what);
}

static uint64_t
mix(uint64_t seed, int message, int version, long sample)
{
    return (seed * 1000003 + (uint64_t)message) * 1000003 + (uint64_t)version * 65537 +
           (uint64_t)sample;
}

static bool
write_one(struct peer *p, const struct proto_schema *schema, int16_t version, uint64_t seed)
{
    const char *name = proto_schema_name(schema);
    uint8_t number[2];

    arena_reset(&p->arena);
    buf_clear(&p->w.buf);
    buf_clear(&p->json);
    void *msg = arena_alloc(&p->arena, proto_schema_size(schema));
    if (msg == NULL || proto_fill(schema, version, seed, &p->arena, msg) != ERR_OK ||
        proto_encode(schema, version, msg, &p->w) != ERR_OK ||
        proto_to_json(schema, version, msg, &p->json) != ERR_OK) {
        fail(p, name, version, "a filled message could not be written");
        return false;
    }
    put(name, strlen(name));
    store_be16(number, (uint16_t)version);
    fwrite(number, 1, sizeof number, stdout);
    put(p->w.buf.data, p->w.buf.len);
    put(p->json.data, p->json.len);
    p->samples++;
    return true;
}

static int
run_write(struct peer *p, long samples, uint64_t seed)
{
    int count;
    const struct proto_message *all = proto_message_list(&count);

    for (int m = 0; m < count; m++) {
        const struct proto_schema *schema = all[m].schema;
        for (int v = proto_schema_version_min(schema); v <= proto_schema_version_max(schema); v++) {
            p->versions++;
            for (long i = 0; i < samples; i++)
                if (!write_one(p, schema, (int16_t)v, mix(seed, m, v, i)))
                    return 1;
        }
    }
    put("", 0);
    return fflush(stdout) == 0 && p->differences == 0 ? 0 : 1;
}

/* A length and that many bytes; NULL at the end of the stream. */
static uint8_t *
get(uint32_t *len)
{
    uint8_t head[4];

    if (fread(head, 1, sizeof head, stdin) != sizeof head)
        return NULL;
    *len = load_be32(head);
    if (*len > TEXT_BYTES)
        return NULL;
    uint8_t *data = mem_alloc(*len + 1);
    if (data == NULL || fread(data, 1, *len, stdin) != *len) {
        mem_free(data);
        return NULL;
    }
    data[*len] = 0;
    return data;
}

/* The same text, or the same but for spans of digits: a double that Java prints longer. */
static bool
text_alike(struct bytes a, struct bytes b)
{
    size_t i = 0, k = 0;

    while (i < a.len && k < b.len) {
        if (a.data[i] == b.data[k]) {
            i++;
            k++;
            continue;
        }
        while (i > 0 && strchr("0123456789.eE+-", a.data[i - 1]) != NULL) {
            i--;
            k--;
        }
        char *ends[2];
        double x = strtod((const char *)a.data + i, &ends[0]);
        double y = strtod((const char *)b.data + k, &ends[1]);
        if (x != y || (uint8_t *)ends[0] == a.data + i)
            return false;
        i = (size_t)((uint8_t *)ends[0] - a.data);
        k = (size_t)((uint8_t *)ends[1] - b.data);
    }
    return i == a.len && k == b.len;
}

static void
check_json(struct peer *p, const struct proto_schema *schema, int16_t version, const void *msg,
    struct bytes json)
{
    const char *name = proto_schema_name(schema);
    struct str what = STR_NULL;

    buf_clear(&p->json);
    if (proto_to_json(schema, version, msg, &p->json) != ERR_OK) {
        fail(p, name, version, "no JSON");
        return;
    }
    (void)buf_z(&p->json);
    if (!bytes_eq(buf_bytes(&p->json), json)) {
        if (!text_alike(buf_bytes(&p->json), json)) {
            fail(p, name, version, "JSON differs");
            if (p->differences <= SHOWN_MAX)
                fprintf(stderr, "#   %.*s\n#   %s\n", (int)json.len, (const char *)json.data,
                    buf_z(&p->json));
            return;
        }
        p->doubles++;
    }
    void *back = arena_alloc(&p->arena, proto_schema_size(schema));
    if (back == NULL ||
        proto_from_json(schema, version, (struct str){(const char *)json.data, json.len}, &p->arena,
            back, &what) != ERR_OK) {
        fail(p, name, version, "their JSON was refused");
        fprintf(stderr, "#   %.*s\n", STR_FMT(what));
        return;
    }
    /* Records do not survive JSON; all else must. */
    buf_clear(&p->json);
    if (strstr((const char *)json.data, "ecords\":\"\"") == NULL && !proto_equal(schema, msg, back))
        fail(p, name, version, "their JSON means something else");
}

static void
check_one(struct peer *p, const struct proto_schema *schema, int16_t version, struct bytes bytes,
    struct bytes json)
{
    const char *name = proto_schema_name(schema);
    struct reader r;

    arena_reset(&p->arena);
    buf_clear(&p->w.buf);
    reader_init(&r, bytes);
    void *msg = arena_alloc(&p->arena, proto_schema_size(schema));
    enum err err = msg == NULL ? ERR_NOMEM : proto_decode(schema, version, &r, &p->arena, msg);
    if (err != ERR_OK)
        fail(p, name, version, err_name(err));
    else if (reader_remaining(&r) != 0)
        fail(p, name, version, "bytes left");
    else if (proto_encode(schema, version, msg, &p->w) != ERR_OK)
        fail(p, name, version, "could not be encoded again");
    else if (!bytes_eq(buf_bytes(&p->w.buf), bytes))
        fail(p, name, version, "encodes to other bytes");
    else if (json.len > 0)
        check_json(p, schema, version, msg, json);
    p->samples++;
}

static int
run_check(struct peer *p)
{
    char last[NAME_BYTES] = "";
    uint32_t name_len, len, json_len;
    uint8_t number[2];
    int last_version = -1;

    for (;;) {
        uint8_t *name = get(&name_len);
        if (name == NULL || name_len == 0) {
            bool ended = name != NULL;
            mem_free(name);
            printf("# Apache to ours: %ld message versions, %ld samples, %ld differences"
                   " (%ld equal but for a double's digits)\n",
                p->versions, p->samples, p->differences, p->doubles);
            return ended && p->differences == 0 && p->samples > 0 ? 0 : 1;
        }
        bool whole = fread(number, 1, sizeof number, stdin) == sizeof number;
        uint8_t *bytes = whole ? get(&len) : NULL;
        uint8_t *json = bytes != NULL ? get(&json_len) : NULL;
        const struct proto_message *message = proto_message_find_name((const char *)name);
        int16_t version = (int16_t)load_be16(number);
        if (json == NULL || message == NULL) {
            fail(p, (const char *)name, version, json == NULL ? "cut short" : "not known");
        } else {
            if (version != last_version || strcmp(last, (const char *)name) != 0)
                p->versions++;
            last_version = version;
            snprintf(last, sizeof last, "%s", (const char *)name);
            check_one(p, message->schema, version, (struct bytes){bytes, len},
                (struct bytes){json, json_len});
        }
        mem_free(name);
        mem_free(bytes);
        mem_free(json);
    }
}

static int
run_list(bool versions)
{
    int count, sum = 0;
    const struct proto_message *all = proto_message_list(&count);

    for (int m = 0; m < count; m++) {
        int min = proto_schema_version_min(all[m].schema);
        int max = proto_schema_version_max(all[m].schema);
        sum += max - min + 1;
        if (versions)
            printf("# %-48s %d-%d\n", proto_schema_name(all[m].schema), min, max);
        else
            puts(proto_schema_name(all[m].schema));
    }
    if (versions)
        printf("# %d messages, %d message versions\n", count, sum);
    return 0;
}

/* A file for each message but responses and keys, as tests/fuzz/proto_decode.c takes them. */
static int
run_seeds(struct peer *p, const char *dir)
{
    int count;
    const struct proto_message *all = proto_message_list(&count);

    for (int m = 0; m < count; m++) {
        const struct proto_schema *schema = all[m].schema;
        int16_t v = proto_schema_version_max(schema);
        char path[512];
        if (all[m].kind == PROTO_RESPONSE || all[m].kind == PROTO_OFFSETS_KEY)
            continue;
        uint8_t head[4];
        arena_reset(&p->arena);
        buf_clear(&p->w.buf);
        void *msg = arena_alloc(&p->arena, proto_schema_size(schema));
        uint64_t seed = 1;
        do {
            buf_clear(&p->w.buf);
            if (msg == NULL || proto_fill(schema, v, seed++, &p->arena, msg) != ERR_OK ||
                proto_encode(schema, v, msg, &p->w) != ERR_OK)
                return 1;
        } while (p->w.buf.len > 400 && seed < 40);
        snprintf(path, sizeof path, "%s/%s", dir, proto_schema_name(schema));
        FILE *f = fopen(path, "wb");
        if (f == NULL)
            return 1;
        store_be16(head, (uint16_t)m);
        store_be16(head + 2, (uint16_t)v);
        fwrite(head, 1, sizeof head, f);
        fwrite(p->w.buf.data, 1, p->w.buf.len, f);
        if (fclose(f) != 0)
            return 1;
    }
    return 0;
}

int
main(int argc, char **argv)
{
    struct peer p;
    const char *command = argc > 1 ? argv[1] : "";
    int result = 2;

    peer_init(&p);
    if (strcmp(command, "list") == 0)
        result = run_list(false);
    else if (strcmp(command, "table") == 0)
        result = run_list(true);
    else if (strcmp(command, "write") == 0 && argc == 4)
        result = run_write(&p, atol(argv[2]), strtoull(argv[3], NULL, 0));
    else if (strcmp(command, "check") == 0)
        result = run_check(&p);
    else if (strcmp(command, "seeds") == 0 && argc == 3)
        result = run_seeds(&p, argv[2]);
    else
        fprintf(stderr, "usage: codec_peer list|table|write SAMPLES SEED|check|seeds DIR\n");
    peer_fini(&p);
    return result;
}
