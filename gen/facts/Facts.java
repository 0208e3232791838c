/* Facts - what Apache Kafka's own classes say about its protocol, as JSON on standard output.
 *
 * The generated message classes carry a schema for each version; error codes and API keys are
 * enums. All of it is read by reflection; whether a field may be dropped where a version lacks
 * it, and whether records may be null, is found by trying. Only numbers, names and types are
 * taken. gen/facts.py turns the output into spec/. Run by gen/facts/run. */
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.File;
import java.lang.reflect.Field;
import java.lang.reflect.Modifier;
import java.lang.reflect.ParameterizedType;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import java.util.jar.JarFile;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.errors.RetriableException;
import org.apache.kafka.common.errors.UnsupportedVersionException;
import org.apache.kafka.common.message.ApiMessageType;
import org.apache.kafka.common.protocol.ApiKeys;
import org.apache.kafka.common.protocol.ApiMessage;
import org.apache.kafka.common.protocol.ByteBufferAccessor;
import org.apache.kafka.common.protocol.Errors;
import org.apache.kafka.common.protocol.Message;
import org.apache.kafka.common.protocol.ObjectSerializationCache;
import org.apache.kafka.common.protocol.types.BoundField;
import org.apache.kafka.common.protocol.types.Schema;
import org.apache.kafka.common.protocol.types.TaggedFields;
import org.apache.kafka.common.protocol.types.Type;
import org.apache.kafka.common.record.internal.MemoryRecords;

public class Facts {
    static final ObjectMapper JSON = new ObjectMapper();

    public static void main(String[] args) throws Exception {
        ObjectNode out = JSON.createObjectNode();
        ArrayNode messages = out.putArray("messages");
        for (Class<?> c : messageClasses())
            messages.add(message(c));
        ArrayNode apis = out.putArray("apis");
        for (ApiKeys k : ApiKeys.values()) {
            ApiMessageType t = k.messageType;
            ObjectNode n = apis.addObject();
            n.put("key", k.id).put("name", t.name);
            n.put("min", t.lowestSupportedVersion()).put("max", t.highestSupportedVersion(false));
            n.put("max_unstable", t.highestSupportedVersion(true));
            n.put("forwardable", k.forwardable).put("cluster_action", k.clusterAction);
            ArrayNode l = n.putArray("listeners");
            t.listeners().forEach(x -> l.add(x.toString().toLowerCase()));
            ArrayNode rh = n.putArray("headers");
            for (int v = t.lowestSupportedVersion(); v <= t.highestSupportedVersion(true); v++)
                rh.addObject().put("v", v).put("request", t.requestHeaderVersion((short) v))
                    .put("response", t.responseHeaderVersion((short) v));
        }
        ArrayNode errors = out.putArray("errors");
        for (Errors e : Errors.values())
            errors.addObject().put("code", e.code()).put("name", e.name())
                .put("retriable", e.exception() instanceof RetriableException);
        JSON.writeValue(System.out, out);
    }

    /* Every top-level generated message on the class path. */
    static List<Class<?>> messageClasses() throws Exception {
        List<Class<?>> found = new ArrayList<>();
        TreeSet<String> names = new TreeSet<>();
        for (String entry : System.getProperty("java.class.path").split(":")) {
            if (!entry.endsWith(".jar") || !new File(entry).getName().startsWith("kafka"))
                continue;
            try (JarFile jar = new JarFile(entry)) {
                jar.stream().map(e -> e.getName())
                    .filter(n -> n.startsWith("org/apache/kafka/") && n.endsWith(".class"))
                    .filter(n -> !n.contains("$"))
                    .filter(n -> n.contains("/message/") || n.contains("/generated/")
                        || n.contains("/metadata/"))
                    .forEach(n -> names.add(n.substring(0, n.length() - 6).replace('/', '.')));
            }
        }
        for (String n : names) {
            Class<?> c;
            try {
                c = Class.forName(n);
                c.getField("SCHEMAS");
            } catch (NoSuchFieldException | NoClassDefFoundError e) {
                continue;
            }
            if (Message.class.isAssignableFrom(c))
                found.add(c);
        }
        return found;
    }

