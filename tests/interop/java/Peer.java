// Apache's Java clients, 2.1 to the newest, behind the verbs of the matrix; what their versions spell differently goes by
// reflection. usage: java Peer ADDRESS
import java.io.*;
import java.lang.reflect.*;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.*;
import java.util.concurrent.*;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.TimeoutException;
import org.apache.kafka.common.errors.UnknownServerException;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.protocol.Errors;
import org.apache.kafka.common.serialization.*;
import org.apache.kafka.common.utils.AppInfoParser;

public class Peer {
    static class Lacks extends RuntimeException {
        Lacks(String text) {
            super(text);
        }
    }

    /** One request's arguments. */
    static class Request {
        final Map<?, ?> map;

        Request(Object map) {
            this.map = (Map<?, ?>) map;
        }

        String text(String name, String otherwise) {
            Object value = map.get(name);
            return value == null ? otherwise : value.toString();
        }

        String text(String name) {
            return text(name, null);
        }

        long number(String name, long otherwise) {
            Object value = map.get(name);
            return value == null ? otherwise : (Long) value;
        }

        TopicPartition place() {
            return new TopicPartition(text("topic"), (int) number("partition", 0));
        }

        @SuppressWarnings("unchecked")
        Map<String, String> strings(String name) {
            return (Map<String, String>) map.get(name);
        }
    }

    /** A consumer, what it read and nobody took, and the offsets behind what was taken. */
    static class Member {
        final KafkaConsumer<byte[], byte[]> consumer;
        final Deque<ConsumerRecord<byte[], byte[]>> rows = new ArrayDeque<>();
        final Map<TopicPartition, OffsetAndMetadata> held = new HashMap<>();

        Member(Properties config) {
            consumer = new KafkaConsumer<>(config, new ByteArrayDeserializer(), new ByteArrayDeserializer());
        }
    }

    final String address;
    final Map<String, KafkaProducer<byte[], byte[]>> producers = new HashMap<>();
    final Map<String, Member> members = new HashMap<>();
    AdminClient client;

    Peer(String address) {
        this.address = address;
    }

    Properties base(Object... more) {
        Properties config = new Properties();
        config.put("bootstrap.servers", address);
        config.put("reconnect.backoff.max.ms", "200");
        for (int i = 0; i < more.length; i += 2)
            config.put(more[i], more[i + 1].toString());
        return config;
    }

    static String encoded(byte[] data) {
        return data == null ? null : Base64.getEncoder().encodeToString(data);
    }

    static byte[] decoded(Object text) {
        return text == null ? null : Base64.getDecoder().decode((String) text);
    }

    static Map<String, Object> answer(Object... pairs) {
        Map<String, Object> map = new LinkedHashMap<>();
        for (int i = 0; i < pairs.length; i += 2)
            map.put((String) pairs[i], pairs[i + 1]);
        return map;
    }

    public Object hello(Request r) {
        return answer("client", "kafka-clients " + AppInfoParser.getVersion());
    }

    // Producing

    public Object produce(Request r) throws Exception {
        String name = r.text("name");
        KafkaProducer<byte[], byte[]> producer = name == null ? null : producers.get(name);
        if (producer == null) {
            long size = r.number("size_max", 1000000) + 200000;
            producer = new KafkaProducer<>(base("acks", r.text("acks", "all"), "enable.idempotence", r.text("idempotent", "false"),
                "compression.type", r.text("codec", "none"), "linger.ms", 5, "max.request.size", size, "buffer.memory", 4 * size,
                "max.block.ms", r.number("patience_ms", 30000)), new ByteArraySerializer(), new ByteArraySerializer());
            if (name != null)
                producers.put(name, producer);
        }
        try {
            List<Future<RecordMetadata>> sent = new ArrayList<>();
            for (Object row : (List<?>) r.map.get("records")) {
                Map<?, ?> record = (Map<?, ?>) row;
                List<Header> headers = new ArrayList<>();
                if (record.get("h") != null)
                    for (Object h : (List<?>) record.get("h"))
                        headers.add(new RecordHeader((String) ((List<?>) h).get(0), decoded(((List<?>) h).get(1))));
                sent.add(producer.send(new ProducerRecord<>(r.text("topic"), (int) r.number("partition", 0), (Long) record.get("t"),
                    decoded(record.get("k")), decoded(record.get("v")), headers)));
            }
            producer.flush();
            for (Future<RecordMetadata> future : sent)
                future.get(40, TimeUnit.SECONDS);
        } finally {
            if (name == null)
                producer.close();
        }
        return answer();
    }

    public Object close_producer(Request r) {
        producers.remove(r.text("name")).close();
        return answer();
    }

    // Reading

    Properties reader(String reset, Object... more) {
        Properties config = base(more);
        config.putAll(base("auto.offset.reset", reset, "enable.auto.commit", false, "fetch.max.wait.ms", 50,
            "max.partition.fetch.bytes", 6000000));
        return config;
    }

