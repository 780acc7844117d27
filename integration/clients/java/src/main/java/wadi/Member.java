package wadi;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import org.apache.kafka.clients.consumer.CommitFailedException;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.RebalanceInProgressException;
import org.apache.kafka.common.serialization.StringDeserializer;

/**
 * A member of a group that commits each record after it has processed it. It reports, and takes orders, like the
 * members in go/ (see record/member.go there). Arguments: SERVERS GROUP TOPIC PROTOCOL, where PROTOCOL is classic, or
 * consumer for KIP-848.
 */
public final class Member {
    private static final PrintStream OUT = new PrintStream(System.out, true, StandardCharsets.UTF_8);

    public static void main(String[] args) {
        Properties config = new Properties();
        config.put(ConsumerConfig.BOOTSTRAP_SERVERS_CONFIG, args[0]);
        config.put(ConsumerConfig.GROUP_ID_CONFIG, args[1]);
        config.put(ConsumerConfig.GROUP_PROTOCOL_CONFIG, args[3]);
        if (args[3].equals("classic")) {
            config.put(ConsumerConfig.SESSION_TIMEOUT_MS_CONFIG, 6000);
            config.put(ConsumerConfig.HEARTBEAT_INTERVAL_MS_CONFIG, 300);
        }
        config.put(ConsumerConfig.ENABLE_AUTO_COMMIT_CONFIG, false);
        config.put(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG, "earliest");
        config.put(ConsumerConfig.METADATA_MAX_AGE_CONFIG, 500);
        config.put(ConsumerConfig.FETCH_MAX_WAIT_MS_CONFIG, 200);
        config.put(ConsumerConfig.KEY_DESERIALIZER_CLASS_CONFIG, StringDeserializer.class.getName());
        config.put(ConsumerConfig.VALUE_DESERIALIZER_CLASS_CONFIG, StringDeserializer.class.getName());

        BlockingQueue<String> orders = new LinkedBlockingQueue<>();
        Thread reader = new Thread(() -> read(orders));
        reader.setDaemon(true);
        reader.start();
        try (KafkaConsumer<String, String> consumer = new KafkaConsumer<>(config)) {
            consumer.subscribe(List.of(args[2]), new Owned());
            for (String order = ""; !"leave".equals(order); order = orders.poll()) {
                if ("replay".equals(order)) {
                    consumer.seekToBeginning(consumer.assignment());
                }
                boolean goesOn = true;
                Map<TopicPartition, Long> left = new HashMap<>();
                for (ConsumerRecord<String, String> record : consumer.poll(Duration.ofMillis(100))) {
                    goesOn = goesOn && process(consumer, record);
                    if (!goesOn) {
                        left.putIfAbsent(new TopicPartition(record.topic(), record.partition()), record.offset());
                    }
                }
                left.keySet().retainAll(consumer.assignment());
                left.forEach(consumer::seek);
            }
        }
    }

    /** Returns false when the group rebalances: whoever has the partition then, this member maybe, reads the record again. */
    private static boolean process(KafkaConsumer<String, String> consumer, ConsumerRecord<String, String> record) {
        OUT.println("{\"event\":\"record\",\"partition\":" + record.partition() + ",\"offset\":" + record.offset()
                + ",\"value\":\"" + record.value() + "\"}");
        long next = record.offset() + 1;
        try {
            consumer.commitSync(Map.of(new TopicPartition(record.topic(), record.partition()), new OffsetAndMetadata(next)));
        } catch (CommitFailedException | RebalanceInProgressException e) {
            System.err.println(e);
            return false;
        }
        OUT.println("{\"event\":\"committed\",\"partition\":" + record.partition() + ",\"offset\":" + next + "}");
        return true;
    }

    private static void read(BlockingQueue<String> orders) {
        try (BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8))) {
            in.lines().forEach(orders::add);
        } catch (IOException e) {
            System.err.println(e);
        }
        orders.add("leave");
    }

    /** Reports what the member owns after each change. */
    private static final class Owned implements ConsumerRebalanceListener {
        private final Set<Integer> partitions = new TreeSet<>();

        @Override
        public void onPartitionsAssigned(Collection<TopicPartition> more) {
            more.forEach(p -> partitions.add(p.partition()));
            report();
        }

        @Override
        public void onPartitionsRevoked(Collection<TopicPartition> fewer) {
            fewer.forEach(p -> partitions.remove(p.partition()));
            report();
        }

        private void report() {
            OUT.println("{\"event\":\"assigned\",\"partitions\":" + partitions + "}");
        }
    }
}
