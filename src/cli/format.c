/* cli/format.c - prints one message by a format string. */
#include "cli/format.h"

#include <string.h>

#include "cli/output.h"

static const char VERBS[] = "tpoksThKSR%";
static const char ESCAPES[] = "ntr\\0";

const char *
format_check(const char *format)
{
    for (const char *p = format; *p != '\0'; p++) {
        if (*p == '%' && (p[1] == '\0' || strchr(VERBS, p[1]) == NULL))
            return "knows %t %p %o %k %s %T %h %K %S %R and %%";
        if (*p == '\\' && (p[1] == '\0' || strchr(ESCAPES, p[1]) == NULL))
            return "knows \\n \\t \\r \\0 and \\\\";
        p += *p == '%' || *p == '\\';
    }
    return NULL;
}

static void
print_bytes(FILE *file, struct bytes value)
{
    if (value.len > 0)
        fwrite(value.data, 1, value.len, file);
}

static void
print_headers(FILE *file, const struct client_message *message)
{
    struct bytes rest = message->headers;
    struct batch_header header;
    for (int32_t i = 0; i < message->header_count && batch_header_next(&rest, &header); i++) {
        if (i > 0)
            fputc(',', file);
        print_bytes(file, header.key);
        fputc('=', file);
        if (header.value.data == NULL)
            fputs("NULL", file);
        else
            print_bytes(file, header.value);
    }
}

static long long
size_of(struct bytes value)
{
    return value.data == NULL ? -1 : (long long)value.len;
}

static void
print_verb(FILE *file, char verb, const struct client_message *m)
{
    switch (verb) {
    case 't': fprintf(file, "%.*s", STR_FMT(m->topic)); break;
    case 'p': fprintf(file, "%d", (int)m->partition); break;
    case 'o': fprintf(file, "%lld", (long long)m->offset); break;
    case 'T': fprintf(file, "%lld", (long long)m->timestamp); break;
    case 'k': print_bytes(file, m->key); break;
    case 's': print_bytes(file, m->value); break;
    case 'h': print_headers(file, m); break;
    case 'K': fprintf(file, "%lld", size_of(m->key)); break;
    case 'S': fprintf(file, "%lld", size_of(m->value)); break;
    case 'R': fprintf(file, "%zu", m->key.len + m->value.len); break;
    default: fputc(verb, file);
    }
}

void
format_print(FILE *file, const char *format, const struct client_message *message)
{
    for (const char *p = format; *p != '\0'; p++) {
        if (*p == '%') {
            print_verb(file, *++p, message);
        } else if (*p == '\\') {
            p++;
            fputc(*p == 'n'   ? '\n'
                  : *p == 't' ? '\t'
                  : *p == 'r' ? '\r'
                  : *p == '0' ? '\0'
                              : *p,
                file);
        } else {
            fputc(*p, file);
        }
    }
}

void
format_print_json(FILE *file, const struct client_message *m)
{
    struct bytes rest = m->headers;
    struct batch_header header;
    fputs("{\"topic\":", file);
    output_json_string(file, (struct bytes){(const uint8_t *)m->topic.data, m->topic.len});
    fprintf(file, ",\"partition\":%d,\"offset\":%lld,\"tstype\":\"%s\",\"ts\":%lld,\"headers\":[",
        (int)m->partition, (long long)m->offset, m->log_append_time ? "logappend" : "create",
        (long long)m->timestamp);
    for (int32_t i = 0; i < m->header_count && batch_header_next(&rest, &header); i++) {
        fputs(i > 0 ? "," : "", file);
        output_json_string(file, header.key);
        fputc(',', file);
        output_json_string(file, header.value);
    }
    fputs("],\"key\":", file);
    output_json_string(file, m->key);
    fputs(",\"payload\":", file);
    output_json_string(file, m->value);
    fputs("}\n", file);
}