    public Object open(Request r) {
        Member member = new Member(reader(r.text("reset", "earliest")));
        members.put(r.text("name"), member);
        member.consumer.assign(Collections.singleton(r.place()));
        if (r.text("offset").equals("earliest"))
            member.consumer.seekToBeginning(Collections.singleton(r.place()));
        else if (r.text("offset").equals("latest"))
            member.consumer.seekToEnd(Collections.singleton(r.place()));
        else
            member.consumer.seek(r.place(), r.number("offset", 0));
        return answer();
    }

    @SuppressWarnings("unchecked")
    public Object join(Request r) {
        Properties config = reader(r.text("reset", "earliest"), "group.id", r.text("group"), "session.timeout.ms",
            r.number("session_ms", 6000), "heartbeat.interval.ms", r.number("heartbeat_ms", 250), "retry.backoff.ms", 50);
        if (r.text("instance") != null) {
            if (!ConsumerConfig.configNames().contains("group.instance.id"))
                throw new Lacks("no static members");
            config.put("group.instance.id", r.text("instance"));
        }
        Member member = new Member(config);
        members.put(r.text("name"), member);
        member.consumer.subscribe((List<String>) r.map.get("topics"));
        return answer();
    }

    public Object poll(Request r) {
        Member member = members.get(r.text("name"));
        if (member.rows.isEmpty())
            for (ConsumerRecord<byte[], byte[]> row : member.consumer.poll(Duration.ofMillis(r.number("ms", 100))))
                member.rows.add(row);
        List<Object> out = new ArrayList<>();
        for (long left = r.number("max", 100000); left > 0 && !member.rows.isEmpty(); left--) {
            ConsumerRecord<byte[], byte[]> row = member.rows.remove();
            List<Object> headers = new ArrayList<>();
            for (Header h : row.headers())
                headers.add(Arrays.asList(h.key(), encoded(h.value())));
            out.add(answer("p", row.partition(), "o", row.offset(), "k", encoded(row.key()), "v", encoded(row.value()), "t",
                row.timestamp(), "h", headers));
            member.held.put(new TopicPartition(row.topic(), row.partition()), new OffsetAndMetadata(row.offset() + 1));
        }
        List<Object> assignment = new ArrayList<>();
        for (TopicPartition place : member.consumer.assignment())
            assignment.add(Arrays.asList(place.topic(), place.partition()));
        return answer("records", out, "assignment", assignment);
    }

    public Object commit(Request r) {
        Member member = members.get(r.text("name"));
        member.consumer.commitSync(member.held);
        return answer();
    }

    public Object commit_offset(Request r) {
        OffsetAndMetadata offset = new OffsetAndMetadata(r.number("offset", 0), r.text("metadata"));
        members.get(r.text("name")).consumer.commitSync(Collections.singletonMap(r.place(), offset));
        return answer();
    }

    public Object committed(Request r) throws Exception {
        KafkaConsumer<byte[], byte[]> consumer = members.get(r.text("name")).consumer;
        OffsetAndMetadata row;
        try {
            Object rows = consumer.getClass().getMethod("committed", Set.class).invoke(consumer, Collections.singleton(r.place()));
            row = (OffsetAndMetadata) ((Map<?, ?>) rows).get(r.place());
        } catch (NoSuchMethodException e) {
            row = (OffsetAndMetadata) consumer.getClass().getMethod("committed", TopicPartition.class).invoke(consumer, r.place());
        }
        return answer("offset", row.offset(), "metadata", row.metadata());
    }

    public Object leave(Request r) {
        Member member = members.remove(r.text("name"));
        if (member != null)
            member.consumer.close();
        return answer();
    }

    public Object offset_of_time(Request r) {
        try (KafkaConsumer<byte[], byte[]> consumer = new Member(reader("earliest")).consumer) {
            OffsetAndTimestamp row = consumer.offsetsForTimes(Collections.singletonMap(r.place(), r.number("time", 0))).get(r.place());
            return answer("offset", row == null ? -1 : row.offset());
        }
    }

    // Administration

    AdminClient admin() {
        if (client == null)
            client = AdminClient.create(base());
        return client;
    }

    /** The first of these methods that the class has, called without arguments. */
    static Object either(Object of, String... names) throws Exception {
        for (String name : names) {
            try {
                Method method = of.getClass().getMethod(name);
                method.setAccessible(true);
                return method.invoke(of);
            } catch (NoSuchMethodException e) {
                continue;
            }
        }
        throw new Lacks("none of " + Arrays.toString(names));
    }

    public Object create_topic(Request r) throws Exception {
        NewTopic topic = new NewTopic(r.text("topic"), (int) r.number("partitions", 1), (short) 1).configs(r.strings("configs"));
        admin().createTopics(Collections.singleton(topic)).all().get();
        return answer();
    }

    public Object list_topics(Request r) throws Exception {
        return answer("topics", admin().listTopics().names().get());
    }

