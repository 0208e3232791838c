/* broker/leader_hint.c - a look into the metadata image. */
#include "broker/leader_hint.h"

#include "broker/request.h"
#include "meta/image.h"

void
broker_leader_hint_find(const struct broker_req *req, struct str topic_name, int32_t partition,
    struct broker_leader_hint *out)
{
    const struct meta_topic *topic = meta_image_topic(req->image, topic_name);
    const struct meta_partition *meta =
        topic != NULL ? meta_topic_partition(topic, partition) : NULL;
    const struct meta_broker *broker;
    const struct meta_endpoint *endpoint;

    *out = (struct broker_leader_hint){.leader_id = -1, .leader_epoch = -1};
    if (meta == NULL)
        return;
    out->leader_id = meta->leader;
    out->leader_epoch = meta->leader_epoch;
    broker = meta_image_broker(req->image, meta->leader);
    if (broker == NULL || broker->fenced)
        return;
    endpoint = meta_broker_endpoint(broker, req->peer->listener);
    if (endpoint == NULL)
        return;
    out->has_endpoint = true;
    out->host = endpoint->host;
    out->port = endpoint->port;
    out->rack = broker->rack;
}
