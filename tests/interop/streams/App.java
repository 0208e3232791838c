// A Kafka Streams application as one writes it for Apache Kafka: an aggregation behind a repartition, one in time
// windows, a windowed join of two streams, a join with a table. usage: App BOOTSTRAP STATE_DIR
import java.time.Duration;
import java.util.Properties;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.*;
import org.apache.kafka.streams.kstream.*;

public class App {
    static Topology topology() {
        StreamsBuilder builder = new StreamsBuilder();
        KStream<String, String> orders = builder.stream("orders");
        KStream<String, String> payments = builder.stream("payments");
        KTable<String, String> users = builder.table("users", Materialized.as("users-store"));
        KStream<String, String> byUser = orders.map((id, order) ->
            KeyValue.pair(order.split(",")[0], id + "," + order.split(",")[1])).repartition(Repartitioned.as("by-user"));
        KGroupedStream<String, String> grouped = byUser.groupByKey();
        Aggregator<String, String, String> add = (user, value, sum) -> Orders.add(sum, value.split(",")[0], value.split(",")[1]);
        grouped.aggregate(() -> "", add, Materialized.as("totals-store")).toStream().to("totals");
        grouped.windowedBy(TimeWindows.ofSizeAndGrace(Duration.ofMillis(Orders.MINUTE), Duration.ofHours(1)))
            .aggregate(() -> "", add, Materialized.as("minutes-store"))
            .toStream((key, value) -> key.key() + "@" + key.window().start()).to("minutes");
        orders.join(payments, (order, payment) -> order + " by " + payment,
            JoinWindows.ofTimeDifferenceAndGrace(Duration.ofMillis(Orders.WINDOW), Duration.ofHours(1)),
            StreamJoined.<String, String, String>as("paid-join").withStoreName("paid-store")).to("paid");
        byUser.join(users, (value, name) -> value.split(",")[0] + "," + name)
            .map((user, value) -> KeyValue.pair(value.split(",")[0], value.split(",")[1])).to("named");
        return builder.build();
    }

    public static void main(String[] args) {
        Properties properties = new Properties();
        properties.put(StreamsConfig.APPLICATION_ID_CONFIG, "shop");
        properties.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, args[0]);
        properties.put(StreamsConfig.STATE_DIR_CONFIG, args[1]);
        properties.put(StreamsConfig.DEFAULT_KEY_SERDE_CLASS_CONFIG, Serdes.StringSerde.class);
        properties.put(StreamsConfig.DEFAULT_VALUE_SERDE_CLASS_CONFIG, Serdes.StringSerde.class);
        properties.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, 2);
        properties.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, 200);
        properties.put(StreamsConfig.REPARTITION_PURGE_INTERVAL_MS_CONFIG, 500);
        properties.put(StreamsConfig.consumerPrefix("auto.offset.reset"), "earliest");
        properties.put(StreamsConfig.consumerPrefix("session.timeout.ms"), 6000);
        KafkaStreams streams = new KafkaStreams(topology(), properties);
        streams.setStateListener((now, before) -> System.out.println("state " + now));
        streams.setGlobalStateRestoreListener(new org.apache.kafka.streams.processor.StateRestoreListener() {
            public void onRestoreStart(org.apache.kafka.common.TopicPartition partition, String store, long from, long to) {
            }

            public void onBatchRestored(org.apache.kafka.common.TopicPartition partition, String store, long end, long count) {
            }

            public void onRestoreEnd(org.apache.kafka.common.TopicPartition partition, String store, long total) {
                System.out.println("restored " + store + " " + total);
            }
        });
        Runtime.getRuntime().addShutdownHook(new Thread(() -> streams.close(Duration.ofSeconds(20))));
        streams.start();
    }
}