    public Object describe_topic(Request r) throws Exception {
        DescribeTopicsResult result = admin().describeTopics(Collections.singleton(r.text("topic")));
        Future<?> future = (Future<?>) either(result, "allTopicNames", "all");
        return answer("partitions", ((TopicDescription) ((Map<?, ?>) future.get()).get(r.text("topic"))).partitions().size());
    }

    static ConfigResource resource(Request r) {
        return new ConfigResource(ConfigResource.Type.TOPIC, r.text("topic"));
    }

    public Object describe_configs(Request r) throws Exception {
        Map<String, Object> out = new TreeMap<>();
        for (ConfigEntry entry : admin().describeConfigs(Collections.singleton(resource(r))).all().get().get(resource(r)).entries())
            out.put(entry.name(), entry.value());
        return answer("configs", out);
    }

    public Object alter_config(Request r) throws Exception {
        ConfigEntry entry = new ConfigEntry(r.text("config"), r.text("value"));
        Object change;
        String method = "incrementalAlterConfigs";
        try {
            Class<?> op = Class.forName("org.apache.kafka.clients.admin.AlterConfigOp"), type = op.getClasses()[0];
            Object set = type.getField("SET").get(null);
            change = Collections.singleton(op.getConstructor(ConfigEntry.class, type).newInstance(entry, set));
        } catch (ClassNotFoundException e) {
            List<ConfigEntry> all = new ArrayList<>(Collections.singleton(entry));
            r.strings("keep").forEach((name, value) -> all.add(new ConfigEntry(name, value)));
            change = new Config(all);
            method = "alterConfigs";
        }
        Object result = AdminClient.class.getMethod(method, Map.class).invoke(admin(), Collections.singletonMap(resource(r), change));
        ((Future<?>) either(result, "all")).get();
        return answer();
    }

    public Object create_partitions(Request r) throws Exception {
        admin().createPartitions(Collections.singletonMap(r.text("topic"), NewPartitions.increaseTo((int) r.number("total", 1)))).all().get();
        return answer();
    }

    public Object delete_records(Request r) throws Exception {
        admin().deleteRecords(Collections.singletonMap(r.place(), RecordsToDelete.beforeOffset(r.number("before", 0)))).all().get();
        return answer();
    }

    public Object list_offsets(Request r) throws Exception {
        try (KafkaConsumer<byte[], byte[]> consumer = new Member(reader("earliest")).consumer) {
            Set<TopicPartition> place = Collections.singleton(r.place());
            Map<TopicPartition, Long> rows = r.text("at").equals("earliest") ? consumer.beginningOffsets(place) : consumer.endOffsets(place);
            return answer("offset", rows.get(r.place()));
        }
    }

    public Object list_groups(Request r) throws Exception {
        List<Object> groups = new ArrayList<>();
        for (ConsumerGroupListing group : admin().listConsumerGroups().all().get())
            groups.add(group.groupId());
        return answer("groups", groups);
    }

    public Object describe_group(Request r) throws Exception {
        ConsumerGroupDescription row = admin().describeConsumerGroups(Collections.singleton(r.text("group"))).all().get().get(r.text("group"));
        return answer("state", either(row, "groupState", "state").toString(), "members", row.members().size());
    }

    public Object delete_group(Request r) throws Exception {
        admin().deleteConsumerGroups(Collections.singleton(r.text("group"))).all().get();
        return answer();
    }

    public Object delete_topic(Request r) throws Exception {
        admin().deleteTopics(Collections.singleton(r.text("topic"))).all().get();
        return answer();
    }

    // The loop

    static Map<String, Object> failure(Throwable e) {
        while ((e instanceof InvocationTargetException || e instanceof ExecutionException) && e.getCause() != null)
            e = e.getCause();
        if (e instanceof Lacks)
            return answer("lacks", e.getMessage());
        e.printStackTrace();
        if (e instanceof UnknownServerException)
            return answer("error", "unknown", "text", e.toString());
        int code = Errors.forException(e).code();
        if (e instanceof CommitFailedException)
            code = Errors.UNKNOWN_MEMBER_ID.code();
        else if (e instanceof OffsetOutOfRangeException)
            code = Errors.OFFSET_OUT_OF_RANGE.code();
        else if (e instanceof TimeoutException && e.getMessage().contains("metadata"))
            code = Errors.UNKNOWN_TOPIC_OR_PARTITION.code();   // it asks again until then
        return answer("error", code, "text", e.toString());
    }

    public static void main(String[] args) throws Exception {
        Peer peer = new Peer(args[0]);
        PrintStream out = new PrintStream(new FileOutputStream(FileDescriptor.out), false, "UTF-8");
        System.setOut(System.err);
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            Request request = new Request(Json.read(line));
            Object answer;
            try {
                answer = Peer.class.getMethod(request.text("op"), Request.class).invoke(peer, request);
            } catch (Throwable e) {
                answer = failure(e);
            }
            StringBuilder text = new StringBuilder();
            Json.write(answer, text);
            out.println(text);
            out.flush();
        }
        System.exit(0);
    }
}
