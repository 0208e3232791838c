/* meta/records.h - the frame of metadata records: type and version before the flexible body.
 *
 * A record's value is: frame version (1), record type, record version, each an unsigned varint,
 * then the generated struct in that version. */
#ifndef META_RECORDS_H
#define META_RECORDS_H

#include <stdint.h>

#include "base/arena.h"
#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"
#include "proto/schema.h"
#include "wire/batch_builder.h"

/* Kafka's numbers. */
enum meta_record_type {
    META_RECORD_REGISTER_BROKER = 0,
    META_RECORD_UNREGISTER_BROKER = 1,
    META_RECORD_TOPIC = 2,
    META_RECORD_PARTITION = 3,
    META_RECORD_CONFIG = 4,
    META_RECORD_PARTITION_CHANGE = 5,
    META_RECORD_FENCE_BROKER = 7,
    META_RECORD_UNFENCE_BROKER = 8,
    META_RECORD_REMOVE_TOPIC = 9,
    META_RECORD_DELEGATION_TOKEN = 10,
    META_RECORD_USER_SCRAM_CREDENTIAL = 11,
    META_RECORD_FEATURE_LEVEL = 12,
    META_RECORD_CLIENT_QUOTA = 14,
    META_RECORD_PRODUCER_IDS = 15,
    META_RECORD_BROKER_REGISTRATION_CHANGE = 17,
    META_RECORD_ACCESS_CONTROL_ENTRY = 18,
    META_RECORD_REMOVE_ACCESS_CONTROL_ENTRY = 19,
    META_RECORD_NO_OP = 20,
    META_RECORD_ZK_MIGRATION_STATE = 21,
    META_RECORD_REMOVE_USER_SCRAM_CREDENTIAL = 22,
    META_RECORD_BEGIN_TRANSACTION = 23,
    META_RECORD_END_TRANSACTION = 24,
    META_RECORD_ABORT_TRANSACTION = 25,
    META_RECORD_REMOVE_DELEGATION_TOKEN = 26,
    META_RECORD_REGISTER_CONTROLLER = 27,
    META_RECORD_CLEAR_ELR = 28,
    META_RECORD_UNREGISTER_CONTROLLER = 29,
};

/* The records of one operation, which become one batch. */
struct meta_records {
    struct arena *arena; /* frames and the array */
    struct batch_builder_record *items;
    int count, capacity;
    int64_t timestamp_ms;
    enum err err; /* latched: NOMEM, LIMIT (over META_RECORDS_MAX), INVALID */
};

enum { META_RECORDS_MAX = 10000 };

void meta_records_init(struct meta_records *records, struct arena *arena, int64_t timestamp_ms);
void meta_records_add(struct meta_records *records, enum meta_record_type type, int16_t version,
    const struct proto_schema *schema, const void *message);

struct meta_record_frame {
    uint32_t type;
    int16_t version;
    struct bytes body;
};
/* CORRUPT when it is no frame, UNSUPPORTED for another frame version. */
MUST_USE enum err meta_record_parse(struct bytes value, struct meta_record_frame *out);

#endif