    static ObjectNode message(Class<?> c) throws Exception {
        ObjectNode n = JSON.createObjectNode();
        Object o = c.getConstructor().newInstance();
        n.put("class", c.getName());
        n.put("min", ((Message) o).lowestSupportedVersion());
        n.put("max", ((Message) o).highestSupportedVersion());
        n.put("key", o instanceof ApiMessage ? ((ApiMessage) o).apiKey() : -1);
        ArrayNode flexible = n.putArray("flexible");
        Schema[] schemas = (Schema[]) c.getField("SCHEMAS").get(null);
        for (int v = 0; v < schemas.length; v++)
            if (schemas[v] != null && schemas[v].fields().length > 0
                    && schemas[v].get(schemas[v].fields().length - 1).def.type instanceof TaggedFields)
                flexible.add(v);
        Map<Class<?>, ObjectNode> structs = new LinkedHashMap<>();
        ArrayNode list = n.putArray("structs");
        List<Class<?>> queue = new ArrayList<>(List.of(c));
        for (int i = 0; i < queue.size(); i++) {
            Class<?> s = queue.get(i);
            if (structs.containsKey(s))
                continue;
            ObjectNode d = struct(s, queue, ((Message) o).lowestSupportedVersion(),
                ((Message) o).highestSupportedVersion());
            structs.put(s, d);
            list.add(d);
        }
        return n;
    }

    static ObjectNode struct(Class<?> c, List<Class<?>> queue, int min, int max) throws Exception {
        ObjectNode n = JSON.createObjectNode();
        n.put("name", c.getSimpleName());
        Object fresh = c.getConstructor().newInstance();
        ArrayNode fields = n.putArray("fields");
        Schema[] schemas = (Schema[]) c.getField("SCHEMAS").get(null);
        for (Field f : fieldsOf(c)) {
            ObjectNode d = fields.addObject();
            d.put("name", f.getName());
            Class<?> element = elementOf(f);
            d.put("array", element != null);
            Class<?> t = element != null ? element : f.getType();
            d.put("java", t.getSimpleName());
            if (Message.class.isAssignableFrom(t))
                queue.add(t);
            Object v = f.get(fresh);
            if (v == null)
                d.putNull("default");
            else if (v instanceof Number || v instanceof Boolean)
                d.put("default", v.toString());
            else if (v instanceof String)
                d.put("default", (String) v);
            d.set("versions", versions(f, schemas, min, max));
            d.put("ignorable", ignorable(c, f, schemas, min, max));
        }
        return n;
    }

    static List<Field> fieldsOf(Class<?> c) {
        List<Field> out = new ArrayList<>();
        for (Field f : c.getDeclaredFields()) {
            if (Modifier.isStatic(f.getModifiers()) || f.getName().equals("_unknownTaggedFields")
                || f.getName().equals("next") || f.getName().equals("prev"))
                continue;
            f.setAccessible(true);
            out.add(f);
        }
        return out;
    }

    static Class<?> elementOf(Field f) {
        if (List.class == f.getType())
            return (Class<?>) ((ParameterizedType) f.getGenericType()).getActualTypeArguments()[0];
        if (f.getType().getSimpleName().endsWith("Collection"))
            return (Class<?>) ((ParameterizedType) f.getType().getGenericSuperclass())
                .getActualTypeArguments()[0];
        return null;
    }

    static String snake(String s) {
        String capital = Character.toUpperCase(s.charAt(0)) + s.substring(1);
        return capital.replaceAll("([a-z0-9])([A-Z])", "$1_$2").toLowerCase();
    }

    /* One entry for each version that has the field: its wire type, whether it may be null, tag. */
    static ArrayNode versions(Field f, Schema[] schemas, int min, int max) throws Exception {
        ArrayNode out = JSON.createArrayNode();
        for (int v = min; v <= max && v < schemas.length; v++) {
            if (schemas[v] == null)
                continue;
            for (BoundField b : schemas[v].fields()) {
                if (b.def.type instanceof TaggedFields) {
                    ((TaggedFields) b.def.type).fields().forEach((tag, d) -> {
                        if (d.name.equals(snake(f.getName())))
                            entry(out, d.type).put("tag", tag);
                    });
                } else if (b.def.name.equals(snake(f.getName()))) {
                    entry(out, b.def.type);
                } else {
                    continue;
                }
                if (out.size() > 0 && !out.get(out.size() - 1).has("v")) {
                    ObjectNode e = (ObjectNode) out.get(out.size() - 1);
                    e.put("v", v);
                    if (e.get("type").asText().contains("RECORDS"))
                        e.put("nullable", recordsNullable(f, v));
                }
            }
        }
        return out;
    }

