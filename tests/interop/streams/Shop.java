// The other side of the application: makes topics, feeds them, and compares what comes out. One command a line of
// standard input, one line of answer each. usage: Shop BOOTSTRAP
import java.io.*;
import java.time.Duration;
import java.util.*;
import java.util.stream.*;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;

public class Shop {
    static final List<String> RESULTS = List.of("totals", "minutes", "paid", "named");
    static final long BASE = System.currentTimeMillis() - 20 * Orders.MINUTE;
    static Admin admin;
    static KafkaProducer<String, String> producer;
    static KafkaConsumer<String, String> consumer;
    static final Orders.Results seen = new Orders.Results();
    static long records;

    static String create() throws Exception {
        List<NewTopic> topics = new ArrayList<>();
        for (String name : List.of("orders", "payments", "users", "totals", "minutes", "paid", "named"))
            topics.add(new NewTopic(name, 3, (short) 1).configs(Map.of("cleanup.policy", name.equals("users") ? "compact" : "delete")));
        admin.createTopics(topics).all().get();
        // Of a topic that was just made Apache Kafka may refuse the first batch and take the second one, which its
        // producer does not get over.
        Map<TopicPartition, OffsetSpec> all = new HashMap<>();
        for (NewTopic topic : topics)
            for (int i = 0; i < 3; i++)
                all.put(new TopicPartition(topic.name(), i), OffsetSpec.latest());
        admin.listOffsets(all).all().get();
        for (int i = 0; i < Orders.USERS; i++)
            producer.send(new ProducerRecord<>("users", null, BASE - 1, "u" + i, Orders.name("u" + i)));
        producer.flush();
        List<TopicPartition> partitions = new ArrayList<>();
        for (String name : RESULTS)
            for (int i = 0; i < 3; i++)
                partitions.add(new TopicPartition(name, i));
        consumer.assign(partitions);
        consumer.seekToBeginning(partitions);
        return "ok";
    }

    static String produce(int from, int to) {
        for (int i = from; i < to; i++) {
            producer.send(new ProducerRecord<>("orders", null, Orders.time(BASE, i), Orders.id(i), Orders.order(i)));
            if (Orders.hasPayment(i))
                producer.send(new ProducerRecord<>("payments", null, Orders.paymentTime(BASE, i), Orders.id(i), "card " + i));
        }
        producer.flush();
        return "ok";
    }

    static void poll() {
        for (ConsumerRecord<String, String> record : consumer.poll(Duration.ofMillis(100))) {
            seen.of(record.topic()).put(record.key(), record.value());
            records++;
        }
    }

    /** Until more results than there were. */
    static String some(int more) {
        long from = records;
        for (long end = System.currentTimeMillis() + 60_000; System.currentTimeMillis() < end;) {
            poll();
            if (records >= from + more)
                return "ok " + (records - from);
        }
        return "only " + (records - from) + " results";
    }

    /** Until all results are those of the first orders. */
    static String await(int count) {
        Orders.Results want = Orders.compute(BASE, count);
        for (long end = System.currentTimeMillis() + 90_000; System.currentTimeMillis() < end;) {
            poll();
            if (RESULTS.stream().allMatch(topic -> want.of(topic).equals(seen.of(topic))))
                return "ok " + RESULTS.stream().map(topic -> topic + "=" + seen.of(topic).size()).collect(Collectors.joining(" "))
                    + " records=" + records;
        }
        StringBuilder text = new StringBuilder("different:");
        for (String topic : RESULTS) {
            long wrong = want.of(topic).entrySet().stream().filter(e -> !e.getValue().equals(seen.of(topic).get(e.getKey()))).count();
            text.append(" ").append(topic).append(": ").append(seen.of(topic).size()).append(" keys, ").append(wrong).append(" of ")
                .append(want.of(topic).size()).append(" wrong or missing;");
        }
        return text.toString();
    }

    /** Topics that Streams made: name, cleanup.policy, where each begins and ends. */
    static String internal() throws Exception {
        StringBuilder text = new StringBuilder("ok");
        for (String name : new TreeSet<>(admin.listTopics().names().get())) {
            if (!name.startsWith("shop-"))
                continue;
            var resource = new ConfigResource(ConfigResource.Type.TOPIC, name);
            String policy = admin.describeConfigs(List.of(resource)).all().get().get(resource).get("cleanup.policy").value();
            long start = 0, end = 0;
            for (int i = 0; i < 3; i++) {
                var partition = new TopicPartition(name, i);
                start += admin.listOffsets(Map.of(partition, OffsetSpec.earliest())).all().get().get(partition).offset();
                end += admin.listOffsets(Map.of(partition, OffsetSpec.latest())).all().get().get(partition).offset();
            }
            text.append(" ").append(name).append("|").append(policy).append("|").append(start).append("|").append(end);
        }
        return text.toString();
    }

    static String group() throws Exception {
        var group = admin.describeClassicGroups(List.of("shop")).all().get().get("shop");
        return "ok " + group.state() + " " + group.protocolData() + " " + group.members().size();
    }

    public static void main(String[] args) throws Exception {
        String string = "org.apache.kafka.common.serialization.String";
        Map<String, Object> properties = Map.of("bootstrap.servers", args[0], "key.serializer", string + "Serializer",
            "value.serializer", string + "Serializer", "key.deserializer", string + "Deserializer",
            "value.deserializer", string + "Deserializer");
        admin = Admin.create(properties);
        producer = new KafkaProducer<>(properties);
        consumer = new KafkaConsumer<>(properties);
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
        for (String line; (line = in.readLine()) != null;) {
            String[] words = line.split(" ");
            String answer;
            try {
                switch (words[0]) {
                    case "create": answer = create(); break;
                    case "produce": answer = produce(Integer.parseInt(words[1]), Integer.parseInt(words[2])); break;
                    case "some": answer = some(Integer.parseInt(words[1])); break;
                    case "await": answer = await(Integer.parseInt(words[1])); break;
                    case "internal": answer = internal(); break;
                    case "group": answer = group(); break;
                    default: answer = "what is " + line;
                }
            } catch (Exception e) {
                answer = e.toString().replace("\n", " ");
            }
            System.out.println(answer);
        }
        System.exit(0);
    }
}
