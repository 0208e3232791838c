/* log/reject.h - why an append was refused, with Kafka's meaning but without Kafka's numbers, and
 * where the bytes came from, which decides how much is checked. */
#ifndef LOG_REJECT_H
#define LOG_REJECT_H

enum log_reject {
    LOG_REJECT_NONE = 0,
    LOG_REJECT_CORRUPT,                 /* CORRUPT_MESSAGE */
    LOG_REJECT_INVALID_RECORD,          /* INVALID_RECORD */
    LOG_REJECT_INVALID_TIMESTAMP,       /* INVALID_TIMESTAMP */
    LOG_REJECT_MESSAGE_TOO_LARGE,       /* MESSAGE_TOO_LARGE: over max.message.bytes, or a bomb */
    LOG_REJECT_RECORD_LIST_TOO_LARGE,   /* RECORD_LIST_TOO_LARGE: over segment.bytes */
    LOG_REJECT_UNSUPPORTED_COMPRESSION, /* UNSUPPORTED_COMPRESSION_TYPE: codec 5..7 */
    LOG_REJECT_DUPLICATE,               /* not an error: answered with the old offsets */
    LOG_REJECT_OUT_OF_ORDER_SEQUENCE,   /* OUT_OF_ORDER_SEQUENCE_NUMBER */
    LOG_REJECT_INVALID_PRODUCER_EPOCH,  /* INVALID_PRODUCER_EPOCH */
    LOG_REJECT_INVALID_TXN_STATE,       /* INVALID_TXN_STATE */
    LOG_REJECT_COORDINATOR_FENCED,      /* TRANSACTION_COORDINATOR_FENCED */
    LOG_REJECT_TOO_MANY_PRODUCERS,      /* our ceiling: POLICY_VIOLATION */
    LOG_REJECT_OFFSETS_OUT_OF_ORDER,    /* a follower's append that does not continue its log */
};

enum log_origin {
    LOG_ORIGIN_CLIENT,
    LOG_ORIGIN_COORDINATOR,
    LOG_ORIGIN_RAFT_LEADER,
    LOG_ORIGIN_REPLICATION,
};

#endif
