/* meta/controller.h - decisions of the active controller: a request and the image it applies to
 * give a response and the records that make it true.
 *
 * Pure: it changes nothing. Whoever runs it appends the records as one batch, replays them into the
 * next image, and sends the response when they are committed. One thread at a time. */
#ifndef META_CONTROLLER_H
#define META_CONTROLLER_H

#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "meta/config.h"
#include "meta/image.h"
#include "meta/port.h"
#include "meta/records.h"

struct meta_controller {
    const struct meta_config_rules *rules;
    int32_t node_id;
    void (*random)(void *ctx, void *out, size_t len); /* topic ids, placement */
    void *random_ctx;
};

/* Fills req->response. Kafka's errors go into it; ERR_OK then. UNSUPPORTED: no such api here.
 * NOMEM. When records->count is 0 there is nothing to append. offset_next is where the first record
 * will stand (a broker's epoch is the offset of its registration). */
MUST_USE enum err meta_controller_handle(const struct meta_controller *ctl,
    const struct meta_image *image, int64_t offset_next, struct meta_request *req,
    struct meta_records *records);

/* The features that this program knows, with the levels it can work at; ends with a null name. */
struct meta_feature_support {
    const char *name;
    int16_t min, max;
    int16_t format_level; /* what a new cluster is formatted with; 0: not finalized */
};
extern const struct meta_feature_support meta_features_supported[];

/* The records a new cluster begins with. rules: for what the node was configured with; may be NULL.
 */
void meta_controller_bootstrap(const struct meta_config_rules *rules, struct meta_records *records);

#endif
