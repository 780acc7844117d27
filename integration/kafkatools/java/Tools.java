import java.io.BufferedReader;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.lang.reflect.Field;
import java.lang.reflect.InvocationTargetException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Base64;
import java.util.Collections;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.kafka.common.utils.Exit;

/**
 * Runs the main methods of Kafka's command-line tools one after the other in this process, as a JVM for each would take a
 * second. Every line of standard input is a command: the class, what the tool reads from its standard input, and its
 * arguments, each in base64, with a space between. Every line of standard output is a result: the exit code, and the
 * tool's standard output and standard error in base64.
 *
 * A tool that exits is stopped by an error thrown in its place; the first code counts, as some tools catch that error and
 * exit again. Its shutdown hooks run at the end of the command, those that it gave to the JVM too (for which this needs
 * --add-opens java.base/java.lang=ALL-UNNAMED): kafka-verifiable-producer waits for its acknowledgements in one.
 */
final class Tools {
    private static final class Exited extends Error {
        Exited() {
            super("exit", null, false, false);
        }
    }

    private static Integer code;
    private static final List<Runnable> hooks = Collections.synchronizedList(new ArrayList<>());

    public static void main(String[] unused) throws Exception {
        PrintStream results = System.out;
        BufferedReader commands = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.US_ASCII));
        Exit.Procedure exit = (status, message) -> {
            synchronized (Tools.class) {
                if (code == null) {
                    code = status;
                    if (message != null)
                        System.err.println(message);
                }
            }
            throw new Exited();
        };
        Exit.setExitProcedure(exit);
        Exit.setHaltProcedure(exit);
        Exit.setShutdownHookAdder((name, hook) -> hooks.add(hook));
        results.println("ready");
        for (String line = commands.readLine(); line != null; line = commands.readLine()) {
            String[] words = line.split(" ", -1);
            String[] args = new String[words.length - 2];
            for (int i = 0; i < args.length; i++)
                args[i] = new String(decode(words[i + 2]), StandardCharsets.UTF_8);
            results.println(run(words[0], decode(words[1]), args));
            results.flush();
        }
        // Threads that a tool left behind must not keep the process alive.
        Runtime.getRuntime().halt(0);
    }

    private static String run(String tool, byte[] input, String[] args) throws Exception {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        ByteArrayOutputStream err = new ByteArrayOutputStream();
        System.setIn(new ByteArrayInputStream(input));
        System.setOut(new PrintStream(out, true, StandardCharsets.UTF_8));
        System.setErr(new PrintStream(err, true, StandardCharsets.UTF_8));
        code = null;
        hooks.clear();
        Set<Thread> before = jvmHooks();
        int status = 0;
        try {
            Class.forName(tool).getMethod("main", String[].class).invoke(null, (Object) args);
        } catch (InvocationTargetException e) {
            if (!(e.getCause() instanceof Exited)) {
                // What the JVM does for an uncaught exception.
                System.err.print("Exception in thread \"main\" ");
                e.getCause().printStackTrace();
                status = 1;
            }
        }
        for (Runnable hook : new ArrayList<>(hooks)) {
            try {
                hook.run();
            } catch (Exited again) {
                // a hook that exits ends itself alone
            }
        }
        for (Thread hook : jvmHooks()) {
            if (!before.contains(hook)) {
                Runtime.getRuntime().removeShutdownHook(hook);
                hook.run();
            }
        }
        synchronized (Tools.class) {
            if (code != null)
                status = code;
        }
        System.out.flush();
        System.err.flush();
        return status + " " + encode(out.toByteArray()) + " " + encode(err.toByteArray());
    }

    /** The threads that the JVM is to start when it ends. */
    @SuppressWarnings("unchecked")
    private static Set<Thread> jvmHooks() throws Exception {
        Field field = Class.forName("java.lang.ApplicationShutdownHooks").getDeclaredField("hooks");
        field.setAccessible(true);
        return new HashSet<>(((Map<Thread, Thread>) field.get(null)).keySet());
    }

    private static byte[] decode(String s) {
        return Base64.getDecoder().decode(s);
    }

    private static String encode(byte[] b) {
        return Base64.getEncoder().encodeToString(b);
    }
}
