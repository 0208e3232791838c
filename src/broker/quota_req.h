/* broker/quota_req.h - quotas of a request on its way: for handlers that use bytes or change
 * metadata. The time of a request is counted for all of them where they are answered. */
#ifndef BROKER_QUOTA_REQ_H
#define BROKER_QUOTA_REQ_H

#include <stddef.h>
#include <stdint.h>

#include "broker/request.h"

/* Bytes that the client wrote. Its answer says how long it is not read from now on. */
void broker_quota_produced(struct broker_req *req, size_t bytes);

/* Bytes that its answer would hold. True: the client is over a quota, and gets none of them. */
MUST_USE bool broker_quota_fetched(struct broker_req *req, size_t bytes);
/* What one fetch may hold at most, for a client with a quota; no more than `bytes`. */
size_t broker_quota_fetch_bytes_max(struct broker_req *req, size_t bytes);

/* The request changes metadata: partitions are counted where they are made or deleted. Before the
 * controller is asked. Clients of versions from strict_from on are refused what is over the quota
 * (KIP-599), older ones wait. */
void broker_quota_mutates(struct broker_req *req, int16_t strict_from);

#endif
