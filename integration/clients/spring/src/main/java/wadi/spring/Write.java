package wadi.spring;

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.springframework.kafka.core.DefaultKafkaProducerFactory;
import org.springframework.kafka.core.KafkaTemplate;

/**
 * Writes the records that stand on stdin with a KafkaTemplate, and prints for each one where it was stored. Arguments:
 * SERVERS TOPIC CODEC. A line is: timestamp TAB key TAB value TAB headers; bytes are base64, null is "-", headers are
 * name:value pairs with a comma between them.
 */
public final class Write {
    public static void main(String[] args) throws Exception {
        var factory = new DefaultKafkaProducerFactory<byte[], byte[]>(Map.of(
                ProducerConfig.BOOTSTRAP_SERVERS_CONFIG, args[0],
                ProducerConfig.COMPRESSION_TYPE_CONFIG, args[2],
                ProducerConfig.KEY_SERIALIZER_CLASS_CONFIG, ByteArraySerializer.class,
                ProducerConfig.VALUE_SERIALIZER_CLASS_CONFIG, ByteArraySerializer.class));
        var template = new KafkaTemplate<>(factory);
        var out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
        var in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        var sent = new ArrayList<CompletableFuture<?>>();
        String line;
        for (int i = 0; (line = in.readLine()) != null; i++) {
            int index = i;
            sent.add(template.send(record(args[1], line)).handle((result, error) -> {
                out.println(error != null
                        ? "{\"i\":" + index + ",\"error\":\"" + error.getClass().getName() + "\"}"
                        : "{\"i\":" + index + ",\"partition\":" + result.getRecordMetadata().partition()
                                + ",\"offset\":" + result.getRecordMetadata().offset() + "}");
                return null;
            }));
        }
        CompletableFuture.allOf(sent.toArray(CompletableFuture[]::new)).join();
        factory.destroy();
    }

    private static ProducerRecord<byte[], byte[]> record(String topic, String line) {
        String[] field = line.split("\t", -1);
        List<Header> headers = new ArrayList<>();
        for (String pair : field[3].isEmpty() ? new String[0] : field[3].split(",")) {
            String[] part = pair.split(":", -1);
            headers.add(new RecordHeader(new String(bytes(part[0]), StandardCharsets.UTF_8), bytes(part[1])));
        }
        return new ProducerRecord<>(topic, null, Long.parseLong(field[0]), bytes(field[1]), bytes(field[2]), headers);
    }

    private static byte[] bytes(String text) {
        return text.equals("-") ? null : Base64.getDecoder().decode(text);
    }
}
