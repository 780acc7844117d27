package wadi;

import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Base64;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.PartitionInfo;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/**
 * Reads topics from their beginning to the end that they have at the start, by assignment, and prints each record as
 * one JSON object. Arguments: SERVERS TOPIC[@OFFSET]... Bytes are base64, null is null, headers are a list of [name,
 * value]. @OFFSET is where to begin in each partition; the variable ISOLATION sets the isolation level.
 */
public final class Read {
    public static void main(String[] args) {
        Properties config = new Properties();
        config.put(ConsumerConfig.BOOTSTRAP_SERVERS_CONFIG, args[0]);
        config.put(ConsumerConfig.KEY_DESERIALIZER_CLASS_CONFIG, ByteArrayDeserializer.class.getName());
        config.put(ConsumerConfig.VALUE_DESERIALIZER_CLASS_CONFIG, ByteArrayDeserializer.class.getName());

        if (System.getenv("ISOLATION") != null) {
            config.put(ConsumerConfig.ISOLATION_LEVEL_CONFIG, System.getenv("ISOLATION"));
        }

        PrintStream out = new PrintStream(System.out, false, StandardCharsets.UTF_8);
        try (KafkaConsumer<byte[], byte[]> consumer = new KafkaConsumer<>(config)) {
            Map<TopicPartition, Long> starts = new LinkedHashMap<>();
            for (int i = 1; i < args.length; i++) {
                String[] place = args[i].split("@");
                for (PartitionInfo p : consumer.partitionsFor(place[0])) {
                    starts.put(new TopicPartition(p.topic(), p.partition()), place.length > 1 ? Long.parseLong(place[1]) : 0);
                }
            }
            Set<TopicPartition> partitions = starts.keySet();
            consumer.assign(partitions);
            starts.forEach(consumer::seek);
            Map<TopicPartition, Long> ends = consumer.endOffsets(partitions);
            while (partitions.stream().anyMatch(p -> consumer.position(p) < ends.get(p))) {
                for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofSeconds(1))) {
                    out.println(json(record));
                }
            }
        }
        out.flush();
    }

    private static String json(ConsumerRecord<byte[], byte[]> record) {
        StringBuilder headers = new StringBuilder();
        for (Header h : record.headers()) {
            headers.append(headers.length() == 0 ? "" : ",").append('[')
                    .append(text(h.key().getBytes(StandardCharsets.UTF_8))).append(',').append(text(h.value())).append(']');
        }
        return "{\"topic\":\"" + record.topic() + "\",\"partition\":" + record.partition() + ",\"offset\":" + record.offset()
                + ",\"timestamp\":" + record.timestamp() + ",\"key\":" + text(record.key()) + ",\"value\":"
                + text(record.value()) + ",\"headers\":[" + headers + "]}";
    }

    private static String text(byte[] data) {
        return data == null ? "null" : '"' + Base64.getEncoder().encodeToString(data) + '"';
    }
}
