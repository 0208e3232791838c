/* base/hash.h - the hashes that Kafka's clients and coordinators agree on, and one of our own. */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include <stdint.h>

#include "base/bytes.h"

/* murmur2 with Kafka's seed; the default partitioner uses (hash & 0x7fffffff) % partitions. */
uint32_t hash_murmur2(struct bytes b);
/* Java's String.hashCode over UTF-16 units of a UTF-8 text. */
int32_t hash_java_string(struct str s);
/* |hash_java_string| with INT32_MIN taken as 0, modulo count: a group's partition of
 * __consumer_offsets. count > 0. */
int32_t hash_coordinator_partition(struct str key, int32_t count);
/* For our own tables; stable over runs. */
uint64_t hash_bytes(const void *data, size_t len);

#endif
