/* coord/group/foreign.c - records of the log that are not understood, kept as they are.
 *
 * What: groups of later kinds (KIP-848, 932, 1071), later versions of what is known. Nothing here
 * uses them; cleaning writes them again, in the order in which they were written, as compaction
 * would leave them. Only what has a value is kept. */
#include "coord/group/group_priv.h"

#include "base/alloc.h"
#include "base/assert.h"

static struct foreign_record *
find(const struct group_machine *machine, struct bytes key)
{
    struct foreign_record *found = NULL;
    HASH_FIND(hh, machine->foreign, key.data, key.len, found);
    return found;
}

static void
drop(struct group_machine *machine, struct foreign_record *record)
{
    if (machine->copy.foreign == record)
        machine->copy.foreign = record->hh.next;
    ASSERT(machine->foreign_bytes >= record->key.len + record->value.len);
    machine->foreign_bytes -= record->key.len + record->value.len;
    HASH_DEL(machine->foreign, record);
    mem_free(record);
}

enum err
coord_foreign_put(struct group_machine *machine, const struct coord_record *in)
{
    ASSERT(in->key.data != NULL);
    coord_foreign_forget(machine, in->key); /* the newest is the last in order */
    if (in->value.data == NULL)
        return ERR_OK;
    struct foreign_record *record = mem_calloc(1, sizeof *record + in->key.len + in->value.len);
    if (record == NULL)
        return ERR_NOMEM;
    uint8_t *bytes = (uint8_t *)(record + 1);
    record->key = (struct bytes){bytes, in->key.len};
    record->value = (struct bytes){bytes + in->key.len, in->value.len};
    record->order = in->offset;
    if (in->key.len > 0)
        memcpy(bytes, in->key.data, in->key.len);
    if (in->value.len > 0)
        memcpy(bytes + in->key.len, in->value.data, in->value.len);
    HASH_ADD_KEYPTR(hh, machine->foreign, record->key.data, record->key.len, record);
    if (record->hh.tbl == NULL) {
        mem_free(record);
        return ERR_NOMEM;
    }
    machine->foreign_bytes += in->key.len + in->value.len;
    return ERR_OK;
}

void
coord_foreign_forget(struct group_machine *machine, struct bytes key)
{
    struct foreign_record *record = machine->foreign == NULL ? NULL : find(machine, key);
    if (record != NULL)
        drop(machine, record);
}

void
coord_foreign_fini(struct group_machine *machine)
{
    while (machine->foreign != NULL)
        drop(machine, machine->foreign);
}
