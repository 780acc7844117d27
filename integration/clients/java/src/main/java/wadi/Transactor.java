package wadi;

import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.concurrent.LinkedBlockingQueue;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.consumer.ConsumerGroupMetadata;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * One producer, and the consumer whose offsets it commits. Its orders:
 *
 * <pre>
 * open ID TIMEOUT                  a producer with that transactional.id and transaction.timeout.ms; initTransactions
 * begin, commit, abort             a transaction
 * send TOPIC PARTITION VALUE...    sends, flushes; "stored" are the offsets, -1 where a record failed, "error" why
 * subscribe GROUP TOPIC PROTOCOL   a consumer (read_committed) by the protocol classic or consumer
 * poll N                           reads on until it has N records more; "values"
 * offsets                          sendOffsetsToTransaction: behind what was polled, as the member that polled it
 * rewind                           goes back to the committed offsets, as after an abort
 * leave                            closes the consumer
 * </pre>
 */
final class Transactor implements Runnable {
    private static final PrintStream OUT = new PrintStream(System.out, true, StandardCharsets.UTF_8);

    private final BlockingQueue<String[]> orders = new LinkedBlockingQueue<>();
    private final String servers;
    private final String name;
    private final Map<TopicPartition, OffsetAndMetadata> next = new HashMap<>();
    private KafkaProducer<String, String> producer;
    private KafkaConsumer<String, String> consumer;
    private ConsumerGroupMetadata polledAs;

    private Transactor(String servers, String name) {
        this.servers = servers;
        this.name = name;
    }

    static Transactor start(String servers, String name) {
        Transactor started = new Transactor(servers, name);
        Thread thread = new Thread(started, name);
        thread.setDaemon(true);
        thread.start();
        return started;
    }

    void order(String[] words) {
        orders.add(words);
    }

    @Override
    public void run() {
        try {
            while (true) {
                String[] words = orders.take();
                String answer;
                try {
                    answer = obey(words);
                } catch (RuntimeException e) {
                    System.err.println(words[1] + ": " + e);
                    answer = "\"error\":\"" + e.getClass().getSimpleName() + "\"";
                }
                OUT.println("{\"of\":\"" + name + "\"" + (answer.isEmpty() ? "" : "," + answer) + "}");
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    private String obey(String[] words) throws InterruptedException {
        switch (words[1]) {
            case "open":
                open(words[2], words[3]);
                return "";
            case "begin":
                producer.beginTransaction();
                return "";
            case "commit":
                producer.commitTransaction();
                return "";
            case "abort":
                producer.abortTransaction();
                return "";
            case "send":
                return send(words);
            case "subscribe":
                subscribe(words[2], words[3], words[4]);
                return "";
            case "poll":
                return poll(Integer.parseInt(words[2]));
            case "offsets":
                producer.sendOffsetsToTransaction(next, polledAs);
                return "";
            case "rewind":
                rewind();
                return "";
            case "leave":
                consumer.close();
                return "";
            default:
                throw new IllegalArgumentException("an unknown order: " + words[1]);
        }
    }

    private void open(String id, String timeout) {
        Properties config = new Properties();
        config.put(ProducerConfig.BOOTSTRAP_SERVERS_CONFIG, servers);
        config.put(ProducerConfig.TRANSACTIONAL_ID_CONFIG, id);
        config.put(ProducerConfig.TRANSACTION_TIMEOUT_CONFIG, timeout);
        config.put(ProducerConfig.KEY_SERIALIZER_CLASS_CONFIG, StringSerializer.class.getName());
        config.put(ProducerConfig.VALUE_SERIALIZER_CLASS_CONFIG, StringSerializer.class.getName());
        producer = new KafkaProducer<>(config);
        producer.initTransactions();
    }

    private String send(String[] words) throws InterruptedException {
        List<Future<RecordMetadata>> sent = new ArrayList<>();
        String error = "";
        for (int i = 4; i < words.length; i++) {
            sent.add(producer.send(new ProducerRecord<>(words[2], Integer.valueOf(words[3]), null, words[i])));
        }
        producer.flush();
        List<Long> stored = new ArrayList<>();
        for (Future<RecordMetadata> record : sent) {
            try {
                stored.add(record.get().offset());
            } catch (ExecutionException e) {
                stored.add(-1L);
                System.err.println("send: " + e.getCause());
                if (error.isEmpty()) {
                    error = ",\"error\":\"" + e.getCause().getClass().getSimpleName() + "\"";
                }
            }
        }
        return "\"stored\":" + stored + error;
    }

    private void subscribe(String group, String topic, String protocol) {
        Properties config = new Properties();
        config.put(ConsumerConfig.BOOTSTRAP_SERVERS_CONFIG, servers);
        config.put(ConsumerConfig.GROUP_ID_CONFIG, group);
        config.put(ConsumerConfig.GROUP_PROTOCOL_CONFIG, protocol);
        config.put(ConsumerConfig.ISOLATION_LEVEL_CONFIG, "read_committed");
        config.put(ConsumerConfig.ENABLE_AUTO_COMMIT_CONFIG, false);
        config.put(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG, "earliest");
        config.put(ConsumerConfig.MAX_POLL_RECORDS_CONFIG, 1); // so that poll N means N
        config.put(ConsumerConfig.KEY_DESERIALIZER_CLASS_CONFIG, StringDeserializer.class.getName());
        config.put(ConsumerConfig.VALUE_DESERIALIZER_CLASS_CONFIG, StringDeserializer.class.getName());
        consumer = new KafkaConsumer<>(config);
        consumer.subscribe(List.of(topic));
    }

    private String poll(int records) {
        List<String> values = new ArrayList<>();
        while (values.size() < records) {
            for (ConsumerRecord<String, String> record : consumer.poll(Duration.ofMillis(100))) {
                values.add('"' + record.value() + '"');
                next.put(new TopicPartition(record.topic(), record.partition()), new OffsetAndMetadata(record.offset() + 1));
            }
        }
        polledAs = consumer.groupMetadata();
        return "\"values\":" + values;
    }

    private void rewind() {
        consumer.committed(consumer.assignment()).forEach((partition, committed) ->
                consumer.seek(partition, committed == null ? 0 : committed.offset()));
        next.clear();
    }
}
