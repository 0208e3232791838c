/* cli/dump_out.c - streams entries in one of two forms. */
#include "cli/dump_out.h"

#include "base/assert.h"
#include "cli/output.h"

void
dump_out_init(struct dump_out *out, FILE *file, bool json, bool names)
{
    *out = (struct dump_out){.file = file, .json = json, .names = names};
    if (json)
        fputc('[', file);
}

void
dump_out_end(struct dump_out *out)
{
    ASSERT(out->depth == 0);
    if (out->json)
        fputs(out->file_count > 0 ? "\n]\n" : "]\n", out->file);
}

void
dump_file_begin(struct dump_out *out, const char *path, const char *kind, bool heading)
{
    if (out->names) {
        fprintf(out->file, "%s\n", path);
    } else if (out->json) {
        fputs(out->file_count > 0 ? ",\n{\"file\": " : "\n{\"file\": ", out->file);
        output_json_string(out->file, (struct bytes){(const uint8_t *)path, strlen(path)});
        fprintf(out->file, ", \"kind\": \"%s\", \"entries\": [", kind);
    } else if (heading) {
        fprintf(out->file, "%s%s\n", out->file_count > 0 ? "\n" : "", path);
    }
    out->file_count++;
    out->first_entry = true;
}

void
dump_file_end(struct dump_out *out)
{
    if (out->json)
        fputs(out->first_entry ? "]}" : "\n]}", out->file);
}

void
dump_entry_begin(struct dump_out *out)
{
    if (out->json)
        fprintf(out->file, "%s%s%*s{", out->first_entry ? "" : ",", "\n", 2 + 2 * out->depth, "");
    else if (!out->names)
        fprintf(out->file, "%*s", 2 * out->depth, "");
    out->first_entry = false;
    out->first_field = true;
}

void
dump_entry_end(struct dump_out *out)
{
    if (out->json)
        fputc('}', out->file);
    else if (!out->names && !out->first_field)
        fputc('\n', out->file);
    out->first_field = true; /* a line that ended with a list ends once */
}

void
dump_list_begin(struct dump_out *out, const char *name)
{
    if (out->json)
        fprintf(out->file, ", \"%s\": [", name);
    else if (!out->names)
        fputc('\n', out->file);
    out->depth++;
    out->first_entry = true;
}

void
dump_list_end(struct dump_out *out)
{
    ASSERT(out->depth > 0);
    out->depth--;
    if (out->json)
        fputc(']', out->file);
    out->first_entry = false;
    out->first_field = true;
}

/* Whether a value is to be printed after its name. */
static bool
field(struct dump_out *out, const char *name)
{
    if (out->names)
        return false;
    if (out->json)
        fprintf(out->file, "%s\"%s\": ", out->first_field ? "" : ", ", name);
    else
        fprintf(out->file, "%s%s=", out->first_field ? "" : " ", name);
    out->first_field = false;
    return true;
}

void
dump_i64(struct dump_out *out, const char *name, int64_t value)
{
    if (field(out, name))
        fprintf(out->file, "%lld", (long long)value);
}

void
dump_bool(struct dump_out *out, const char *name, bool value)
{
    if (field(out, name))
        fputs(value ? "true" : "false", out->file);
}

void
dump_word(struct dump_out *out, const char *name, struct str value)
{
    if (!field(out, name))
        return;
    if (out->json)
        output_json_string(out->file, (struct bytes){(const uint8_t *)value.data, value.len});
    else
        fprintf(out->file, "%.*s", STR_FMT(value));
}

void
dump_bytes(struct dump_out *out, const char *name, struct bytes value)
{
    if (field(out, name))
        output_json_string(out->file, value);
}

void
dump_raw(struct dump_out *out, const char *name, const char *json)
{
    if (field(out, name))
        fputs(json, out->file);
}
