// Sends the same group requests, of every version, to an Apache Kafka broker and to ours, and compares the
// answers. Member ids are random and are replaced; lists are compared without their order, which Kafka's hash
// maps decide. See README.md.
import java.io.*;
import java.net.*;
import java.nio.ByteBuffer;
import java.util.*;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.message.*;
import org.apache.kafka.common.protocol.*;

public class Compare {
    static final String ANY_UUID = "-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}";

    /** One connection; requests go one at a time. */
    static class Peer {
        final String host;
        final int port;
        Socket socket;
        DataInputStream in;
        int correlation = 1;
        String member = "";
        int generation = -1;

        Peer(String address) throws IOException {
            host = address.substring(0, address.lastIndexOf(':'));
            port = Integer.parseInt(address.substring(address.lastIndexOf(':') + 1));
            connect();
        }

        void connect() throws IOException {
            socket = new Socket(host, port);
            socket.setSoTimeout(30000);
            in = new DataInputStream(socket.getInputStream());
        }

        /** Null when the broker closed the connection instead. */
        ApiMessage call(ApiKeys key, int version, ApiMessage request) throws IOException {
            short v = (short) version;
            RequestHeaderData header = new RequestHeaderData().setRequestApiKey(key.id).setRequestApiVersion(v)
                .setCorrelationId(correlation++).setClientId("compare");
            ObjectSerializationCache cache = new ObjectSerializationCache();
            int size = header.size(cache, key.requestHeaderVersion(v)) + request.size(cache, v);
            ByteBuffer frame = ByteBuffer.allocate(4 + size).putInt(size);
            ByteBufferAccessor out = new ByteBufferAccessor(frame);
            header.write(out, cache, key.requestHeaderVersion(v));
            request.write(out, cache, v);
            socket.getOutputStream().write(frame.array(), 0, frame.position());
            byte[] answer;
            try {
                answer = new byte[in.readInt()];
                in.readFully(answer);
            } catch (EOFException | SocketException e) {
                connect();
                return null;
            }
            ByteBufferAccessor bytes = new ByteBufferAccessor(ByteBuffer.wrap(answer));
            new ResponseHeaderData(bytes, key.responseHeaderVersion(v));
            ApiMessage response = ApiMessageType.fromApiKey(key.id).newResponse();
            response.read(bytes, v);
            if (bytes.remaining() != 0)
                throw new IOException(bytes.remaining() + " bytes after " + response);
            return response;
        }

        String text(ApiMessage response) {
            if (response == null)
                return "closed";
            String text = response.toString().replaceAll(ANY_UUID, "-UUID").replace("port=" + port, "port=P")
                .replaceAll("throttleTimeMs=\\d+", "").replaceAll("errorMessage='[^']*'", "");
            String[] pieces = text.split("[()\\[\\]](, )?");
            Arrays.sort(pieces);
            return String.join("\n      ", pieces);
        }
    }

    interface Maker {
        ApiMessage make(Peer peer);
    }

    static Peer apache, ours;
    static int same, different;

    static ApiMessage[] both(String what, ApiKeys key, int version, Maker maker) throws IOException {
        ApiMessage[] answers = {apache.call(key, version, maker.make(apache)), ours.call(key, version, maker.make(ours))};
        String theirs = apache.text(answers[0]), mine = ours.text(answers[1]);
        if (theirs.equals(mine)) {
            same++;
        } else {
            different++;
            System.out.println("# " + what + ", version " + version + "\n#   apache\n#     " + theirs + "\n#   ours\n#     "
                + mine);
        }
        return answers;
    }

    // ---- requests ----

    static JoinGroupRequestData join(String group, String member, String instance, String type, String... protocols) {
        var list = new JoinGroupRequestData.JoinGroupRequestProtocolCollection();
        byte[] subscription = {0, 0, 0, 0, 0, 1, 0, 1, 't', -1, -1, -1, -1};
        for (String name : protocols)
            list.add(new JoinGroupRequestData.JoinGroupRequestProtocol().setName(name).setMetadata(subscription));
        return new JoinGroupRequestData().setGroupId(group).setMemberId(member).setGroupInstanceId(instance)
            .setProtocolType(type).setProtocols(list).setSessionTimeoutMs(6000).setRebalanceTimeoutMs(8000);
    }

