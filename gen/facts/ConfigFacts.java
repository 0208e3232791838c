import java.lang.reflect.Field;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import org.apache.kafka.common.config.ConfigDef;
import org.apache.kafka.coordinator.group.GroupConfig;
import org.apache.kafka.server.config.ConfigSynonym;
import org.apache.kafka.server.config.DynamicBrokerConfig;
import org.apache.kafka.server.config.ServerTopicConfigSynonyms;
import org.apache.kafka.server.metrics.ClientMetricsConfigs;
import org.apache.kafka.storage.internals.log.LogConfig;

/**
 * The facts of every configuration key that Apache Kafka defines, one JSON object a line: scope, name, type, default,
 * range, importance, how it may change, and the broker keys that a topic key falls back to. gen/configs.py joins them
 * with our own documentation into spec/configs.json.
 */
public class ConfigFacts {
    static String quote(Object value) {
        if (value == null)
            return "null";
        StringBuilder text = new StringBuilder("\"");
        for (char c : value.toString().toCharArray()) {
            if (c == '"' || c == '\\')
                text.append('\\').append(c);
            else if (c < 32)
                text.append(String.format("\\u%04x", (int) c));
            else
                text.append(c);
        }
        return text.append('"').toString();
    }

    @SuppressWarnings("unchecked")
    static Set<String> names(Class<?> owner, String field) throws Exception {
        Field f = owner.getDeclaredField(field);
        f.setAccessible(true);
        return new HashSet<>((java.util.Collection<String>) f.get(null));
    }

    static String mode(String name, Set<String> dynamic, Set<String> perBroker) {
        if (dynamic == null || !dynamic.contains(name))
            return "read-only";
        return perBroker.contains(name) ? "per-broker" : "cluster-wide";
    }

    static void print(String scope, ConfigDef def, Set<String> dynamic, Set<String> perBroker) {
        for (ConfigDef.ConfigKey key : new TreeMap<>(def.configKeys()).values()) {
            StringBuilder synonyms = new StringBuilder("[");
            if (scope.equals("topic")) {
                List<ConfigSynonym> list = ServerTopicConfigSynonyms.ALL_TOPIC_CONFIG_SYNONYMS.get(key.name);
                for (ConfigSynonym s : list == null ? List.<ConfigSynonym>of() : list) {
                    // The converter turns hours or minutes into milliseconds: probe its factor.
                    String one = s.converter().apply("1");
                    synonyms.append(synonyms.length() > 1 ? "," : "").append("{\"name\":" + quote(s.name())
                        + ",\"factor\":" + one + "}");
                }
            }
            synonyms.append("]");
            Object value = key.hasDefault() ? ConfigDef.convertToString(key.defaultValue, key.type) : null;
            System.out.println("{\"scope\":" + quote(scope) + ",\"name\":" + quote(key.name) + ",\"type\":" + quote(key.type)
                + ",\"required\":" + !key.hasDefault() + ",\"default\":" + quote(value)
                + ",\"range\":" + quote(key.validator) + ",\"importance\":" + quote(key.importance)
                + ",\"internal\":" + key.internalConfig + ",\"mode\":"
                + quote(scope.equals("broker") ? mode(key.name, dynamic, perBroker) : "resource")
                + ",\"synonyms\":" + synonyms + "}");
        }
    }

    public static void main(String[] args) throws Exception {
        Set<String> dynamic = names(DynamicBrokerConfig.class, "ALL_DYNAMIC_CONFIGS");
        Set<String> perBroker = names(DynamicBrokerConfig.class, "PER_BROKER_CONFIGS");
        print("broker", kafka.server.KafkaConfig.configDef(), dynamic, perBroker);
        print("broker-dynamic", DynamicBrokerConfigDef.get(), null, null);
        print("topic", LogConfig.configDefCopy(), null, null);
        print("group", GroupConfig.CONFIG_DEF, null, null);
        Field f = ClientMetricsConfigs.class.getDeclaredField("CONFIG");
        f.setAccessible(true);
        print("client-metrics", (ConfigDef) f.get(null), null, null);
    }

    /** Keys such as the replication throttles that exist only as dynamic ones. */
    static class DynamicBrokerConfigDef {
        static ConfigDef get() throws Exception {
            Class<?> broker = Class.forName("org.apache.kafka.server.config.DynamicConfig$Broker");
            for (Field f : broker.getDeclaredFields()) {
                f.setAccessible(true);
                if (f.getType() == ConfigDef.class)
                    return (ConfigDef) f.get(null);
            }
            throw new IllegalStateException("no definition of dynamic broker keys");
        }
    }
}
