/* security/principal.h - who a connection speaks for, as Kafka writes it: "User:alice". */
#ifndef SECURITY_PRINCIPAL_H
#define SECURITY_PRINCIPAL_H

#include "base/bytes.h"
#include "base/err.h"

/* "User:ANONYMOUS": everybody on a listener without authentication. Static. */
struct str security_principal_anonymous(void);
/* Splits "User:alice" at the first colon. INVALID without one, or with an empty part. */
MUST_USE enum err security_principal_split(
    struct str principal, struct str *type, struct str *name);

#endif
