package wadi;

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;

/**
 * Transactional producers that do what a test orders. Argument: SERVERS. An order is a line of words with single spaces:
 * the name of a producer, and what it is to do (see {@link Transactor}). Each producer has a thread of its own, carries
 * out its orders one after the other, and answers each with one JSON object that holds its name as "of", and "error" with
 * the class of the exception when the order failed. The end of the orders ends the process at once, open transactions
 * included.
 */
public final class Transact {
    public static void main(String[] args) throws Exception {
        Map<String, Transactor> producers = new HashMap<>();
        try (BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8))) {
            for (String line = in.readLine(); line != null; line = in.readLine()) {
                String[] words = line.split(" ");
                producers.computeIfAbsent(words[0], name -> Transactor.start(args[0], name)).order(words);
            }
        }
        Runtime.getRuntime().halt(0);
    }
}
