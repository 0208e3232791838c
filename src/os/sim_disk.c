/* What: a disk that remembers what was flushed and what was not.
 *
 * A file has the content its readers see (`data`), the content on the platter (`stable`) and the
 * writes and truncations between the two. A directory has names seen, names on the platter, and
 * the disk has one ordered list of operations between the two. A sync applies, a power cut picks.
 * Invariants: I1 stable plus all of pending equals data, except after a failed sync. I2 an inode
 * lives while something refers to it (refs); the list of all inodes frees what cycles of stale
 * names would keep. I3 nothing iterates in an order that depends on addresses.
 * Errors: as a kernel would give them. */
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "os/sim_priv.h"

enum { DISK_NAME_MAX = 255 };

struct sim_write {
    struct list link;
    uint64_t number;
    bool truncate; /* to `position` */
    int64_t position;
    size_t len;
    uint8_t data[];
};

enum dir_op_kind { DIR_OP_LINK, DIR_OP_UNLINK, DIR_OP_RENAME };

struct sim_dir_op {
    struct list link;
    uint64_t number;
    enum dir_op_kind kind;
    struct sim_inode *dir, *to_dir; /* references; to_dir only for a rename */
    struct sim_inode *inode;
    bool commit; /* inside disk_sync_dir */
    char name[DISK_NAME_MAX + 1];
    char to_name[DISK_NAME_MAX + 1];
};

/* ---- inodes ---- */

static struct sim_inode *
inode_new(struct sim_disk *disk, enum env_kind kind)
{
    struct sim_inode *inode = sim_alloc(sizeof *inode);
    inode->disk = disk;
    inode->id = disk->id_next++;
    inode->kind = kind;
    inode->refs = 1;
    list_init(&inode->pending);
    list_push(&disk->inodes, &inode->link);
    return inode;
}

static void
inode_pending_clear(struct sim_inode *inode)
{
    for (struct list *at; (at = list_pop(&inode->pending)) != NULL;)
        sim_release(LIST_ENTRY(at, struct sim_write, link));
}

static void
names_clear(struct sim_names *names, bool unref)
{
    for (size_t i = 0; i < names->count; i++) {
        sim_release(names->entries[i].name);
        if (unref)
            inode_unref(names->entries[i].inode);
    }
    sim_release(names->entries);
    *names = (struct sim_names){0};
}

static void
inode_free(struct sim_inode *inode, bool unref)
{
    list_remove(&inode->link);
    inode_pending_clear(inode);
    names_clear(&inode->names, unref);
    names_clear(&inode->stable_names, unref);
    sim_release(inode->data);
    sim_release(inode->stable);
    sim_release(inode);
}

void
inode_unref(struct sim_inode *inode)
{
    ASSERT(inode->refs > 0);
    if (--inode->refs == 0)
        inode_free(inode, true);
}

static void
content_resize(uint8_t **data, size_t *size, size_t *capacity, size_t to)
{
    if (to > *capacity) {
        size_t grown = *capacity < 256 ? 256 : *capacity * 2;
        *capacity = grown < to ? to : grown;
        *data = sim_realloc(*data, *capacity);
    }
    if (to > *size)
        memset(*data + *size, 0, to - *size);
    *size = to;
}

static void
content_write(uint8_t **data, size_t *size, size_t *capacity, const struct sim_write *write)
{
    if (write->truncate) {
        content_resize(data, size, capacity, (size_t)write->position);
        return;
    }
    size_t end = (size_t)write->position + write->len;
    if (end > *size)
        content_resize(data, size, capacity, end);
    if (write->len > 0)
        memcpy(*data + write->position, write->data, write->len);
}

static void
stable_apply(struct sim_inode *inode, const struct sim_write *write)
{
    content_write(&inode->stable, &inode->stable_size, &inode->stable_capacity, write);
}

static void
inode_change(struct sim_inode *inode, bool truncate, int64_t position, const void *data, size_t len)
{
    struct sim_write *write = sim_alloc(sizeof *write + len);
    ASSERT(inode->kind == ENV_KIND_FILE);
    write->number = inode->disk->write_next++;
    write->truncate = truncate;
    write->position = position;
    write->len = len;
    if (len > 0)
        memcpy(write->data, data, len);
    list_push(&inode->pending, &write->link);
    content_write(&inode->data, &inode->size, &inode->capacity, write);
}

void
inode_write(struct sim_inode *inode, int64_t position, const void *data, size_t len)
{
    if (len > 0)
        inode_change(inode, false, position, data, len);
}

