/* proto/schema.h - the codec: generated descriptors say what a message is, this runs over them.
 *
 * gen/ turns spec/messages/ into plain C structs (one header per message, in the build folder:
 * "proto/fetch_request.h") and constant tables. Decoding is zero-copy: strings, bytes and records
 * are views of the frame; arrays come from the arena, charged before they are allocated. Fields
 * that a version does not have keep their defaults. Unknown tags are skipped and not kept. */
#ifndef PROTO_SCHEMA_H
#define PROTO_SCHEMA_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"
#include "wire/reader.h"
#include "wire/writer.h"

/* In every generated struct, an array is
 *     struct { struct item *items; int32_t count; } name;      count -1 means null
 * a string is struct str, bytes are struct bytes (data NULL means null), a uuid is struct uuid,
 * a bool is bool, numbers are intN_t, uint16_t, uint32_t or double, a struct that may be null is a
 * pointer (NULL means null; the default is never written through), and records are: */
struct proto_records {
    struct bytes bytes; /* in memory; NULL means null; decoding gives this */
    /* When file is set, encoding splices this range instead. The reference moves to the writer. */
    void *file;
    int64_t position;
    size_t len;
};

struct proto_schema; /* one struct's descriptor; opaque but for the generator's tables */

const char *proto_schema_name(const struct proto_schema *schema); /* Apache's, "FetchRequest" */
size_t proto_schema_size(const struct proto_schema *schema);      /* of the C struct */
int16_t proto_schema_version_min(const struct proto_schema *schema);
int16_t proto_schema_version_max(const struct proto_schema *schema);

/* Sets every field to its default. */
void proto_init(const struct proto_schema *schema, void *msg);
/* TRUNCATED, CORRUPT, NOMEM (budget), UNSUPPORTED (version). Bytes after the message are left in
 * the reader. On failure *msg is safe to read and half filled. */
MUST_USE enum err proto_decode(const struct proto_schema *schema, int16_t version, struct reader *r,
    struct arena *arena, void *msg);
/* INVALID when the message cannot be said in that version (a non-default field that the version
 * lacks and that is not ignorable, or a null that it does not allow), UNSUPPORTED (version), LIMIT
 * or NOMEM from the writer. */
MUST_USE enum err proto_encode(
    const struct proto_schema *schema, int16_t version, const void *msg, struct writer *w);
/* Same value in every field. Null and empty differ; records compare by their bytes. */
bool proto_equal(const struct proto_schema *schema, const void *a, const void *b);

/* JSON, as Apache's JsonConverters write it (one line; records come out as ""). INVALID as above,
 * LIMIT or NOMEM from the buffer. */
MUST_USE enum err proto_to_json(
    const struct proto_schema *schema, int16_t version, const void *msg, struct buf *out);
/* The reverse; strings and arrays are copied to the arena. INVALID with a text in *what. */
MUST_USE enum err proto_from_json(const struct proto_schema *schema, int16_t version,
    struct str json, struct arena *arena, void *msg, struct str *what);

/* The throttleTimeMs of a response; NULL where its schema has none. */
int32_t *proto_throttle_time(const struct proto_schema *schema, void *msg);

/* ---- requests and responses by key ---- */

struct proto_api {
    int16_t key;
    const char *name;                 /* "Produce" */
    int16_t version_min, version_max; /* what Kafka 4.4 accepts */
    int16_t flexible_from;            /* INT16_MAX when never */
    const struct proto_schema *request;
    const struct proto_schema *response;
    bool on_broker, on_controller; /* the listeners that Kafka serves it on */
    bool forwardable;              /* a broker may pass it on to the controller in an Envelope */
};

/* NULL for an unknown key. */
const struct proto_api *proto_api_find(int16_t key);
const struct proto_api *proto_api_find_name(const char *name);
/* 1 or 2 / 0 or 1: the versions of the headers that go with a request version. */
int16_t proto_request_header_version(const struct proto_api *api, int16_t version);
int16_t proto_response_header_version(const struct proto_api *api, int16_t version);

/* ---- everything by name, and record types by key ---- */

enum proto_kind {
    PROTO_REQUEST,
    PROTO_RESPONSE,
    PROTO_HEADER,
    PROTO_METADATA,    /* __cluster_metadata; the key is the record's type */
    PROTO_OFFSETS_KEY, /* __consumer_offsets; the key is the int16 that starts a key */
    PROTO_OFFSETS_VALUE,
    PROTO_TRANSACTION_KEY, /* __transaction_state */
    PROTO_TRANSACTION_VALUE,
    PROTO_SHARE_KEY, /* __share_group_state */
    PROTO_SHARE_VALUE,
    PROTO_REMOTE_LOG, /* __remote_log_metadata */
    PROTO_CONTROL,    /* bodies of control records; no key */
    PROTO_DATA,       /* the rest; no key */
};

struct proto_message {
    enum proto_kind kind;
    int16_t key; /* -1 when it has none */
    const struct proto_schema *schema;
};

/* All of them in order of their names; *count is set. */
const struct proto_message *proto_message_list(int *count);
/* NULL when there is none. */
const struct proto_message *proto_message_find(enum proto_kind kind, int16_t key);
const struct proto_message *proto_message_find_name(const char *name);

#endif