    static ObjectNode entry(ArrayNode out, Type type) {
        String text = type.toString();
        int cut = text.indexOf('{');
        return out.addObject().put("type", cut < 0 ? text : text.substring(0, cut) + "{")
            .put("nullable", type.isNullable());
    }

    static boolean recordsNullable(Field f, int v) throws Exception {
        Object o = f.getDeclaringClass().getConstructor().newInstance();
        f.set(o, null);
        return attempt((Message) o, v) == null;
    }

    /* null when it could be written. */
    static Throwable attempt(Message o, int v) {
        try {
            ObjectSerializationCache cache = new ObjectSerializationCache();
            int size = o.size(cache, (short) v);
            o.write(new ByteBufferAccessor(java.nio.ByteBuffer.allocate(size)), cache, (short) v);
            return null;
        } catch (Throwable e) {
            return e;
        }
    }

    /* "yes", "no", or "?" when every version has it. */
    static String ignorable(Class<?> c, Field f, Schema[] schemas, int min, int max)
            throws Exception {
        String answer = "?";
        ArrayNode has = versions(f, schemas, min, max);
        TreeSet<Integer> with = new TreeSet<>();
        has.forEach(e -> with.add(e.get("v").asInt()));
        for (int v = min; v <= max && v < schemas.length; v++) {
            if (with.contains(v) || schemas[v] == null)
                continue;
            Object o = c.getConstructor().newInstance();
            if (attempt((Message) o, v) != null)
                continue;
            f.set(o, other(f, f.get(o)));
            Throwable e = attempt((Message) o, v);
            if (e != null && !(e instanceof UnsupportedVersionException))
                throw new Exception(c + "." + f.getName() + " v" + v, e);
            String now = e == null ? "yes" : "no";
            if (!answer.equals("?") && !answer.equals(now))
                throw new Exception("ignorable differs by version: " + c + "." + f.getName());
            answer = now;
        }
        return answer;
    }

    /* Some value that is not `v`. */
    @SuppressWarnings({"unchecked", "rawtypes"})
    static Object other(Field f, Object v) throws Exception {
        Class<?> t = f.getType();
        if (t == boolean.class)
            return !(Boolean) v;
        if (t == byte.class)
            return (byte) ((Byte) v + 1);
        if (t == short.class)
            return (short) ((Short) v + 1);
        if (t == int.class)
            return (Integer) v == 0 ? 1 : 0;
        if (t == long.class)
            return (Long) v == 0 ? 1L : 0L;
        if (t == double.class)
            return (Double) v + 1;
        if (t == String.class)
            return "x".equals(v) ? "y" : "x";
        if (t == Uuid.class)
            return Uuid.randomUuid();
        if (t == byte[].class)
            return new byte[] {1};
        if (t == java.nio.ByteBuffer.class)
            return java.nio.ByteBuffer.wrap(new byte[] {1});
        Class<?> element = elementOf(f);
        if (element != null) {
            java.util.Collection list = t == List.class ? new ArrayList<>()
                : (java.util.Collection) t.getConstructor().newInstance();
            if (Message.class.isAssignableFrom(element))
                list.add(element.getConstructor().newInstance());
            else if (element == String.class)
                list.add("x");
            else if (element == Uuid.class)
                list.add(Uuid.randomUuid());
            else if (element == Integer.class)
                list.add(1);
            else if (element == Long.class)
                list.add(1L);
            else if (element == Short.class)
                list.add((short) 1);
            else if (element == Byte.class)
                list.add((byte) 1);
            else
                throw new Exception("element " + element);
            return list;
        }
        if (Message.class.isAssignableFrom(t)) {
            if (v == null)
                return t.getConstructor().newInstance();
            Object o = t.getConstructor().newInstance();
            Field first = fieldsOf(t).get(0);
            first.set(o, other(first, first.get(o)));
            return o;
        }
        return MemoryRecords.readableRecords(java.nio.ByteBuffer.wrap(new byte[] {1}));
    }
}
