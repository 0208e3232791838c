// Fills a topic with transactions for compaction to find its way through. With OPEN "true" the last one stays open; its first
// offset is printed, else the next one. usage: java Transactions ADDRESS TOPIC SEED OPEN
import java.util.*;
import java.util.concurrent.Future;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.serialization.ByteArraySerializer;

public class Transactions {
    static final int KEYS = 60, TURNS = 200;
    static final byte[] VALUE = new byte[300];

    final String address, topic;
    final Random random;
    int records;

    Transactions(String address, String topic, long seed) {
        this.address = address;
        this.topic = topic;
        random = new Random(seed);
    }

    KafkaProducer<byte[], byte[]> producer(String id) {
        Map<String, Object> config = new HashMap<>();
        config.put("bootstrap.servers", address);
        config.put("linger.ms", 1);
        config.put("compression.type", random.nextBoolean() ? "lz4" : "none");
        if (id != null) {
            config.put("transactional.id", topic + id);
            config.put("transaction.timeout.ms", 900000);
        }
        KafkaProducer<byte[], byte[]> producer = new KafkaProducer<>(config, new ByteArraySerializer(), new ByteArraySerializer());
        if (id != null)
            producer.initTransactions();
        return producer;
    }

    /** Gives the offset of the first record. */
    long write(KafkaProducer<byte[], byte[]> producer) throws Exception {
        Future<RecordMetadata> first = null;
        for (int i = random.nextInt(12); i >= 0; i--) {
            byte[] value = random.nextInt(6) == 0 ? null : (records + "-").concat(new String(VALUE)).getBytes("UTF-8");
            Future<RecordMetadata> sent = producer.send(new ProducerRecord<>(topic, 0, ("k" + random.nextInt(KEYS)).getBytes("UTF-8"), value));
            first = first == null ? sent : first;
            records++;
        }
        producer.flush();
        return first.get().offset();
    }

    public static void main(String[] args) throws Exception {
        Transactions of = new Transactions(args[0], args[1], Long.parseLong(args[2]));
        Arrays.fill(VALUE, (byte) 'v');
        List<KafkaProducer<byte[], byte[]>> producers = new ArrayList<>();
        for (int i = 0; i < 3; i++)
            producers.add(of.producer("-" + i));
        KafkaProducer<byte[], byte[]> plain = of.producer(null);
        boolean[] open = new boolean[producers.size()];
        for (int turn = 0; turn < TURNS; turn++) {
            int i = of.random.nextInt(producers.size() + 1);
            if (i == producers.size()) {
                of.write(plain);
                continue;
            }
            if (turn % 60 == 59) {   // a successor: what was open is aborted, and the epoch moves
                KafkaProducer<byte[], byte[]> fenced = producers.set(i, of.producer("-" + i));
                fenced.close(java.time.Duration.ZERO);
                open[i] = false;
            }
            if (!open[i])
                producers.get(i).beginTransaction();
            of.write(producers.get(i));
            open[i] = of.random.nextInt(3) == 0;
            if (!open[i] && of.random.nextBoolean())
                producers.get(i).commitTransaction();
            else if (!open[i])
                producers.get(i).abortTransaction();
        }
        for (int i = 0; i < open.length; i++)
            if (open[i])
                producers.get(i).commitTransaction();
        boolean stays = Boolean.parseBoolean(args[3]);
        if (stays)
            producers.get(0).beginTransaction();
        System.out.println(of.write(stays ? producers.get(0) : plain));
        for (int turn = 0; turn < 40; turn++)
            of.write(plain);
        System.exit(0);   // with what is open
    }
}
