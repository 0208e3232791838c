/* Exchange - Apache Kafka's own codec as the judge of ours; see README.md.
 *
 *   Exchange write SAMPLES SEED LIST    random messages, encoded by Apache, to standard output
 *   Exchange read                       checks the same stream from codec_peer on standard input
 *
 * LIST names the messages that our side knows, one a line. The stream is a row of
 *   int32 length of the name, name, int16 version, int32 length, bytes, int32 length, JSON
 * with an empty name at its end. */
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedInputStream;
import java.io.BufferedOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.File;
import java.lang.reflect.Field;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.lang.reflect.ParameterizedType;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.jar.JarFile;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.protocol.ByteBufferAccessor;
import org.apache.kafka.common.protocol.Message;
import org.apache.kafka.common.protocol.ObjectSerializationCache;
import org.apache.kafka.common.protocol.types.BoundField;
import org.apache.kafka.common.protocol.types.Schema;
import org.apache.kafka.common.protocol.types.TaggedFields;
import org.apache.kafka.common.protocol.types.Type;
import org.apache.kafka.common.record.internal.MemoryRecords;

public class Exchange {
    static final ObjectMapper JSON = new ObjectMapper();
    /* Kafka 4.4 gave these fields of versions that were there before, or renamed some: with older
     * jars their bytes are compared, their JSON is not. */
    static final List<String> RENAMED_IN_44 = List.of("StreamsGroupHeartbeatResponse",
        "StreamsGroupMetadataValue", "TxnOffsetCommitRequest");
    static boolean older;

    public static void main(String[] args) throws Exception {
        if (args[0].equals("write"))
            write(Integer.parseInt(args[1]), Long.parseLong(args[2]),
                Files.readAllLines(Path.of(args[3])));
        else
            System.exit(read());
    }

    static boolean jsonAside(String name) {
        return older && RENAMED_IN_44.contains(name);
    }

    /* ---- the classes ---- */

    static Map<String, Class<?>> classes() throws Exception {
        Map<String, Class<?>> found = new TreeMap<>();
        for (String entry : System.getProperty("java.class.path").split(":")) {
            if (!entry.endsWith(".jar") || !new File(entry).getName().startsWith("kafka"))
                continue;
            List<String> names = new ArrayList<>();
            try (JarFile jar = new JarFile(entry)) {
                jar.stream().map(e -> e.getName()).filter(n -> n.endsWith("JsonConverter.class"))
                    .filter(n -> !n.contains("$"))
                    .forEach(n -> names.add(n.replace("JsonConverter.class", "").replace('/', '.')));
            }
            for (String n : names) {
                Class<?> c = Class.forName(n);
                String name = c.getSimpleName();
                found.put(name.matches(".*(Request|Response|Header)Data")
                    ? name.substring(0, name.length() - 4) : name, c);
            }
        }
        older = !found.containsKey("UnregisterControllerRequest");
        return found;
    }

    static Map<Class<?>, Method> converters = new HashMap<>();

    static JsonNode json(Object message, short version) throws Exception {
        Class<?> c = message.getClass();
        Method m = converters.get(c);
        if (m == null) {
            m = Class.forName(c.getName() + "JsonConverter").getMethod("write", c, short.class);
            converters.put(c, m);
        }
        return (JsonNode) m.invoke(null, message, version);
    }

    static byte[] encode(Message m, short version) {
        ObjectSerializationCache cache = new ObjectSerializationCache();
        ByteBuffer b = ByteBuffer.allocate(m.size(cache, version));
        m.write(new ByteBufferAccessor(b), cache, version);
        if (b.hasRemaining())
            throw new IllegalStateException("size and bytes differ");
        return b.array();
    }

    /* ---- judging our stream ---- */

