// What the Streams application is fed with, and what a plain computation makes of it. See README.md.
import java.util.*;

public class Orders {
    static final long MINUTE = 60_000, WINDOW = 10_000;
    static final int USERS = 40;

    /** Result topics, each as its latest value by key. */
    static class Results {
        final Map<String, String> totals = new TreeMap<>(), minutes = new TreeMap<>(), paid = new TreeMap<>(), named = new TreeMap<>();

        Map<String, String> of(String topic) {
            switch (topic) {
                case "totals": return totals;
                case "minutes": return minutes;
                case "paid": return paid;
                case "named": return named;
                default: throw new IllegalArgumentException(topic);
            }
        }
    }

    static String id(int i) {
        return "o" + i;
    }

    static String user(int i) {
        return "u" + i * 7 % USERS;
    }

    static String order(int i) {
        return user(i) + "," + i % 97;
    }

    static long time(long base, int i) {
        return base + i * 250L;
    }

    static boolean hasPayment(int i) {
        return i % 3 != 0;
    }

    /** Up to 19 s after its order: half of the payments come too late for the window. */
    static long paymentTime(long base, int i) {
        return time(base, i) + i % 20 * 1000L;
    }

    static String name(String user) {
        return "name of " + user;
    }

    /** Amounts by order, so that an order that is seen twice counts once: at-least-once has an exact result. */
    static String add(String sum, String id, String amount) {
        TreeMap<String, String> amounts = new TreeMap<>();
        for (String one : sum.isEmpty() ? new String[0] : sum.split(";"))
            amounts.put(one.split("=")[0], one.split("=")[1]);
        amounts.put(id, amount);
        StringBuilder text = new StringBuilder();
        amounts.forEach((key, value) -> text.append(text.length() == 0 ? "" : ";").append(key).append("=").append(value));
        return text.toString();
    }

    static Results compute(long base, int count) {
        Results results = new Results();
        for (int i = 0; i < count; i++) {
            String amount = order(i).split(",")[1];
            String window = user(i) + "@" + time(base, i) / MINUTE * MINUTE;
            results.totals.put(user(i), add(results.totals.getOrDefault(user(i), ""), id(i), amount));
            results.minutes.put(window, add(results.minutes.getOrDefault(window, ""), id(i), amount));
            results.named.put(id(i), name(user(i)));
            if (hasPayment(i) && paymentTime(base, i) - time(base, i) <= WINDOW)
                results.paid.put(id(i), order(i) + " by card " + i);
        }
        return results;
    }
}