    static SyncGroupRequestData sync(String group, Peer peer, String instance, int version, String protocol) {
        SyncGroupRequestData sync = new SyncGroupRequestData().setGroupId(group).setMemberId(peer.member)
            .setGroupInstanceId(instance).setGenerationId(peer.generation).setAssignments(List.of(
                new SyncGroupRequestData.SyncGroupRequestAssignment().setMemberId(peer.member)
                    .setAssignment(new byte[] {1, 2, 3})));
        return version >= 5 ? sync.setProtocolType("consumer").setProtocolName(protocol) : sync;
    }

    static HeartbeatRequestData beat(String group, String member, int generation, String instance) {
        return new HeartbeatRequestData().setGroupId(group).setMemberId(member).setGenerationId(generation)
            .setGroupInstanceId(instance);
    }

    static LeaveGroupRequestData leave(String group, int version, String member, String instance) {
        LeaveGroupRequestData leave = new LeaveGroupRequestData().setGroupId(group);
        if (version < 3)
            return leave.setMemberId(member);
        return leave.setMembers(List.of(
            new LeaveGroupRequestData.MemberIdentity().setMemberId(member).setGroupInstanceId(instance)));
    }

    static OffsetCommitRequestData commit(String group, String member, int generation, String topic, int partition,
        String metadata) {
        return new OffsetCommitRequestData().setGroupId(group).setMemberId(member)
            .setGenerationIdOrMemberEpoch(generation).setTopics(List.of(
                new OffsetCommitRequestData.OffsetCommitRequestTopic().setName(topic).setPartitions(List.of(
                    new OffsetCommitRequestData.OffsetCommitRequestPartition().setPartitionIndex(partition)
                        .setCommittedOffset(5).setCommittedMetadata(metadata)))));
    }

    static OffsetFetchRequestData.OffsetFetchRequestGroup fetchGroup(String group, String topic, Integer... partitions) {
        return new OffsetFetchRequestData.OffsetFetchRequestGroup().setGroupId(group).setTopics(topic == null ? null
            : List.of(new OffsetFetchRequestData.OffsetFetchRequestTopics().setName(topic)
                .setPartitionIndexes(List.of(partitions))));
    }

    static OffsetFetchRequestData fetch(OffsetFetchRequestData.OffsetFetchRequestGroup... groups) {
        return new OffsetFetchRequestData().setGroups(List.of(groups));
    }

    static OffsetFetchRequestData fetchOld(String group, String topic, Integer... partitions) {
        return new OffsetFetchRequestData().setGroupId(group).setTopics(topic == null ? null
            : List.of(new OffsetFetchRequestData.OffsetFetchRequestTopic().setName(topic)
                .setPartitionIndexes(List.of(partitions))));
    }

    static OffsetDeleteRequestData deleteOffset(String group, String topic, int partition) {
        return new OffsetDeleteRequestData().setGroupId(group).setTopics(
            new OffsetDeleteRequestData.OffsetDeleteRequestTopicCollection(List.of(
                new OffsetDeleteRequestData.OffsetDeleteRequestTopic().setName(topic).setPartitions(List.of(
                    new OffsetDeleteRequestData.OffsetDeleteRequestPartition().setPartitionIndex(partition)))).iterator()));
    }

    // ---- cases ----

    static void coordinators() throws IOException {
        for (int v = 0; v <= 3; v++)
            for (int type : v == 0 ? new int[] {0} : new int[] {0, 2, 9}) {
                var request = new FindCoordinatorRequestData().setKey("g").setKeyType((byte) type);
                both("FindCoordinator of type " + type, ApiKeys.FIND_COORDINATOR, v, p -> request);
            }
        for (int v = 4; v <= 6; v++)
            for (int type : v == 6 ? new int[] {0, 9} : new int[] {0, 2, 9})
                for (List<String> keys : List.of(List.<String>of(), List.of("g", "h", ""))) {
                    var request = new FindCoordinatorRequestData().setKeyType((byte) type).setCoordinatorKeys(keys);
                    both("FindCoordinator of type " + type, ApiKeys.FIND_COORDINATOR, v, p -> request);
                }
    }