    static int read() throws Exception {
        Map<String, Class<?>> classes = classes();
        DataInputStream in = new DataInputStream(new BufferedInputStream(System.in, 1 << 20));
        int shown = Integer.getInteger("shown", 5);
        int samples = 0, differences = 0, unknown = 0, doubles = 0;
        Map<String, Integer> seen = new TreeMap<>();
        for (;;) {
            String name = new String(in.readNBytes(in.readInt()), StandardCharsets.UTF_8);
            if (name.isEmpty())
                break;
            short version = in.readShort();
            byte[] bytes = in.readNBytes(in.readInt());
            String text = new String(in.readNBytes(in.readInt()), StandardCharsets.UTF_8);
            Class<?> c = classes.get(name);
            Message m = c == null ? null : (Message) c.getConstructor().newInstance();
            if (m == null || version > m.highestSupportedVersion()) {
                unknown++;
                continue;
            }
            String what = null;
            try {
                ByteBuffer b = ByteBuffer.wrap(bytes);
                m.read(new ByteBufferAccessor(b), version);
                if (b.hasRemaining())
                    what = b.remaining() + " bytes left";
                else if (!Arrays.equals(encode(m, version), bytes))
                    what = "encodes to other bytes";
                else if (!jsonAside(name)) {
                    String theirs = json(m, version).toString();
                    if (!theirs.equals(text)) {
                        /* Java 17 does not always print the shortest form of a double. */
                        if (JSON.readTree(theirs).equals(JSON.readTree(text)))
                            doubles++;
                        else
                            what = "JSON differs:\n#   " + theirs + "\n#   " + text;
                    }
                }
            } catch (Throwable e) {
                what = e.toString();
            }
            samples++;
            seen.merge(name + " v" + version, 1, Integer::sum);
            if (what != null && differences++ < shown)
                System.out.println("# " + name + " v" + version + ": " + what);
        }
        System.out.printf("# ours to Apache: %d message versions, %d samples, %d differences"
            + " (%d equal but for a double's digits, %d samples newer than these jars)%n",
            seen.size(), samples, differences, doubles, unknown);
        return differences == 0 && samples > 0 ? 0 : 1;
    }

    /* ---- random messages ---- */

    static class Slot {
        Field field;
        Class<?> element; /* of a list or collection */
        boolean nullable;
        boolean tagged;
        String wire;
    }

    static Map<String, List<Slot>> shapes = new HashMap<>();
    static Random random;

    static List<Slot> shape(Class<?> c, short version) throws Exception {
        String key = c.getName() + version;
        List<Slot> out = shapes.get(key);
        if (out != null)
            return out;
        out = new ArrayList<>();
        Schema schema = ((Schema[]) c.getField("SCHEMAS").get(null))[version];
        for (Field f : c.getDeclaredFields()) {
            if (Modifier.isStatic(f.getModifiers()))
                continue;
            String capital = Character.toUpperCase(f.getName().charAt(0)) + f.getName().substring(1);
            String name = capital.replaceAll("([a-z0-9])([A-Z])", "$1_$2").toLowerCase();
            for (BoundField b : schema.fields()) {
                if (b.def.type instanceof TaggedFields) {
                    for (var t : ((TaggedFields) b.def.type).fields().values())
                        if (t.name.equals(name))
                            out.add(slot(f, t.type, true, c, version));
                } else if (b.def.name.equals(name)) {
                    out.add(slot(f, b.def.type, false, c, version));
                }
            }
        }
        shapes.put(key, out);
        return out;
    }

    static Slot slot(Field f, Type type, boolean tagged, Class<?> c, short version)
            throws Exception {
        Slot s = new Slot();
        f.setAccessible(true);
        s.field = f;
        s.tagged = tagged;
        s.nullable = type.isNullable();
        s.wire = type.toString();
        if (f.getType() == List.class)
            s.element = (Class<?>) ((ParameterizedType) f.getGenericType()).getActualTypeArguments()[0];
        else if (f.getType().getSimpleName().endsWith("Collection"))
            s.element = (Class<?>) ((ParameterizedType) f.getType().getGenericSuperclass())
                .getActualTypeArguments()[0];
        if (s.wire.contains("RECORDS")) {
            /* The schema does not say: try. */
            Message m = (Message) c.getConstructor().newInstance();
            f.set(m, null);
            try {
                encode(m, version);
                s.nullable = true;
            } catch (NullPointerException e) {
                s.nullable = false;
            }
        }
        return s;
    }

    static void fill(Object o, short version, int depth) throws Exception {
        for (Slot s : shape(o.getClass(), version)) {
            if (s.tagged && random.nextInt(3) == 0) {
                if (s.wire.contains("RECORDS"))
                    throw new IllegalStateException("tagged records");
                continue;
            }
            if (s.nullable && random.nextInt(4) == 0)
                s.field.set(o, null);
            else if (s.element != null)
                s.field.set(o, list(s, version, depth));
            else
                s.field.set(o, value(s.field.getType(), s.wire, version, depth));
        }
    }

