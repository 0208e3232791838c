/* base/ip_text.h - texts of internet addresses, as Java reads them: no names are looked up. */
#ifndef BASE_IP_TEXT_H
#define BASE_IP_TEXT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

enum { IP_BYTES = 16 };

/* IPv6, also in brackets; IPv4 in one to four decimal parts, the last of which fills what is left
 * ("10.1" is 10.0.0.1), as an IPv4-mapped address. False, out untouched: it is none. */
bool ip_text_parse(struct str text, uint8_t out[IP_BYTES]);

#endif