    static void strangers() throws IOException {
        for (int v = 0; v <= 9; v++) {
            both("join of no group", ApiKeys.JOIN_GROUP, v, p -> join("", "", null, "consumer", "range"));
            both("join, short session", ApiKeys.JOIN_GROUP, v,
                p -> join("g", "", null, "consumer", "range").setSessionTimeoutMs(1));
            both("join, long session", ApiKeys.JOIN_GROUP, v,
                p -> join("g", "", null, "consumer", "range").setSessionTimeoutMs(1000000000));
            both("join of a stranger", ApiKeys.JOIN_GROUP, v, p -> join("none", "who", null, "consumer", "range"));
        }
        for (int version = 0; version <= 5; version++) {
            int v = version;
            Peer nobody = ours;
            both("sync to no group", ApiKeys.SYNC_GROUP, v, p -> sync("none", nobody, null, v, "range"));
            both("sync, empty id", ApiKeys.SYNC_GROUP, v, p -> sync("", nobody, null, v, "range"));
            both("leave of no group", ApiKeys.LEAVE_GROUP, v, p -> leave("none", v, "m", null));
            both("leave, empty id", ApiKeys.LEAVE_GROUP, v, p -> leave("", v, "m", null));
        }
        both("sync without protocol", ApiKeys.SYNC_GROUP, 5, p -> new SyncGroupRequestData().setGroupId("none"));
        for (int v = 0; v <= 4; v++) {
            both("heartbeat to no group", ApiKeys.HEARTBEAT, v, p -> beat("none", "m", 1, null));
            both("heartbeat, empty id", ApiKeys.HEARTBEAT, v, p -> beat("", "m", 1, null));
        }
    }

    static void offsets() throws IOException {
        for (int v = 2; v <= 9; v++) {
            String g = "offsets" + v;
            both("commit", ApiKeys.OFFSET_COMMIT, v, p -> commit(g, "", -1, "t", 0, "note"));
            both("commit without metadata", ApiKeys.OFFSET_COMMIT, v, p -> commit(g, "", -1, "t", 1, null));
            both("commit, unknown topic", ApiKeys.OFFSET_COMMIT, v, p -> commit(g, "", -1, "none", 0, ""));
            both("commit, unknown partition", ApiKeys.OFFSET_COMMIT, v, p -> commit(g, "", -1, "t", 99, ""));
            both("commit with a generation, no group", ApiKeys.OFFSET_COMMIT, v, p -> commit("none", "m", 3, "t", 0, ""));
            both("commit with a generation", ApiKeys.OFFSET_COMMIT, v, p -> commit(g, "m", 3, "t", 0, ""));
            both("commit with a member", ApiKeys.OFFSET_COMMIT, v, p -> commit(g, "m", -1, "t", 2, ""));
            both("commit, long metadata", ApiKeys.OFFSET_COMMIT, v, p -> commit(g, "", -1, "t", 3, "x".repeat(4097)));
            both("commit of nothing", ApiKeys.OFFSET_COMMIT, v, p -> commit(g, "", -1, "t", 0, "").setTopics(List.of()));
            both("commit to the empty id", ApiKeys.OFFSET_COMMIT, v, p -> commit("", "", -1, "t", 0, ""));
        }
        for (int v = 1; v <= 7; v++) {
            for (String g : List.of("offsets3", "none", "")) {
                both("fetch", ApiKeys.OFFSET_FETCH, v, p -> fetchOld(g, "t", 0, 1, 2, 3, 99));
                both("fetch, unknown topic", ApiKeys.OFFSET_FETCH, v, p -> fetchOld(g, "none", 0));
                if (v >= 2)
                    both("fetch all", ApiKeys.OFFSET_FETCH, v, p -> fetchOld(g, null));
            }
        }
        for (int v = 8; v <= 9; v++) {
            both("fetch of groups", ApiKeys.OFFSET_FETCH, v, p -> fetch(fetchGroup("offsets3", "t", 0, 1, 99),
                fetchGroup("offsets4", null), fetchGroup("none", "t", 0), fetchGroup("", "t", 0)));
            both("fetch of no groups", ApiKeys.OFFSET_FETCH, v, p -> fetch());
            both("stable fetch", ApiKeys.OFFSET_FETCH, v, p -> fetch(fetchGroup("offsets3", "t", 0)).setRequireStable(true));
        }
        Uuid unknown = new Uuid(7, 7);
        both("fetch, unknown id", ApiKeys.OFFSET_FETCH, 10, p -> {
            var group = fetchGroup("offsets3", "", 0);
            group.topics().get(0).setTopicId(unknown);
            return fetch(group);
        });
        both("commit, unknown id", ApiKeys.OFFSET_COMMIT, 10, p -> {
            var request = commit("offsets3", "", -1, "", 0, "");
            request.topics().get(0).setTopicId(unknown);
            return request;
        });
        both("delete offset", ApiKeys.OFFSET_DELETE, 0, p -> deleteOffset("offsets3", "t", 0));
        both("delete offset, unknown partition", ApiKeys.OFFSET_DELETE, 0, p -> deleteOffset("offsets3", "t", 99));
        both("delete offset, no group", ApiKeys.OFFSET_DELETE, 0, p -> deleteOffset("none", "t", 0));
        both("delete offset, empty id", ApiKeys.OFFSET_DELETE, 0, p -> deleteOffset("", "t", 0).setGroupId(""));
    }

