/* base/limits.h - every ceiling of the program that no configuration key sets, with its arithmetic.
 */
#ifndef BASE_LIMITS_H
#define BASE_LIMITS_H

/* One request's arena: 16 bytes of decoded structure for each byte of frame is above what any
 * message needs (a 4-byte array element becomes a 48-byte struct at most); between a floor that
 * small requests with large answers need and a cap: a hostile frame of 30 MiB and what it decodes
 * to stay below 64 MiB. Handlers with large answers raise it to the maximum. */
enum {
    LIMIT_REQUEST_ARENA_MIN = 4 << 20,
    LIMIT_REQUEST_ARENA_BEGIN = 32 << 20,
    LIMIT_REQUEST_ARENA_MAX = 64 << 20,
    LIMIT_REQUEST_ARENA_FACTOR = 16,
};

/* Elements of one array and tags of one message, as Apache Kafka 4.4 limits them. */
enum {
    LIMIT_ARRAY_COUNT = 1000000,
    LIMIT_TAG_COUNT = 10000,
};

/* A batch may unpack to this many times its size, or to this floor if that is more: 128 MiB is
 * above every honest batch (message.max.bytes is 1 MiB by default). */
enum {
    LIMIT_DECOMPRESS_FACTOR = 64,
    LIMIT_DECOMPRESS_FLOOR = 128 << 20,
};

/* The same of a batch that a client sends and whose records must be read before it is taken: a
 * stranger's word is worth less than what stands in a log. Each reactor may hold one at a time, and
 * half as much again while it grows: two of them stay below 64 MiB. What is refused with
 * MESSAGE_TOO_LARGE, Java's producer splits and sends again. */
enum {
    LIMIT_VALIDATE_FACTOR = 16,
    LIMIT_VALIDATE_FLOOR = 16 << 20,
};

/* What of it a reactor checks itself, in bytes of unpacked records at about a nanosecond each; more
 * goes to a pool: a slice of a turn (see below) while light connections are there, else as much as
 * a producer's batch has, which is cheaper where it was read. To compress anew takes as long for an
 * eighth of it, so does an eighth as many records; bytes that need only a checksum may be twice as
 * many, for what has just come from a socket is not in the processor's cache any more. */
enum {
    LIMIT_CHECK_BRIEF = 128 << 10,
    LIMIT_CHECK_ALONE = 1152 << 10,
    LIMIT_CHECK_REPACKED_SHARE = 8,
    LIMIT_CHECK_RECORDS_SHARE = 8,
    LIMIT_CHECK_PLAIN_FACTOR = 2,
    LIMIT_CHECKS = 4, /* that are on the pool, or done and not appended yet; see broker/check.c */
    LIMIT_CHECK_THREADS = 2,
};

/* What of one request is appended before others have their turn, while light connections are there
 * and else, in bytes; a partition counts as some, for its lock, indexes and write. */
enum {
    LIMIT_APPEND_BRIEF = 128 << 10,
    LIMIT_APPEND_ALONE = 1 << 20,
    LIMIT_APPEND_PARTITION = 8 << 10,
};

/* The same of a Fetch, in units of about half a microsecond: a partition without records, what one
 * with records costs more (its index and headers), and a copy of few records. */
enum {
    LIMIT_FETCH_BRIEF = 128,
    LIMIT_FETCH_ALONE = 2048,
    LIMIT_FETCH_EMPTY = 1,
    LIMIT_FETCH_RECORDS = 7,
    LIMIT_FETCH_COPY = 3,
};

/* A question for offsets waits so long for a flush (broker/flush_wait.h). */
enum { LIMIT_FLUSH_WAIT_MS = 1000 };

/* What is counted for client quotas: owners with a quota that were seen in the last hour, each with
 * at most so many samples of time (quota.window.num is 11: 400 bytes each, 4 MB), and in no case
 * more memory than that. Where there are more owners the one unused for longest begins anew. */
enum {
    LIMIT_QUOTA_COUNTS = 10000,
    LIMIT_QUOTA_SAMPLES = 3600,
    LIMIT_QUOTA_BYTES = 16 << 20,
    LIMIT_QUOTA_SPELLINGS = 1000, /* of addresses with quotas, looked at for each connection */
};

/* Connections: output that a reader has not taken yet before we stop reading its requests, and
 * requests in flight on one connection. */
enum {
    LIMIT_CONN_OUTPUT_BYTES = 1 << 20,
    LIMIT_CONN_OUTPUT_MEMORY = 256 << 10, /* what of it is not in files: 25 MiB for 100 */
    LIMIT_CONN_IN_FLIGHT = 100,
    LIMIT_FRAME_DEADLINE_MS = 30000, /* a started frame must end in this time ... */
    LIMIT_FRAME_RATE_MIN = 65536,    /* ... plus its size at this many bytes a second */
    LIMIT_FRAME_GRACE_MS = 2000, /* while others wait for memory, a frame comes after this ... */
    LIMIT_FRAME_RATE_WANTED = 1 << 20, /* ... at so many bytes a second, or not at all */
    LIMIT_SEND_STALL_MS = 60000,       /* a reader that takes nothing for so long is cut off */
    LIMIT_CONN_READ_INS = 8, /* pieces of 256 KiB that a reactor has read for sends: 2 MiB */
};

/* Turns of a reactor (net/turn.c), in units of about a nanosecond: a byte taken, four bytes sent; a
 * request is 2048. A connection is light that spends less than 4096 in a millisecond: 4 MB/s, or
 * 2000 small requests a second; the burst of 100 such that all come in one turn is 1.6 million. The
 * quantum of a heavy one is a full read of 64 KiB and the requests in it. */
enum {
    LIMIT_TURN_REQUEST = 2048,
    LIMIT_TURN_FORGIVEN_MS = 4096, /* a millisecond */
    LIMIT_TURN_LIGHT = 16 << 10,
    LIMIT_TURN_LIGHT_QUANTUM = 16 << 10, /* what a light one gets at once, before it is heavy */
    LIMIT_TURN_DEBT = 256 << 10,         /* what is remembered: forgiven in 64 ms */
    LIMIT_TURN_QUANTUM = 96 << 10,
    LIMIT_TURN_SLICE = 64 << 10,      /* a full read, or what goes on for about as long */
    LIMIT_TURN_SLICE_ALONE = 1 << 20, /* while there are no light ones */
};

/* Partitions of one topic or one request, and the length of a topic's name, as in Kafka. */
enum {
    LIMIT_PARTITIONS_PER_OPERATION = 10000,
    LIMIT_TOPIC_NAME = 249,
};

/* Group members and one member's metadata. */
enum {
    LIMIT_GROUP_MEMBERS = 10000,
    LIMIT_GROUP_METADATA_BYTES = 1 << 20,
};

#endif
