/* wire/crc32c.h - CRC-32C (Castagnoli) as Kafka uses it for batches and snapshots. */
#ifndef WIRE_CRC32C_H
#define WIRE_CRC32C_H

#include <stdint.h>

#include "base/bytes.h"

/* The check value of "123456789" is 0xe3069283; of nothing, 0. */
uint32_t crc32c(struct bytes b);
/* Continues: crc32c_extend(crc32c(a), b) == crc32c(a then b). */
uint32_t crc32c_extend(uint32_t crc, struct bytes b);

#endif
