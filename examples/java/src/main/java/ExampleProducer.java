import java.util.Properties;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * Sends payments, keyed by customer, and prints where each one was stored.
 *
 * <p>Arguments: [bootstrap servers] [topic].
 */
public final class ExampleProducer {
    private static final String[] CUSTOMERS = {"amal", "badr", "camila", "dunya"};

    public static void main(String[] args) throws InterruptedException {
        String servers = args.length > 0 ? args[0] : "localhost:9092";
        String topic = args.length > 1 ? args[1] : "payments";

        Properties config = new Properties();
        config.put(ProducerConfig.BOOTSTRAP_SERVERS_CONFIG, servers);
        config.put(ProducerConfig.KEY_SERIALIZER_CLASS_CONFIG, StringSerializer.class.getName());
        config.put(ProducerConfig.VALUE_SERIALIZER_CLASS_CONFIG, StringSerializer.class.getName());
        // Records that come within 10 ms of each other for one partition travel as one compressed batch.
        config.put(ProducerConfig.LINGER_MS_CONFIG, 10);
        config.put(ProducerConfig.COMPRESSION_TYPE_CONFIG, "snappy");
        config.put(ProducerConfig.RETRIES_CONFIG, 3);

        AtomicInteger failed = new AtomicInteger();
        // close() at the end of the block waits until every record has its answer.
        try (KafkaProducer<String, String> producer = new KafkaProducer<>(config)) {
            for (int i = 0; i < 40; i++) {
                String customer = CUSTOMERS[i % CUSTOMERS.length];
                ProducerRecord<String, String> payment =
                        new ProducerRecord<>(topic, customer, "{\"customer\":\"" + customer + "\",\"cents\":" + 100 * (i + 1) + "}");
                producer.send(payment, (stored, error) -> {
                    if (error != null) {
                        failed.incrementAndGet();
                        System.err.println("not stored: " + error);
                        return;
                    }
                    System.out.println("stored " + payment.key() + " in " + stored.topic() + "-" + stored.partition()
                            + " at offset " + stored.offset());
                });
            }
        }
        if (failed.get() > 0) {
            System.exit(1);
        }
    }
}
