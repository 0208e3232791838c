/* DescribeUserScramCredentials (50): who has which, from the records that the metadata log keeps;
 * never their secrets. */
#include <stdlib.h>

#include "base/assert.h"
#include "broker/broker.h"
#include "broker/cluster_view.h"
#include "meta/records.h"
#include "proto/api_keys.h"
#include "proto/describe_user_scram_credentials_request.h"
#include "proto/describe_user_scram_credentials_response.h"
#include "proto/error_codes.h"
#include "proto/user_scram_credential_record.h"

typedef struct proto_describe_user_scram_credentials_response_describe_user_scram_credentials_result
    result_out;
typedef struct proto_describe_user_scram_credentials_response_credential_info info_out;

/* One credential; all of them in the order of users and mechanisms. */
struct credential {
    struct str user;
    int8_t mechanism;
    int32_t iterations;
};

struct credentials {
    struct credential *items;
    int32_t count;
};

static int
compare(const void *a, const void *b)
{
    const struct credential *x = a, *y = b;
    int order = str_cmp(x->user, y->user);
    return order != 0 ? order : x->mechanism - y->mechanism;
}

static bool
credential_read(struct arena *arena, const struct meta_raw *raw, struct credential *out)
{
    struct meta_record_frame frame;
    struct proto_user_scram_credential_record record;
    struct reader r;
    if (meta_record_parse(raw->frame, &frame) != ERR_OK)
        return false;
    reader_init(&r, frame.body);
    if (proto_decode(&proto_user_scram_credential_record_schema, frame.version, &r, arena,
            &record) != ERR_OK)
        return false;
    *out = (struct credential){record.name, record.mechanism, record.iterations};
    return true;
}

static bool
credentials_read(struct broker_req *req, struct credentials *out)
{
    const uint16_t type = META_RECORD_USER_SCRAM_CREDENTIAL;
    const struct meta_raw *raw = NULL;
    int32_t count = 0;
    size_t cost = 0;
    while ((raw = meta_image_raw_after(req->image, type, raw)) != NULL) {
        count++;
        cost += raw->frame.len + 2 * sizeof(struct credential) + sizeof(result_out) +
                sizeof(info_out) + 128;
    }
    broker_req_budget_add(req, cost); /* a short question, a long answer */
    *out = (struct credentials){arena_calloc(req->arena, (size_t)count, sizeof *out->items), 0};
    if (out->items == NULL)
        return false;
    while ((raw = meta_image_raw_after(req->image, type, raw)) != NULL)
        if (!credential_read(req->arena, raw, &out->items[out->count++]))
            return false;
    qsort(out->items, (size_t)out->count, sizeof *out->items, compare);
    return true;
}

/* The first credential that does not come before the user's. */
static int32_t
credentials_find(const struct credentials *all, struct str user)
{
    int32_t low = 0, high = all->count;
    while (low < high) {
        int32_t middle = low + (high - low) / 2;
        if (str_cmp(all->items[middle].user, user) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* From `first` on, as many as are this user's. False out of memory. */
static bool
result_fill(struct broker_req *req, const struct credentials *all, int32_t first, struct str user,
    result_out *out)
{
    int32_t count = 0;
    while (first + count < all->count && str_eq(all->items[first + count].user, user))
        count++;
    out->user = user;
    if (count == 0) {
        out->error_code = PROTO_ERROR_RESOURCE_NOT_FOUND;
        out->error_message = arena_printf(req->arena,
            "Attempt to describe a user credential that does not exist: %.*s", STR_FMT(user));
        return true;
    }
    out->credential_infos.items =
        arena_calloc(req->arena, (size_t)count, sizeof *out->credential_infos.items);
    if (out->credential_infos.items == NULL)
        return false;
    out->credential_infos.count = count;
    for (int32_t i = 0; i < count; i++) {
        out->credential_infos.items[i].mechanism = all->items[first + i].mechanism;
        out->credential_infos.items[i].iterations = all->items[first + i].iterations;
    }
    return true;
}

static bool
fill_all(struct broker_req *req, const struct credentials *all,
    struct proto_describe_user_scram_credentials_response *response)
{
    response->results.items = arena_calloc(req->arena, (size_t)all->count, sizeof(result_out));
    if (response->results.items == NULL)
        return false;
    for (int32_t i = 0; i < all->count;) {
        result_out *out = &response->results.items[response->results.count++];
        if (!result_fill(req, all, i, all->items[i].user, out))
            return false;
        i += out->credential_infos.count;
    }
    return true;
}

struct asked {
    struct str user;
    int32_t index;
};

static int
asked_compare(const void *a, const void *b)
{
    const struct asked *x = a, *y = b;
    int order = str_cmp(x->user, y->user);
    return order != 0 ? order : (x->index > y->index) - (x->index < y->index);
}

/* Each user once, in the order of names. */
static bool
fill_asked(struct broker_req *req, const struct credentials *all,
    struct proto_describe_user_scram_credentials_response *response)
{
    const struct proto_describe_user_scram_credentials_request *msg = req->msg;
    int32_t count = msg->users.count;
    struct asked *asked = arena_calloc(req->arena, (size_t)count, sizeof *asked);
    response->results.items = arena_calloc(req->arena, (size_t)count, sizeof(result_out));
    if (asked == NULL || response->results.items == NULL)
        return false;
    for (int32_t i = 0; i < count; i++)
        asked[i] = (struct asked){msg->users.items[i].name, i};
    qsort(asked, (size_t)count, sizeof *asked, asked_compare);
    for (int32_t i = 0, end; i < count; i = end) {
        result_out *out = &response->results.items[response->results.count++];
        for (end = i + 1; end < count && str_eq(asked[end].user, asked[i].user);)
            end++;
        if (end == i + 1) {
            if (!result_fill(req, all, credentials_find(all, asked[i].user), asked[i].user, out))
                return false;
            continue;
        }
        out->user = asked[i].user;
        out->error_code = PROTO_ERROR_DUPLICATE_RESOURCE;
        out->error_message = arena_printf(req->arena,
            "Cannot describe SCRAM credentials for the same user twice in a single request: %.*s",
            STR_FMT(asked[i].user));
    }
    return true;
}

static void
handle(struct broker_req *req)
{
    const struct proto_describe_user_scram_credentials_request *msg = req->msg;
    struct proto_describe_user_scram_credentials_response response;
    struct credentials all;
    proto_init(&proto_describe_user_scram_credentials_response_schema, &response);
    bool ok = credentials_read(req, &all);
    if (ok)
        ok = msg->users.count <= 0 ? fill_all(req, &all, &response)
                                   : fill_asked(req, &all, &response);
    if (ok)
        broker_req_reply(req, &response);
    else
        broker_req_close(req, "out of memory");
}

const struct broker_api broker_api_describe_user_scram_credentials = {
    .key = PROTO_API_DESCRIBE_USER_SCRAM_CREDENTIALS,
    .version_min = PROTO_DESCRIBE_USER_SCRAM_CREDENTIALS_REQUEST_VERSION_MIN,
    .version_max = PROTO_DESCRIBE_USER_SCRAM_CREDENTIALS_REQUEST_VERSION_MAX,
    .handle = handle,
};
