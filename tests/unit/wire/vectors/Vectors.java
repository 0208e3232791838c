// Writes batches and a producer snapshot with Apache Kafka's own classes, and reads ours with them.
//   javac -cp "$CP" -d OUT Vectors.java
//   java -cp "$CP:OUT" Vectors write DIR      what the unit tests read (see README there)
//   java -cp "$CP:OUT" Vectors read DIR       every DIR/*.batch: checked, compared with the same records
//   java -cp "$CP:OUT" Vectors judge DIR      every DIR/*.in: the leader's verdict, one line each
import java.io.File;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalLong;

import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.errors.ApiException;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.message.LeaderChangeMessage;
import org.apache.kafka.common.protocol.Errors;
import org.apache.kafka.common.record.TimestampType;
import org.apache.kafka.common.record.internal.*;
import org.apache.kafka.common.record.internal.Record;
import org.apache.kafka.common.utils.BufferSupplier;
import org.apache.kafka.common.utils.CloseableIterator;
import org.apache.kafka.common.utils.PrimitiveRef;
import org.apache.kafka.common.utils.Time;
import org.apache.kafka.storage.internals.log.*;
import org.apache.kafka.server.common.RequestLocal;

public class Vectors {
    static final long BASE_TIME = 1700000000000L;
    static final int SMALL = 20, BIG = 3, BIG_SIZE = 50000;

    static byte[] utf8(String s) { return s.getBytes(StandardCharsets.UTF_8); }

    static long time(int i) { return i == 7 ? BASE_TIME + 5000 : BASE_TIME + i * 7L; }
    static byte[] key(int i) { return i % 3 == 0 ? null : utf8("key-" + i); }
    static byte[] value(int i, boolean big) {
        if (big) {
            byte[] v = new byte[BIG_SIZE];
            for (int j = 0; j < v.length; j++) v[j] = (byte) ('a' + (j / 7 + i) % 26);
            return v;
        }
        return i % 5 == 4 ? null : utf8(("value-" + i).repeat(i + 1));
    }
    static Header[] headers(int i) {
        if (i % 4 != 1) return new Header[0];
        return new Header[] { new RecordHeader("h1", utf8("x" + i)), new RecordHeader("", (byte[]) null) };
    }

    static byte[] bytes(ByteBuffer b) {
        ByteBuffer d = b.duplicate();
        byte[] out = new byte[d.remaining()];
        d.get(out);
        return out;
    }

    static Compression codec(String name) { return Compression.of(name).build(); }

    static byte[] batch(String codec, boolean big, TimestampType type, boolean txn) {
        MemoryRecordsBuilder b = MemoryRecords.builder(ByteBuffer.allocate(1 << 20), RecordBatch.CURRENT_MAGIC_VALUE,
            codec(codec), type, 42L, BASE_TIME + 99, 4711L, (short) 3, 100, txn, false, 7);
        for (int i = 0; i < (big ? BIG : SMALL); i++)
            b.append(time(i), key(i), value(i, big), headers(i));
        return bytes(b.build().buffer());
    }

    static ProducerStateEntry entry(long id, int epoch, int coordinatorEpoch, OptionalLong txn, int lastSeq, long lastOffset,
                                    int delta, long time) throws Exception {
        ProducerStateEntry e = new ProducerStateEntry(id, (short) epoch, coordinatorEpoch, time, txn);
        for (java.lang.reflect.Method m : ProducerStateEntry.class.getDeclaredMethods()) {
            if (!m.getName().equals("addBatch")) continue;
            m.setAccessible(true);
            m.invoke(e, (short) epoch, lastSeq, lastOffset, delta, time);
        }
        return e;
    }

    static void write(Path dir) throws Exception {
        for (String c : List.of("none", "gzip", "snappy", "lz4", "zstd")) {
            Files.write(dir.resolve(c + ".batch"), batch(c, false, TimestampType.CREATE_TIME, false));
            if (!c.equals("none"))
                Files.write(dir.resolve("big-" + c + ".batch"), batch(c, true, TimestampType.CREATE_TIME, true));
        }
        Files.write(dir.resolve("append-time.batch"), batch("none", false, TimestampType.LOG_APPEND_TIME, false));
        Files.write(dir.resolve("marker.batch"), bytes(MemoryRecords.withEndTransactionMarker(77L, BASE_TIME, 7, 4711L, (short) 3,
            new EndTransactionMarker(ControlRecordType.COMMIT, 12)).buffer()));
        Files.write(dir.resolve("leader-change.batch"), bytes(MemoryRecords.withLeaderChangeMessage(5L, BASE_TIME, 2, ByteBuffer.allocate(512),
            new LeaderChangeMessage().setVersion((short) 1).setLeaderId(1)).buffer()));
        Map<Long, ProducerStateEntry> map = new LinkedHashMap<>();
        map.put(11L, entry(11L, 0, -1, OptionalLong.empty(), 9, 109, 4, BASE_TIME + 5));
        map.put(12L, entry(12L, 2, 6, OptionalLong.of(120), Integer.MAX_VALUE, 125, 5, BASE_TIME + 6));
        map.put(13L, new ProducerStateEntry(13L, (short) 1, 3, BASE_TIME + 7, OptionalLong.empty()));
        ProducerStateManager.writeSnapshot(dir.resolve("producers.snapshot").toFile(), map, true);
    }

