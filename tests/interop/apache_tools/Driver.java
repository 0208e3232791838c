// Runs Apache Kafka's command-line tools one after another in one process, because starting a JVM for each of some
// two hundred commands would take minutes. Each runs through its own main method with its own standard streams;
// an exit ends the command instead of the process. A few commands of ours (records, member, ...) make what the
// tools then look at. See README.md.
//
// In: one command a line, its words in base64 with spaces between: class, standard input, arguments.
// Out: exit code, standard output and standard error in base64.
import java.io.*;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.*;
import java.util.concurrent.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.utils.Exit;

public class Driver {
    static final long TIMEOUT_S = 90;

    /** Unwinds the thread that wanted to end the process. */
    static class Ended extends ThreadDeath {
    }

    /** One command: what it reads, wrote and ended with. Threads that it starts belong to it too. */
    static class Run {
        static final InheritableThreadLocal<Run> CURRENT = new InheritableThreadLocal<>();
        final ByteArrayOutputStream out = new ByteArrayOutputStream(), err = new ByteArrayOutputStream();
        final InputStream in;
        final List<Runnable> hooks = new CopyOnWriteArrayList<>();
        final CountDownLatch done = new CountDownLatch(1);
        Integer code;
        boolean closed, returned;

        Run(byte[] input) {
            in = new ByteArrayInputStream(input);
        }

        synchronized void end(int value) {
            if (code == null)
                code = value;
            done.countDown();
        }

        /** What a tool says after it asked for its end would not have been heard. */
        synchronized void write(ByteArrayOutputStream stream, byte[] bytes, int from, int length) {
            if (!closed && (code == null || returned || inHooks))
                stream.write(bytes, from, length);
        }

        boolean inHooks;
    }

    static class Stream extends OutputStream {
        final boolean isErr;
        final PrintStream real;

        Stream(boolean isErr, PrintStream real) {
            this.isErr = isErr;
            this.real = real;
        }

        @Override
        public void write(int b) {
            write(new byte[] {(byte) b}, 0, 1);
        }

        @Override
        public void write(byte[] bytes, int from, int length) {
            Run run = Run.CURRENT.get();
            if (run != null)
                run.write(isErr ? run.err : run.out, bytes, from, length);
            else if (isErr)
                real.write(bytes, from, length);
        }
    }

    static class Input extends InputStream {
        @Override
        public int read() throws IOException {
            Run run = Run.CURRENT.get();
            return run == null ? -1 : run.in.read();
        }
    }

    static void exit(int code) {
        Run run = Run.CURRENT.get();
        if (run == null)
            Runtime.getRuntime().halt(code);
        run.end(code);
        throw new Ended();
    }

    @SuppressWarnings("removal")
    static void intercept() {
        Exit.setExitProcedure((code, message) -> exit(code));
        Exit.setHaltProcedure((code, message) -> exit(code));
        Exit.setShutdownHookAdder((name, hook) -> {
            Run run = Run.CURRENT.get();
            if (run != null)
                run.hooks.add(hook);
        });
        System.setSecurityManager(new SecurityManager() {
            @Override
            public void checkPermission(java.security.Permission permission) {
            }

            @Override
            public void checkExit(int code) {
                exit(code);
            }
        });
    }

    /** What a tool left with the JVM to be done at its end. */
    @SuppressWarnings("unchecked")
    static List<Thread> hooksOfJvm() throws ReflectiveOperationException {
        var field = Class.forName("java.lang.ApplicationShutdownHooks").getDeclaredField("hooks");
        field.setAccessible(true);
        return new ArrayList<>(((Map<Thread, Thread>) field.get(null)).keySet());
    }

    static void call(Run run, String name, String[] args) {
        try {
            if (name.startsWith("Driver."))
                helper(name.substring(7), args);
            else
                Class.forName(name).getMethod("main", String[].class).invoke(null, (Object) args);
            run.returned = run.code == null;
            run.end(0);
        } catch (Throwable thrown) {
            Throwable cause = thrown instanceof java.lang.reflect.InvocationTargetException ? thrown.getCause() : thrown;
            if (!(cause instanceof Ended)) {
                System.err.print("Exception in thread \"main\" ");
                cause.printStackTrace();
            }
            run.end(1);
        }
    }

    static Run execute(String name, byte[] input, String[] args) throws Exception {
        Run run = new Run(input);
        List<Thread> others = hooksOfJvm();
        Run.CURRENT.set(run);
        Thread main = new Thread(() -> call(run, name, args), "main");
        main.setDaemon(true);
        main.setUncaughtExceptionHandler((thread, thrown) -> run.end(1));
        main.start();
        if (!run.done.await(TIMEOUT_S, TimeUnit.SECONDS)) {
            System.err.println("no end within " + TIMEOUT_S + " s:");
            for (StackTraceElement frame : main.getStackTrace())
                System.err.println("  in " + frame);
            run.end(124);
        } else {
            main.join(10000);
            List<Thread> hooks = hooksOfJvm();
            hooks.removeAll(others);
            hooks.forEach(Runtime.getRuntime()::removeShutdownHook);
            run.hooks.forEach(hook -> hooks.add(new Thread(hook)));
            run.inHooks = true;
            for (Thread hook : hooks) {
                hook.setDaemon(true);
                hook.start();
                hook.join(10000);
            }
        }
        System.out.flush();
        System.err.flush();
        synchronized (run) {
            run.closed = true;
        }
        Run.CURRENT.remove();
        return run;
    }

