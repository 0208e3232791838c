/* A controller with an image of its own: requests in, answers and records out, records replayed. */
#ifndef TESTS_UNIT_META_WORLD_H
#define TESTS_UNIT_META_WORLD_H

#include "meta/builder.h"
#include "meta/config_rules.h"
#include "meta/controller.h"
#include "proto/create_topics_request.h"
#include "proto/create_topics_response.h"

struct world {
    struct arena arena;
    struct meta_config_rules rules;
    struct meta_controller ctl;
    struct meta_image *image;
    struct meta_records records; /* of the last request */
    uint64_t chance;
};

/* A new cluster with brokers 1, 2 and 3, alive. */
void world_init(struct world *w);
void world_fini(struct world *w);
void world_add_broker(struct world *w, int32_t id, bool fenced);
/* Replays the records of the last request into the image. */
void world_replay(struct world *w);
enum err world_ask(struct world *w, int16_t key, int16_t version, const void *msg, void *response);
struct proto_create_topics_response_creatable_topic_result world_create(
    struct world *w, struct proto_create_topics_request_creatable_topic topic, bool validate_only);

#endif