    @SuppressWarnings({"unchecked", "rawtypes"})
    static Object list(Slot s, short version, int depth) throws Exception {
        Collection out = s.field.getType() == List.class ? new ArrayList<>()
            : (Collection) s.field.getType().getConstructor().newInstance();
        int n = random.nextInt(depth > 2 ? 2 : 4);
        for (int i = 0; i < n; i++)
            out.add(value(s.element, "", version, depth));
        return out;
    }

    static long integer(int bits) {
        switch (random.nextInt(6)) {
        case 0: return 0;
        case 1: return -1;
        case 2: return Long.MAX_VALUE >> (64 - bits);
        case 3: return Long.MIN_VALUE >> (64 - bits);
        case 4: return random.nextInt(100);
        default: return random.nextLong();
        }
    }

    static int length() {
        switch (random.nextInt(40)) {
        case 0: return 126 + random.nextInt(4);
        case 1: return 16383 + random.nextInt(3);
        default: return random.nextInt(4) == 0 ? 0 : random.nextInt(24);
        }
    }

    static byte[] bytes() {
        byte[] b = new byte[length()];
        random.nextBytes(b);
        return b;
    }

    static final String[] LETTERS = {"a", "z", "0", "-", "_", ".", "\"", "\\", "/", "\n", "\t",
        "\u0001", "\u007f", "\u017e", "\u20ac", "\ud83d\ude00", "\u2028"};

    static String text() {
        StringBuilder b = new StringBuilder();
        for (int n = length(); n > 0; n--)
            b.append(LETTERS[random.nextInt(random.nextInt(4) == 0 ? LETTERS.length : 6)]);
        return b.toString();
    }

    static Object value(Class<?> t, String wire, short version, int depth) throws Exception {
        if (t == boolean.class)
            return random.nextBoolean();
        if (t == byte.class || t == Byte.class)
            return (byte) integer(8);
        if (t == short.class || t == Short.class)
            return (short) integer(16);
        if (wire.equals("UINT16"))
            return (int) integer(16) & 0xffff;
        if (t == int.class || t == Integer.class)
            return (int) integer(32);
        if (wire.equals("UINT32"))
            return integer(32) & 0xffffffffL;
        if (t == long.class || t == Long.class)
            return integer(64);
        if (t == double.class)
            return random.nextBoolean() ? random.nextInt(1000) / 8.0 : random.nextGaussian() * 1e9;
        if (t == String.class)
            return text();
        if (t == Uuid.class)
            return new Uuid(random.nextLong(), random.nextLong());
        if (t == byte[].class)
            return bytes();
        if (t == ByteBuffer.class)
            return ByteBuffer.wrap(bytes());
        if (wire.contains("RECORDS"))
            return MemoryRecords.readableRecords(ByteBuffer.wrap(bytes()));
        Object o = t.getConstructor().newInstance();
        fill(o, version, depth + 1);
        return o;
    }

    static void write(int samples, long seed, List<String> names) throws Exception {
        Map<String, Class<?>> classes = classes();
        DataOutputStream out = new DataOutputStream(new BufferedOutputStream(System.out, 1 << 20));
        random = new Random(seed);
        for (String name : names) {
            Class<?> c = classes.get(name);
            if (c == null) {
                System.err.println("# not in these jars: " + name);
                continue;
            }
            Message first = (Message) c.getConstructor().newInstance();
            short max = first.highestSupportedVersion();
            for (short v = first.lowestSupportedVersion(); v <= max; v++) {
                for (int i = 0; i < samples; i++) {
                    Message m = (Message) c.getConstructor().newInstance();
                    fill(m, v, 0);
                    byte[] b = encode(m, v);
                    byte[] n = name.getBytes(StandardCharsets.UTF_8);
                    byte[] j = jsonAside(name) ? new byte[0] : json(m, v).toString().getBytes(StandardCharsets.UTF_8);
                    out.writeInt(n.length);
                    out.write(n);
                    out.writeShort(v);
                    out.writeInt(b.length);
                    out.write(b);
                    out.writeInt(j.length);
                    out.write(j);
                }
            }
        }
        out.writeInt(0);
        out.flush();
    }
}