    static void remember(ApiMessage[] joins) {
        Peer[] peers = {apache, ours};
        for (int i = 0; i < 2; i++) {
            peers[i].member = ((JoinGroupResponseData) joins[i]).memberId();
            peers[i].generation = ((JoinGroupResponseData) joins[i]).generationId();
        }
    }

    /** One member from its first join to its leaving, and everything it may say wrong meanwhile. */
    static void life(int version) throws IOException {
        String g = "life" + version;
        int sync = Math.min(version, 5), beat = Math.min(version, 4), commit = Math.max(version, 2);
        int describe = Math.min(version, 6);
        remember(both("first join", ApiKeys.JOIN_GROUP, version, p -> join(g, "", null, "consumer", "range", "rr")));
        if (version >= 4)
            remember(both("join with the id", ApiKeys.JOIN_GROUP, version,
                p -> join(g, p.member, null, "consumer", "range", "rr")));
        both("commit before sync", ApiKeys.OFFSET_COMMIT, commit, p -> commit(g, p.member, p.generation, "t", 0, ""));
        both("heartbeat before sync", ApiKeys.HEARTBEAT, beat, p -> beat(g, p.member, p.generation, null));
        both("heartbeat of another generation", ApiKeys.HEARTBEAT, beat, p -> beat(g, p.member, p.generation + 1, null));
        both("describe before sync", ApiKeys.DESCRIBE_GROUPS, describe,
            p -> new DescribeGroupsRequestData().setGroups(List.of(g, "none", "")));
        if (sync >= 5)
            both("sync of another protocol", ApiKeys.SYNC_GROUP, sync, p -> sync(g, p, null, sync, "rr"));
        both("sync of another generation", ApiKeys.SYNC_GROUP, sync,
            p -> sync(g, p, null, sync, "range").setGenerationId(99));
        both("sync", ApiKeys.SYNC_GROUP, sync, p -> sync(g, p, null, sync, "range"));
        both("sync again", ApiKeys.SYNC_GROUP, sync, p -> sync(g, p, null, sync, "range"));
        both("describe", ApiKeys.DESCRIBE_GROUPS, describe, p -> new DescribeGroupsRequestData().setGroups(List.of(g))
            .setIncludeAuthorizedOperations(describe >= 3));
        both("delete of a live group", ApiKeys.DELETE_GROUPS, Math.min(version, 2),
            p -> new DeleteGroupsRequestData().setGroupsNames(List.of(g)));
        both("delete of a subscribed offset", ApiKeys.OFFSET_DELETE, 0, p -> deleteOffset(g, "t", 0));
        both("commit", ApiKeys.OFFSET_COMMIT, commit, p -> commit(g, p.member, p.generation, "t", 0, "z"));
        both("commit without member", ApiKeys.OFFSET_COMMIT, commit, p -> commit(g, "", -1, "t", 0, "z"));
        both("commit of a stranger", ApiKeys.OFFSET_COMMIT, commit, p -> commit(g, "who", p.generation, "t", 0, "z"));
        both("join with another protocol", ApiKeys.JOIN_GROUP, version, p -> join(g, "", null, "consumer", "other"));
        both("join with another type", ApiKeys.JOIN_GROUP, version, p -> join(g, "", null, "connect", "range"));
        both("join of a stranger", ApiKeys.JOIN_GROUP, version, p -> join(g, "who", null, "consumer", "range"));
        if (version >= 5)
            both("join of a static stranger", ApiKeys.JOIN_GROUP, version, p -> join(g, "who", "i", "consumer", "range"));
        both("leader joins again", ApiKeys.JOIN_GROUP, version,
            p -> join(g, p.member, null, "consumer", "range", "rr"));
        both("leave", ApiKeys.LEAVE_GROUP, sync, p -> leave(g, sync, p.member, null));
        both("leave again", ApiKeys.LEAVE_GROUP, sync, p -> leave(g, sync, p.member, null));
        both("heartbeat after leaving", ApiKeys.HEARTBEAT, beat, p -> beat(g, p.member, p.generation, null));
        both("describe the empty group", ApiKeys.DESCRIBE_GROUPS, describe,
            p -> new DescribeGroupsRequestData().setGroups(List.of(g)));
        both("delete", ApiKeys.DELETE_GROUPS, Math.min(version, 2),
            p -> new DeleteGroupsRequestData().setGroupsNames(List.of(g, "none")));
        both("fetch after delete", ApiKeys.OFFSET_FETCH, 8, p -> fetch(fetchGroup(g, null)));
    }