    // ---- commands of ours ----

    static final List<Member> members = new ArrayList<>();

    static class Member extends Thread {
        final KafkaConsumer<byte[], byte[]> consumer;
        final CountDownLatch assigned = new CountDownLatch(1);
        final CountDownLatch quit = new CountDownLatch(1);

        Member(Properties properties, String topic) {
            consumer = new KafkaConsumer<>(properties);
            consumer.subscribe(List.of(topic.split(",")));
            setDaemon(true);
        }

        @Override
        public void run() {
            while (quit.getCount() > 0) {
                consumer.poll(Duration.ofMillis(100));
                if (!consumer.assignment().isEmpty()) {
                    consumer.commitSync();
                    assigned.countDown();
                }
            }
            consumer.close();
        }
    }

    static Properties properties(String server, String[] args, int from) {
        String bytes = "org.apache.kafka.common.serialization.ByteArray";
        Properties properties = new Properties();
        properties.put("bootstrap.servers", server);
        for (String side : List.of("key.", "value.")) {
            properties.put(side + "serializer", bytes + "Serializer");
            properties.put(side + "deserializer", bytes + "Deserializer");
        }
        properties.put("auto.offset.reset", "earliest");
        for (int i = from; i < args.length; i++)
            properties.put(args[i].split("=")[0], args[i].split("=", 2)[1]);
        return properties;
    }

    static void helper(String name, String[] args) throws Exception {
        switch (name) {
            case "records": { // SERVER TOPIC PARTITION FIRST_TIME STEP COUNT [KEY=VALUE...]: one batch a record
                try (var producer = new KafkaProducer<byte[], byte[]>(properties(args[0], args, 6))) {
                    for (int i = 0; i < Integer.parseInt(args[5]); i++)
                        producer.send(new ProducerRecord<>(args[1], Integer.parseInt(args[2]),
                            Long.parseLong(args[3]) + i * Long.parseLong(args[4]), ("k" + i).getBytes(),
                            ("v" + i).getBytes())).get();
                }
                break;
            }
            case "member": { // SERVER GROUP TOPIC [KEY=VALUE...]: stays until "leave"
                Properties properties = properties(args[0], args, 3);
                properties.put("group.id", args[1]);
                Member member = new Member(properties, args[2]);
                member.start();
                if (!member.assigned.await(20, TimeUnit.SECONDS))
                    throw new IllegalStateException("nothing assigned");
                members.add(member);
                break;
            }
            case "leave":
                for (Member member : members)
                    member.quit.countDown();
                for (Member member : members)
                    member.join(20000);
                members.clear();
                break;
            case "commit": { // SERVER GROUP TOPIC:PARTITION:OFFSET...
                Properties properties = properties(args[0], args, args.length);
                properties.put("group.id", args[1]);
                try (var consumer = new KafkaConsumer<byte[], byte[]>(properties)) {
                    Map<TopicPartition, OffsetAndMetadata> offsets = new HashMap<>();
                    for (String word : List.of(args).subList(2, args.length)) {
                        String[] part = word.split(":");
                        offsets.put(new TopicPartition(part[0], Integer.parseInt(part[1])),
                            new OffsetAndMetadata(Long.parseLong(part[2])));
                    }
                    consumer.commitSync(offsets);
                }
                break;
            }
            default:
                throw new IllegalArgumentException(name);
        }
    }

    static byte[] decode(String word) {
        return Base64.getDecoder().decode(word.substring(1));
    }

    public static void main(String[] args) throws Exception {
        PrintStream out = System.out;
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
        System.setOut(new PrintStream(new Stream(false, System.out), true));
        System.setErr(new PrintStream(new Stream(true, System.err), true));
        System.setIn(new Input());
        intercept();
        for (String line; (line = in.readLine()) != null;) {
            String[] words = line.split(" ");
            String[] rest = new String[words.length - 2];
            for (int i = 0; i < rest.length; i++)
                rest[i] = new String(decode(words[i + 2]), StandardCharsets.UTF_8);
            Run run = execute(new String(decode(words[0])), decode(words[1]), rest);
            Base64.Encoder encoder = Base64.getEncoder();
            out.println(run.code + " =" + encoder.encodeToString(run.out.toByteArray()) + " ="
                + encoder.encodeToString(run.err.toByteArray()));
            out.flush();
        }
        Runtime.getRuntime().halt(0);
    }
}
