/* log/file_name.h - the names of files and directories of logs, made and understood. */
#ifndef LOG_FILE_NAME_H
#define LOG_FILE_NAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/uuid.h"

/* A whole path; longer ones are refused at open. */
enum { LOG_PATH_MAX = 4096, LOG_NAME_MAX = 255 };

enum log_file_kind {
    LOG_FILE_LOG,
    LOG_FILE_INDEX,
    LOG_FILE_TIMEINDEX,
    LOG_FILE_TXNINDEX,
    LOG_FILE_SNAPSHOT,
    LOG_FILE_KIND_COUNT,
    LOG_FILE_OTHER = LOG_FILE_KIND_COUNT,
};

enum log_file_phase { LOG_FILE_PLAIN, LOG_FILE_CLEANED, LOG_FILE_SWAP, LOG_FILE_DELETED };

struct log_file_name {
    enum log_file_kind kind; /* OTHER: none of the log's */
    enum log_file_phase phase;
    int64_t base_offset;
};

/* `<dir>/<20 digits>.<kind>`; false when it does not fit. */
bool log_file_path(
    char out[LOG_PATH_MAX], const char *dir, int64_t base_offset, enum log_file_kind kind);
bool log_path_join(char out[LOG_PATH_MAX], const char *dir, const char *name);
struct log_file_name log_file_name_parse(const char *name);

enum log_dir_kind { LOG_DIR_NONE, LOG_DIR_LOG, LOG_DIR_DELETE, LOG_DIR_STRAY, LOG_DIR_FUTURE };

/* Understands `<topic>-<partition>` and its forms with a suffix. For DELETE, STRAY and FUTURE topic
 * and partition are not set. */
enum log_dir_kind log_dir_name_parse(const char *name, struct str *topic, int32_t *partition);
/* `<topic>-<partition>.<32 hex>-delete` (or -stray), the topic cut so that it fits 255 bytes. */
void log_dir_name_gone(char out[LOG_NAME_MAX + 1], struct str topic, int32_t partition,
    struct uuid unique, const char *suffix);

#endif
