/* cli/group.h - what the commands on groups share: where a group lives, what it is, what it has
 * committed. Everything found stands in the command's arena. */
#ifndef CLI_GROUP_H
#define CLI_GROUP_H

#include "cli/cli.h"

struct group_part {
    struct str topic;
    int32_t index;
};

struct group_member {
    struct str id;
    struct str instance_id; /* null: dynamic */
    struct str client_id;
    struct str host;
    struct str rack;       /* null: none */
    int32_t epoch;         /* -1: the protocol has none */
    bool classic_protocol; /* in a group of another type */
    struct group_part *parts;
    int part_count;
    struct str *topics; /* subscribed */
    int topic_count;
};

struct group {
    struct str id;
    struct str type;     /* "classic", "consumer", "share", "streams" */
    struct str state;    /* as the coordinator says it: "Stable" */
    struct str protocol; /* of classic groups: "consumer", "connect"; else null */
    struct str assignor;
    int32_t epoch;            /* -1: the type has none */
    int32_t assignment_epoch; /* the same */
    struct group_member *members;
    int member_count;
    int32_t coordinator;
    struct str host;
    int32_t port;
};

struct group_offset {
    struct str topic;
    int32_t index;
    int64_t offset;
    int32_t leader_epoch; /* -1: not known */
    struct str metadata;
};

/* Where the group lives, into coordinator, host and port; waits while it is being made. */
int group_find(struct cli *cli, struct str id, struct group *out);
/* group_find and all the rest. A group that does not exist: CLI_NOT_FOUND after printing, or with
 * `may_lack` a group whose state is null. */
int group_describe(struct cli *cli, struct str id, bool may_lack, struct group *out);
/* What the group has committed (of a share group: the first record not done with), sorted by topic
 * and index. */
int group_offsets(
    struct cli *cli, const struct group *group, struct group_offset **out, int *count);

/* "it is Stable with 2 members": refuses with advice. CLI_OK when it has none. */
int group_must_be_empty(const struct cli *cli, const struct group *group, const char *to_do);

#endif