    static boolean same(Record r, int i, boolean big, long time) {
        return r.offset() == 42 + i && r.timestamp() == time && r.sequence() == 100 + i
            && Arrays.equals(r.hasKey() ? bytes(r.key()) : null, key(i))
            && Arrays.equals(r.hasValue() ? bytes(r.value()) : null, value(i, big))
            && Arrays.equals(r.headers(), headers(i));
    }

    static void read(Path dir) throws Exception {
        File[] files = dir.toFile().listFiles((d, n) -> n.endsWith(".batch") || n.endsWith(".snapshot"));
        Arrays.sort(files);
        for (File f : files) {
            if (f.getName().endsWith(".snapshot")) {
                System.out.println(f.getName() + " " + ProducerStateManager.readSnapshot(f));
                continue;
            }
            boolean big = f.getName().contains("big-");
            for (MutableRecordBatch b : MemoryRecords.readableRecords(ByteBuffer.wrap(Files.readAllBytes(f.toPath()))).batches()) {
                b.ensureValid();
                int i = 0, bad = 0;
                try (CloseableIterator<Record> it = b.streamingIterator(BufferSupplier.create())) {
                    while (it.hasNext()) {
                        if (b.isControlBatch()) {
                            Record r = it.next();
                            ControlRecordType type = ControlRecordType.parse(r.key());
                            boolean end = type == ControlRecordType.COMMIT || type == ControlRecordType.ABORT;
                            System.out.println(f.getName() + " control " + type
                                + (end ? " epoch " + EndTransactionMarker.deserialize(r).coordinatorEpoch() : ""));
                        } else if (!same(it.next(), i, big, b.timestampType() == TimestampType.LOG_APPEND_TIME ? BASE_TIME + 99 : time(i))) {
                            bad++;
                        }
                        i++;
                    }
                }
                System.out.println(f.getName() + " " + b.compressionType() + " records " + i + " bad " + bad + " " + b);
            }
        }
    }

    // File name: <case>[+option]*.in; options compact, appendtime, gzip (the topic's compression.type).
    static void judge(Path dir) throws Exception {
        File[] files = dir.toFile().listFiles((d, n) -> n.endsWith(".in"));
        Arrays.sort(files);
        for (File f : files) {
            List<String> options = Arrays.asList(f.getName().replace(".in", "").split("\\+"));
            System.out.println(f.getName().replace(".in", "") + " " + verdict(Files.readAllBytes(f.toPath()), options));
        }
    }

    static LogValidator.MetricsRecorder metrics = new LogValidator.MetricsRecorder() {
        public void recordInvalidMagic() { }
        public void recordInvalidOffset() { }
        public void recordInvalidSequence() { }
        public void recordInvalidChecksums() { }
        public void recordNoKeyCompactedTopic() { }
    };

    static String verdict(byte[] in, List<String> options) {
        try {
            MemoryRecords records = MemoryRecords.readableRecords(ByteBuffer.wrap(in));
            CompressionType source = CompressionType.NONE;
            int valid = 0;
            for (MutableRecordBatch b : records.batches()) {
                if (b.baseOffset() != 0) return "INVALID_RECORD";
                if (!b.isValid()) return "CORRUPT_MESSAGE";
                if (b.compressionType() != CompressionType.NONE) source = b.compressionType();
                valid += b.sizeInBytes();
            }
            if (valid < in.length) records = MemoryRecords.readableRecords(ByteBuffer.wrap(in, 0, valid).slice());
            Compression target = options.contains("gzip") ? codec("gzip") : Compression.of(source).build();
            LogValidator v = new LogValidator(records, new TopicPartition("t", 0), Time.SYSTEM, source, target,
                options.contains("compact"), RecordBatch.CURRENT_MAGIC_VALUE,
                options.contains("appendtime") ? TimestampType.LOG_APPEND_TIME : TimestampType.CREATE_TIME,
                Long.MAX_VALUE, 3600000L, 7, AppendOrigin.CLIENT);
            v.validateMessagesAndAssignOffsets(PrimitiveRef.ofLong(1000), metrics, RequestLocal.noCaching().bufferSupplier());
            return "NONE";
        } catch (RecordValidationException e) {
            StringBuilder s = new StringBuilder();
            e.recordErrors().forEach(r -> s.append(' ').append(r.batchIndex));
            return Errors.forException(e.invalidException()).name() + s;
        } catch (Throwable e) {
            return Errors.forException(e).name() + (Errors.forException(e) == Errors.UNKNOWN_SERVER_ERROR ? " # " + e : "");
        }
    }

    public static void main(String[] args) throws Exception {
        Path dir = Path.of(args[1]);
        switch (args[0]) {
            case "write": write(dir); break;
            case "read": read(dir); break;
            case "judge": judge(dir); break;
            default: throw new IllegalArgumentException(args[0]);
        }
    }
}
