#include "base/err.h"

#include <stddef.h>

#include "base/assert.h"
#include "base/attr.h"

static const char *const err_texts[] = {
#define X(name, text) text,
    ERR_LIST(X)
#undef X
};

static const char *const err_names[] = {
#define X(name, text) #name,
    ERR_LIST(X)
#undef X
};

_Static_assert(COUNT_OF(err_texts) == COUNT_OF(err_names), "one list makes both");

const char *
err_text(enum err err)
{
    ASSERT((size_t)err < COUNT_OF(err_texts));
    return err_texts[err];
}

const char *
err_name(enum err err)
{
    ASSERT((size_t)err < COUNT_OF(err_names));
    return err_names[err];
}
