/* cli/format.h - how consumed messages are printed: kcat's format strings, or JSON lines.
 *
 * %t topic, %p partition, %o offset, %k key, %s value, %T timestamp in ms, %h headers, %K %S %R
 * sizes of key and value and of both (-1 for null), %%; and \n \t \r \\ \0. */
#ifndef CLI_FORMAT_H
#define CLI_FORMAT_H

#include <stdio.h>

#include "client/consumer.h"

/* NULL when it is fine, else what is wrong with it. */
const char *format_check(const char *format);
void format_print(FILE *file, const char *format, const struct client_message *message);
/* One line: {"topic":..,"partition":..,"offset":..,"tstype":..,"ts":..,"key":..,"payload":..}. */
void format_print_json(FILE *file, const struct client_message *message);

#endif