    static void staticMember() throws IOException {
        String g = "static";
        remember(both("static join", ApiKeys.JOIN_GROUP, 9, p -> join(g, "", "i", "consumer", "range")));
        both("static sync", ApiKeys.SYNC_GROUP, 5, p -> sync(g, p, "i", 5, "range"));
        both("swap", ApiKeys.JOIN_GROUP, 9, p -> join(g, "", "i", "consumer", "range"));
        both("fenced heartbeat", ApiKeys.HEARTBEAT, 4, p -> beat(g, p.member, p.generation, "i"));
        both("fenced join", ApiKeys.JOIN_GROUP, 9, p -> join(g, p.member, "i", "consumer", "range"));
        both("fenced commit", ApiKeys.OFFSET_COMMIT, 8,
            p -> commit(g, p.member, p.generation, "t", 0, "").setGroupInstanceId("i"));
        both("fenced leave", ApiKeys.LEAVE_GROUP, 5, p -> leave(g, 5, p.member, "i"));
        both("swap of an old client", ApiKeys.JOIN_GROUP, 5, p -> join(g, "", "i", "consumer", "range"));
        both("describe static", ApiKeys.DESCRIBE_GROUPS, 6, p -> new DescribeGroupsRequestData().setGroups(List.of(g)));
        both("leave by instance id", ApiKeys.LEAVE_GROUP, 5, p -> leave(g, 5, "", "i"));
    }

    static void lists() throws IOException {
        for (int v = 0; v <= 5; v++)
            both("list", ApiKeys.LIST_GROUPS, v, p -> new ListGroupsRequestData());
        for (String state : List.of("Empty", "empty", " Stable ", "Dead", "bogus"))
            both("list " + state, ApiKeys.LIST_GROUPS, 4, p -> new ListGroupsRequestData().setStatesFilter(List.of(state)));
        for (String type : List.of("classic", "Classic", "consumer", "bogus"))
            both("list " + type, ApiKeys.LIST_GROUPS, 5, p -> new ListGroupsRequestData().setTypesFilter(List.of(type)));
    }

    static void prepare(Peer peer) throws Exception {
        peer.call(ApiKeys.CREATE_TOPICS, 7, new CreateTopicsRequestData().setTimeoutMs(10000).setTopics(
            new CreateTopicsRequestData.CreatableTopicCollection(List.of(new CreateTopicsRequestData.CreatableTopic()
                .setName("t").setNumPartitions(4).setReplicationFactor((short) 1)).iterator())));
        for (int i = 0; i < 100; i++) {
            var found = (FindCoordinatorResponseData) peer.call(ApiKeys.FIND_COORDINATOR, 4,
                new FindCoordinatorRequestData().setCoordinatorKeys(List.of("g")));
            var list = (ListGroupsResponseData) peer.call(ApiKeys.LIST_GROUPS, 0, new ListGroupsRequestData());
            var offsets = (OffsetFetchResponseData) peer.call(ApiKeys.OFFSET_FETCH, 8, fetch(fetchGroup("g", "t", 0)));
            if (found.coordinators().get(0).errorCode() == 0 && list.errorCode() == 0
                && offsets.groups().get(0).errorCode() == 0)
                return;
            Thread.sleep(100);
        }
        throw new IOException("no coordinator at " + peer.host + ":" + peer.port);
    }

    public static void main(String[] addresses) throws Exception {
        apache = new Peer(addresses[0]);
        ours = new Peer(addresses[1]);
        prepare(apache);
        prepare(ours);
        Thread.sleep(1000); // the other partitions of __consumer_offsets
        coordinators();
        strangers();
        offsets();
        for (int version = 0; version <= 9; version++)
            life(version);
        staticMember();
        lists();
        System.out.println("1..1");
        System.out.println((different == 0 ? "ok" : "not ok") + " 1 - " + same + " answers the same, " + different
            + " different");
        System.exit(different == 0 ? 0 : 1);
    }
}
