/* broker/api_table.h - which request types this broker serves. What is not listed is neither
 * advertised nor answered. */
#ifndef BROKER_API_TABLE_H
#define BROKER_API_TABLE_H

#include "broker/request.h"

/* NULL when it is not served. */
const struct broker_api *broker_api_find(int16_t key);
/* In order of keys; NULL at the end. */
const struct broker_api *broker_api_at(int index);

#endif
