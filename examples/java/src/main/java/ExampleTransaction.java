import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.InvalidProducerEpochException;
import org.apache.kafka.common.errors.ProducerFencedException;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * Carries payments from one topic to another, each exactly once: a transaction holds what is written and how far was
 * read. Run it twice, or kill it in between: the output has every payment one time. Stops at the end of what it reads.
 *
 * <p>Arguments: [bootstrap servers] [topic]. Writes to TOPIC-checked.
 */
public final class ExampleTransaction {
    public static void main(String[] args) {
        String servers = args.length > 0 ? args[0] : "localhost:9092";
        String topic = args.length > 1 ? args[1] : "payments";

        Properties reading = new Properties();
        reading.put(ConsumerConfig.BOOTSTRAP_SERVERS_CONFIG, servers);
        reading.put(ConsumerConfig.GROUP_ID_CONFIG, topic + "-check");
        reading.put(ConsumerConfig.GROUP_PROTOCOL_CONFIG, "consumer"); // the newer one (KIP-848)
        reading.put(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG, "earliest");
        reading.put(ConsumerConfig.ENABLE_AUTO_COMMIT_CONFIG, false); // the producer commits, in its transactions
        reading.put(ConsumerConfig.ISOLATION_LEVEL_CONFIG, "read_committed");
        reading.put(ConsumerConfig.KEY_DESERIALIZER_CLASS_CONFIG, StringDeserializer.class.getName());
        reading.put(ConsumerConfig.VALUE_DESERIALIZER_CLASS_CONFIG, StringDeserializer.class.getName());

        Properties writing = new Properties();
        writing.put(ProducerConfig.BOOTSTRAP_SERVERS_CONFIG, servers);
        // This instance's: another one with the same id takes over, and this one is fenced.
        writing.put(ProducerConfig.TRANSACTIONAL_ID_CONFIG, topic + "-check-1");
        writing.put(ProducerConfig.KEY_SERIALIZER_CLASS_CONFIG, StringSerializer.class.getName());
        writing.put(ProducerConfig.VALUE_SERIALIZER_CLASS_CONFIG, StringSerializer.class.getName());

        try (KafkaConsumer<String, String> consumer = new KafkaConsumer<>(reading);
                KafkaProducer<String, String> producer = new KafkaProducer<>(writing)) {
            producer.initTransactions();
            consumer.subscribe(List.of(topic));
            do {
                ConsumerRecords<String, String> payments = consumer.poll(Duration.ofMillis(500));
                if (!payments.isEmpty()) {
                    carry(consumer, producer, payments, topic + "-checked");
                }
            } while (!atEnd(consumer));
        }
    }

    private static void carry(KafkaConsumer<String, String> consumer, KafkaProducer<String, String> producer,
            ConsumerRecords<String, String> payments, String to) {
        producer.beginTransaction();
        try {
            for (ConsumerRecord<String, String> payment : payments) {
                producer.send(new ProducerRecord<>(to, payment.key(), payment.value()));
            }
            producer.sendOffsetsToTransaction(positions(consumer), consumer.groupMetadata());
            producer.commitTransaction();
            System.out.println("committed " + payments.count() + " payments");
        } catch (ProducerFencedException | InvalidProducerEpochException e) {
            throw e; // another instance has taken over
        } catch (KafkaException e) {
            System.err.println("aborted: " + e);
            producer.abortTransaction();
            // Back to where the transaction began.
            consumer.committed(consumer.assignment()).forEach((partition, committed) ->
                    consumer.seek(partition, committed == null ? 0 : committed.offset()));
        }
    }

    private static Map<TopicPartition, OffsetAndMetadata> positions(KafkaConsumer<String, String> consumer) {
        Map<TopicPartition, OffsetAndMetadata> positions = new HashMap<>();
        for (TopicPartition partition : consumer.assignment()) {
            positions.put(partition, new OffsetAndMetadata(consumer.position(partition)));
        }
        return positions;
    }

    private static boolean atEnd(KafkaConsumer<String, String> consumer) {
        return !consumer.assignment().isEmpty() && consumer.endOffsets(consumer.assignment()).entrySet().stream()
                .allMatch(end -> consumer.position(end.getKey()) >= end.getValue());
    }
}
