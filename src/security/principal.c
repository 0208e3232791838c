#include "security/principal.h"

struct str
security_principal_anonymous(void)
{
    return STR("User:ANONYMOUS");
}

enum err
security_principal_split(struct str principal, struct str *type, struct str *name)
{
    const char *colon = principal.len == 0 ? NULL : memchr(principal.data, ':', principal.len);
    if (colon == NULL || colon == principal.data)
        return ERR_INVALID;
    size_t at = (size_t)(colon - principal.data);
    if (at + 1 == principal.len)
        return ERR_INVALID;
    *type = (struct str){principal.data, at};
    *name = (struct str){colon + 1, principal.len - at - 1};
    return ERR_OK;
}
