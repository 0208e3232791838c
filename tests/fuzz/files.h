/* tests/fuzz/files.h - an input as files on a simulated disk, for targets that read directories.
 *
 * A section is a byte that picks a name of the target's list, two bytes of length and the content;
 * the last one may be cut short. */
#ifndef TESTS_FUZZ_FILES_H
#define TESTS_FUZZ_FILES_H

#include "base/bytes.h"
#include "os/sim.h"

struct fuzz_host {
    struct sim *sim;
    struct sim_host *host;
    struct env *env;
};

void fuzz_host_open(struct fuzz_host *host);
void fuzz_host_close(struct fuzz_host *host);

/* Appends to the file, which is made with its directories. */
void fuzz_file_add(struct fuzz_host *host, const char *path, struct bytes content);

/* Writes each section to dir/<names[byte % count]>; a section of a name that is there is appended.
 * With `seal`, batches in files that end in .log or .checkpoint get their checksums: mutations
 * would never get past them. */
void fuzz_files_write(struct fuzz_host *host, const char *dir, const char *const *names, int count,
    bool seal, struct bytes input);

/* Gives every whole batch its checksum. */
void fuzz_batches_seal(uint8_t *data, size_t len);

/* Takes a piece off the front: two bytes of length and the content; false at the end. */
bool fuzz_piece_next(struct bytes *input, struct bytes *piece);

#endif
