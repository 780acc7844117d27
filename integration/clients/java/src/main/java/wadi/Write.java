package wadi;

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.Properties;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * Writes the records that stand on stdin with a producer that has its defaults (idempotent, acks=all), and prints for
 * each one where it was stored. Arguments: SERVERS TOPIC CODEC. A line is: timestamp TAB key TAB value TAB headers;
 * bytes are base64, null is "-", headers are name:value pairs with a comma between them.
 */
public final class Write {
    public static void main(String[] args) throws Exception {
        Properties config = new Properties();
        config.put(ProducerConfig.BOOTSTRAP_SERVERS_CONFIG, args[0]);
        config.put(ProducerConfig.COMPRESSION_TYPE_CONFIG, args[2]);
        config.put(ProducerConfig.KEY_SERIALIZER_CLASS_CONFIG, ByteArraySerializer.class.getName());
        config.put(ProducerConfig.VALUE_SERIALIZER_CLASS_CONFIG, ByteArraySerializer.class.getName());

        PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        try (KafkaProducer<byte[], byte[]> producer = new KafkaProducer<>(config)) {
            String line;
            for (int i = 0; (line = in.readLine()) != null; i++) {
                int index = i;
                String[] field = line.split("\t", -1);
                ProducerRecord<byte[], byte[]> record = new ProducerRecord<>(
                        args[1], null, Long.parseLong(field[0]), bytes(field[1]), bytes(field[2]), headers(field[3]));
                producer.send(record, (stored, error) -> out.println(error != null
                        ? "{\"i\":" + index + ",\"error\":\"" + error.getClass().getName() + "\"}"
                        : "{\"i\":" + index + ",\"partition\":" + stored.partition() + ",\"offset\":" + stored.offset() + "}"));
            }
        }
    }

    private static byte[] bytes(String text) {
        return text.equals("-") ? null : Base64.getDecoder().decode(text);
    }

    private static List<Header> headers(String text) {
        List<Header> headers = new ArrayList<>();
        if (!text.isEmpty()) {
            for (String pair : text.split(",")) {
                String[] part = pair.split(":", -1);
                headers.add(new RecordHeader(new String(bytes(part[0]), StandardCharsets.UTF_8), bytes(part[1])));
            }
        }
        return headers;
    }
}
