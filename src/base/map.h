/* base/map.h - uthash with this program's heap, and with running out of memory as an outcome.
 *
 * Use HASH_ADD_* as documented by uthash; after an add that runs out of memory the element is not
 * in the table (check `elt->hh.tbl != NULL`). Iteration order is insertion order, so it is
 * the same in every run of the simulator. */
#ifndef BASE_MAP_H
#define BASE_MAP_H

#include "base/alloc.h"
#include "base/hash.h"

#define HASH_NONFATAL_OOM 1
#define uthash_malloc(size) mem_alloc(size)
#define uthash_free(ptr, size) mem_free(ptr)
#define HASH_FUNCTION(keyptr, keylen, hashv) ((hashv) = (unsigned)hash_bytes((keyptr), (keylen)))
#include <uthash.h>

#endif
