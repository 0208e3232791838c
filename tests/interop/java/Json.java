import java.util.*;

/** As much JSON as the verbs of the matrix need: objects, lists, strings, whole numbers, true, false, null. */
final class Json {
    private final String text;
    private int at;

    private Json(String text) {
        this.text = text;
    }

    static Object read(String text) {
        return new Json(text).value();
    }

    private char next() {
        while (" \t\r\n,:".indexOf(text.charAt(at)) >= 0)
            at++;
        return text.charAt(at);
    }

    private Object value() {
        char c = next();
        if (c == '{') {
            Map<String, Object> map = new LinkedHashMap<>();
            for (at++; next() != '}'; ) {
                String name = (String) value();
                map.put(name, value());
            }
            at++;
            return map;
        }
        if (c == '[') {
            List<Object> list = new ArrayList<>();
            for (at++; next() != ']'; )
                list.add(value());
            at++;
            return list;
        }
        if (c == '"')
            return string();
        int from = at;
        while (at < text.length() && ",]} ".indexOf(text.charAt(at)) < 0)
            at++;
        String word = text.substring(from, at);
        return word.equals("null") ? null : word.equals("true") || word.equals("false") ? (Object) word.equals("true") : Long.valueOf(word);
    }

    private String string() {
        StringBuilder out = new StringBuilder();
        for (at++; text.charAt(at) != '"'; at++) {
            char c = text.charAt(at);
            if (c == '\\') {
                c = text.charAt(++at);
                if (c == 'u') {
                    c = (char) Integer.parseInt(text.substring(at + 1, at + 5), 16);
                    at += 4;
                } else if ("ntr".indexOf(c) >= 0) {
                    c = "\n\t\r".charAt("ntr".indexOf(c));
                }
            }
            out.append(c);
        }
        at++;
        return out.toString();
    }

    static void write(Object value, StringBuilder out) {
        if (value instanceof Map) {
            char before = '{';
            for (Map.Entry<?, ?> entry : ((Map<?, ?>) value).entrySet()) {
                out.append(before);
                write(entry.getKey(), out);
                out.append(':');
                write(entry.getValue(), out);
                before = ',';
            }
            out.append(before == '{' ? "{}" : "}");
        } else if (value instanceof Collection) {
            char before = '[';
            for (Object item : (Collection<?>) value) {
                out.append(before);
                write(item, out);
                before = ',';
            }
            out.append(before == '[' ? "[]" : "]");
        } else if (value instanceof String) {
            out.append('"');
            for (char c : ((String) value).toCharArray()) {
                if (c == '"' || c == '\\')
                    out.append('\\').append(c);
                else if (c < ' ')
                    out.append(String.format("\\u%04x", (int) c));
                else
                    out.append(c);
            }
            out.append('"');
        } else {
            out.append(value);
        }
    }
}