void
inode_truncate(struct sim_inode *inode, int64_t size)
{
    if ((size_t)size != inode->size)
        inode_change(inode, true, size, NULL, 0);
}

/* Takes off and optionally applies what is older than that. */
static void
inode_pending_settle(struct sim_inode *inode, uint64_t before, bool apply)
{
    while (!list_empty(&inode->pending)) {
        struct sim_write *write = LIST_ENTRY(inode->pending.next, struct sim_write, link);
        if (write->number >= before)
            return;
        if (apply)
            stable_apply(inode, write);
        list_remove(&write->link);
        sim_release(write);
    }
}

void
inode_sync(struct sim_inode *inode, uint64_t before)
{
    inode_pending_settle(inode, before, true);
}

void
inode_sync_lost(struct sim_inode *inode, uint64_t before)
{
    inode_pending_settle(inode, before, false);
}

/* ---- names ---- */

/* Where the name is or would be. */
static size_t
names_place(const struct sim_names *names, const char *name, bool *found)
{
    size_t low = 0, high = names->count;
    *found = false;
    while (low < high) {
        size_t mid = (low + high) / 2;
        int order = strcmp(names->entries[mid].name, name);
        if (order == 0) {
            *found = true;
            return mid;
        }
        if (order < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static struct sim_inode *
names_get(const struct sim_names *names, const char *name)
{
    bool found;
    size_t at = names_place(names, name, &found);
    return found ? names->entries[at].inode : NULL;
}

static void
names_remove(struct sim_names *names, const char *name)
{
    bool found;
    size_t at = names_place(names, name, &found);
    if (!found)
        return;
    struct sim_entry gone = names->entries[at];
    names->count--;
    memmove(
        &names->entries[at], &names->entries[at + 1], (names->count - at) * sizeof *names->entries);
    sim_release(gone.name);
    inode_unref(gone.inode);
}

static void
names_set(struct sim_names *names, const char *name, struct sim_inode *inode)
{
    bool found;
    size_t len = strlen(name) + 1;
    inode->refs++;
    names_remove(names, name);
    size_t at = names_place(names, name, &found);
    ASSERT(!found);
    names->entries = sim_realloc(names->entries, (names->count + 1) * sizeof *names->entries);
    memmove(
        &names->entries[at + 1], &names->entries[at], (names->count - at) * sizeof *names->entries);
    names->entries[at].name = memcpy(sim_alloc(len), name, len);
    names->entries[at].inode = inode;
    names->count++;
}

static void
names_copy(struct sim_names *to, const struct sim_names *from)
{
    struct sim_names old = *to;
    *to = (struct sim_names){0};
    for (size_t i = 0; i < from->count; i++)
        names_set(to, from->entries[i].name, from->entries[i].inode);
    names_clear(&old, true);
}

/* ---- operations on directories ---- */

static struct sim_dir_op *
dir_op_new(struct sim_disk *disk, enum dir_op_kind kind, struct sim_inode *dir, const char *name,
    struct sim_inode *inode)
{
    struct sim_dir_op *op = sim_alloc(sizeof *op);
    op->number = disk->write_next++;
    op->kind = kind;
    op->dir = dir;
    op->inode = inode;
    dir->refs++;
    inode->refs++;
    snprintf(op->name, sizeof op->name, "%s", name);
    list_push(&disk->pending, &op->link);
    return op;
}

static void
dir_op_free(struct sim_dir_op *op)
{
    list_remove(&op->link);
    inode_unref(op->inode);
    inode_unref(op->dir);
    if (op->to_dir != NULL)
        inode_unref(op->to_dir);
    sim_release(op);
}

static void
dir_op_apply(const struct sim_dir_op *op)
{
    struct sim_names *names = &op->dir->stable_names;
    switch (op->kind) {
    case DIR_OP_LINK: names_set(names, op->name, op->inode); break;
    case DIR_OP_UNLINK:
        if (names_get(names, op->name) == op->inode)
            names_remove(names, op->name);
        break;
    case DIR_OP_RENAME:
        if (names_get(names, op->name) != op->inode)
            break;
        names_set(&op->to_dir->stable_names, op->to_name, op->inode);
        names_remove(names, op->name);
        break;
    }
}

static bool
dir_op_touches(const struct sim_dir_op *op, const struct sim_inode *dir)
{
    return op->dir == dir || op->to_dir == dir;
}

/* Commits what is pending for `dir`, and what that rests on: operations of one directory become
 * durable in their order, so a rename between two brings along the earlier ones of both. */
void
disk_sync_dir(struct sim_disk *disk, struct sim_inode *dir, uint64_t before)
{
    for (struct list *at = disk->pending.prev; at != &disk->pending; at = at->prev) {
        struct sim_dir_op *op = LIST_ENTRY(at, struct sim_dir_op, link);
        op->commit = op->number < before && dir_op_touches(op, dir);
        for (struct list *later = at->next; later != &disk->pending && !op->commit;
             later = later->next) {
            const struct sim_dir_op *on = LIST_ENTRY(later, struct sim_dir_op, link);
            op->commit = on->commit && (dir_op_touches(on, op->dir) ||
                                           (op->to_dir != NULL && dir_op_touches(on, op->to_dir)));
        }
    }
    LIST_FOREACH (&disk->pending, at) {
        struct sim_dir_op *op = LIST_ENTRY(at, struct sim_dir_op, link);
        if (op->commit) {
            dir_op_apply(op);
            dir_op_free(op);
        }
    }
}

void
disk_sync_all(struct sim_disk *disk, uint64_t before)
{
    LIST_FOREACH (&disk->inodes, at)
        inode_sync(LIST_ENTRY(at, struct sim_inode, link), before);
    LIST_FOREACH (&disk->pending, at) {
        struct sim_dir_op *op = LIST_ENTRY(at, struct sim_dir_op, link);
        if (op->number >= before)
            break;
        dir_op_apply(op);
        dir_op_free(op);
    }
}

void
disk_sync_some(struct sim_disk *disk, uint64_t before, bool crashed, struct sim *sim)
{
    LIST_FOREACH (&disk->inodes, at) {
        struct sim_inode *inode = LIST_ENTRY(at, struct sim_inode, link);
        if (list_empty(&inode->pending))
            continue;
        if (sim_below(sim, 2) == 0)
            inode_sync(inode, before);
        else if (!crashed)
            inode_sync_lost(inode, before);
    }
}

/* ---- paths ---- */

/* The next component of *path into name; false at the end. */
static bool
path_next(const char **path, char name[DISK_NAME_MAX + 1], enum err *err)
{
    for (;;) {
        while (**path == '/')
            (*path)++;
        size_t len = strcspn(*path, "/");
        if (len == 0)
            return false;
        if (len > DISK_NAME_MAX || (len == 2 && memcmp(*path, "..", 2) == 0)) {
            *err = ERR_INVALID; /* nobody here climbs */
            return false;
        }
        memcpy(name, *path, len);
        name[len] = '\0';
        *path += len;
        if (strcmp(name, ".") != 0)
            return true;
    }
}

enum err
disk_find(struct sim_disk *disk, const char *path, struct sim_inode **out)
{
    struct sim_inode *inode = disk->root;
    char name[DISK_NAME_MAX + 1];
    enum err err = *path == '\0' ? ERR_NOTFOUND : ERR_OK;
    while (err == ERR_OK && path_next(&path, name, &err)) {
        struct sim_inode *next =
            inode->kind == ENV_KIND_DIR ? names_get(&inode->names, name) : NULL;
        if (next == NULL)
            return ERR_NOTFOUND;
        inode = next;
    }
    if (err == ERR_OK)
        *out = inode;
    return err;
}

/* The directory a path's last component stands in, and that component. */
static enum err
disk_find_parent(
    struct sim_disk *disk, const char *path, struct sim_inode **dir, char name[DISK_NAME_MAX + 1])
{
    struct sim_inode *inode = disk->root;
    char next[DISK_NAME_MAX + 1];
    enum err err = ERR_OK;
    if (!path_next(&path, name, &err))
        return err == ERR_OK ? ERR_INVALID : err;
    while (path_next(&path, next, &err)) {
        inode = inode->kind == ENV_KIND_DIR ? names_get(&inode->names, name) : NULL;
        if (inode == NULL)
            return ERR_NOTFOUND;
        memcpy(name, next, sizeof next);
    }
    if (err == ERR_OK && inode->kind != ENV_KIND_DIR)
        err = ERR_NOTFOUND;
    if (err == ERR_OK)
        *dir = inode;
    return err;
}

enum err
disk_create(struct sim_disk *disk, const char *path, enum env_kind kind, struct sim_inode **out)
{
    struct sim_inode *dir = NULL;
    char name[DISK_NAME_MAX + 1];
    enum err err = disk_find_parent(disk, path, &dir, name);
    if (err != ERR_OK)
        return err;
    if (names_get(&dir->names, name) != NULL)
        return ERR_EXISTS;
    struct sim_inode *inode = inode_new(disk, kind);
    names_set(&dir->names, name, inode);
    dir_op_new(disk, DIR_OP_LINK, dir, name, inode);
    inode_unref(inode);
    *out = inode;
    return ERR_OK;
}

enum err
disk_unlink(struct sim_disk *disk, const char *path, enum env_kind kind)
{
    struct sim_inode *dir = NULL;
    char name[DISK_NAME_MAX + 1];
    enum err err = disk_find_parent(disk, path, &dir, name);
    if (err != ERR_OK)
        return err;
    struct sim_inode *inode = names_get(&dir->names, name);
    if (inode == NULL)
        return ERR_NOTFOUND;
    if (inode->kind != kind)
        return kind == ENV_KIND_DIR ? ERR_NOTFOUND : ERR_INVALID;
    if (inode->names.count > 0)
        return ERR_EXISTS;
    dir_op_new(disk, DIR_OP_UNLINK, dir, name, inode);
    names_remove(&dir->names, name);
    return ERR_OK;
}

/* Whether `dir` is `inode` or stands below it. */
static bool
inode_contains(const struct sim_inode *inode, const struct sim_inode *dir)
{
    if (inode == dir)
        return true;
    for (size_t i = 0; i < inode->names.count; i++)
        if (inode_contains(inode->names.entries[i].inode, dir))
            return true;
    return false;
}

enum err
disk_rename(struct sim_disk *disk, const char *from, const char *to)
{
    struct sim_inode *dir = NULL, *to_dir = NULL;
    char name[DISK_NAME_MAX + 1], to_name[DISK_NAME_MAX + 1];
    enum err err = disk_find_parent(disk, from, &dir, name);
    if (err == ERR_OK)
        err = disk_find_parent(disk, to, &to_dir, to_name);
    if (err != ERR_OK)
        return err;
    struct sim_inode *inode = names_get(&dir->names, name);
    struct sim_inode *old = names_get(&to_dir->names, to_name);
    if (inode == NULL)
        return ERR_NOTFOUND;
    if (old == inode)
        return ERR_OK;
    if (inode_contains(inode, to_dir))
        return ERR_INVALID;
    if (old != NULL && old->kind != inode->kind)
        return old->kind == ENV_KIND_DIR ? ERR_INVALID : ERR_NOTFOUND;
    if (old != NULL && old->names.count > 0)
        return ERR_EXISTS;
    struct sim_dir_op *op = dir_op_new(disk, DIR_OP_RENAME, dir, name, inode);
    op->to_dir = to_dir;
    to_dir->refs++;
    snprintf(op->to_name, sizeof op->to_name, "%s", to_name);
    names_set(&to_dir->names, to_name, inode);
    names_remove(&dir->names, name);
    return ERR_OK;
}

/* ---- the disk ---- */

void
disk_init(struct sim_disk *disk)
{
    list_init(&disk->inodes);
    list_init(&disk->pending);
    disk->id_next = 1;
    disk->root = inode_new(disk, ENV_KIND_DIR);
}

void
disk_fini(struct sim_disk *disk)
{
    for (struct list *at; (at = list_pop(&disk->pending)) != NULL;)
        sim_release(LIST_ENTRY(at, struct sim_dir_op, link));
    while (!list_empty(&disk->inodes))
        inode_free(LIST_ENTRY(disk->inodes.next, struct sim_inode, link), false);
}

void
disk_unlock_all(struct sim_disk *disk)
{
    LIST_FOREACH (&disk->inodes, at)
        LIST_ENTRY(at, struct sim_inode, link)->locked = false;
}

static int64_t
names_used_bytes(const struct sim_names *names)
{
    int64_t sum = 0;
    for (size_t i = 0; i < names->count; i++) {
        const struct sim_inode *inode = names->entries[i].inode;
        sum += (int64_t)inode->size + names_used_bytes(&inode->names);
    }
    return sum;
}

int64_t
disk_used_bytes(const struct sim_disk *disk)
{
    return names_used_bytes(&disk->root->names);
}

/* ---- the power cut ---- */

/* How much of what was not flushed is lost; picked once per cut. */
struct cut_mood {
    uint32_t drop_ppm; /* of each write and directory operation */
    uint32_t tear_ppm; /* of each write that is not dropped */
};

/* Writes the sectors that made it: a beginning, or any of them. */
static void
write_tear(struct sim_inode *inode, const struct sim_write *write, struct sim *sim)
{
    int64_t end = write->position + (int64_t)write->len;
    int64_t first = write->position / SIM_SECTOR, last = (end - 1) / SIM_SECTOR;
    bool beginning = sim_below(sim, 2) == 0;
    int64_t kept = (int64_t)sim_below(sim, (uint64_t)(last - first + 1));
    for (int64_t sector = first; sector <= last; sector++) {
        bool keep = beginning ? sector - first < kept : sim_below(sim, 2) == 0;
        int64_t from = sector * SIM_SECTOR, to = from + SIM_SECTOR;
        from = from < write->position ? write->position : from;
        to = to > end ? end : to;
        if (!keep)
            continue;
        struct sim_write *part = sim_alloc(sizeof *part + (size_t)(to - from));
        part->position = from;
        part->len = (size_t)(to - from);
        memcpy(part->data, write->data + (from - write->position), part->len);
        stable_apply(inode, part);
        sim_release(part);
    }
}

static void
cut_file(struct sim_inode *inode, const struct cut_mood *mood, struct sim *sim)
{
    bool truncates = true; /* they are the journal's, and so in order */
    LIST_FOREACH (&inode->pending, at) {
        struct sim_write *write = LIST_ENTRY(at, struct sim_write, link);
        bool drop = sim_chance(sim, mood->drop_ppm);
        if (write->truncate) {
            truncates = truncates && !drop;
            if (truncates)
                stable_apply(inode, write);
            continue;
        }
        size_t end = (size_t)write->position + write->len;
        if (!drop && sim_chance(sim, mood->tear_ppm))
            write_tear(inode, write, sim);
        else if (!drop)
            stable_apply(inode, write);
        /* The new size may have been written without the data: zeros. */
        if (end > inode->stable_size && sim_below(sim, 2) == 0)
            content_resize(&inode->stable, &inode->stable_size, &inode->stable_capacity, end);
    }
    inode_pending_clear(inode);
    content_resize(&inode->data, &inode->size, &inode->capacity, inode->stable_size);
    if (inode->size > 0)
        memcpy(inode->data, inode->stable, inode->size);
}

static void
cut_directories(struct sim_disk *disk, const struct cut_mood *mood, struct sim *sim)
{
    LIST_FOREACH (&disk->inodes, at)
        LIST_ENTRY(at, struct sim_inode, link)->cut = false;
    LIST_FOREACH (&disk->pending, at) {
        struct sim_dir_op *op = LIST_ENTRY(at, struct sim_dir_op, link);
        bool drop = sim_chance(sim, mood->drop_ppm) || op->dir->cut ||
                    (op->to_dir != NULL && op->to_dir->cut);
        if (!drop) {
            dir_op_apply(op);
            continue;
        }
        op->dir->cut = true;
        if (op->to_dir != NULL)
            op->to_dir->cut = true;
    }
}

/* Names seen become those on the platter, and what has none is freed. Each inode is held by one
 * more reference meanwhile, because freeing a directory frees what stands in it. */
static void
cut_names(struct sim_disk *disk)
{
    LIST_FOREACH (&disk->inodes, at)
        LIST_ENTRY(at, struct sim_inode, link)->refs++;
    LIST_FOREACH (&disk->inodes, at) {
        struct sim_inode *inode = LIST_ENTRY(at, struct sim_inode, link);
        names_copy(&inode->names, &inode->stable_names);
    }
    for (struct list *at; (at = list_pop(&disk->pending)) != NULL;)
        dir_op_free(LIST_ENTRY(at, struct sim_dir_op, link));
    struct list all;
    list_init(&all);
    list_splice(&all, &disk->inodes);
    while (!list_empty(&all)) {
        struct sim_inode *inode = LIST_ENTRY(all.next, struct sim_inode, link);
        list_remove(&inode->link);
        list_push(&disk->inodes, &inode->link);
        inode_unref(inode);
    }
}

void
disk_power_cut(struct sim_disk *disk, struct sim *sim)
{
    static const struct cut_mood moods[] = {
        {0, 0}, {1000000, 0}, {100000, 100000}, {300000, 500000}, {500000, 300000}};
    const struct cut_mood *mood = &moods[sim_below(sim, COUNT_OF(moods))];
    LIST_FOREACH (&disk->inodes, at) {
        struct sim_inode *inode = LIST_ENTRY(at, struct sim_inode, link);
        if (inode->kind == ENV_KIND_FILE)
            cut_file(inode, mood, sim);
    }
    cut_directories(disk, mood, sim);
    cut_names(disk);
}
