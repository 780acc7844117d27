package wadi.spring;

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.Collection;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.springframework.context.annotation.AnnotationConfigApplicationContext;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;
import org.springframework.kafka.annotation.EnableKafka;
import org.springframework.kafka.annotation.KafkaListener;
import org.springframework.kafka.config.ConcurrentKafkaListenerContainerFactory;
import org.springframework.kafka.core.DefaultKafkaConsumerFactory;
import org.springframework.kafka.listener.AbstractConsumerSeekAware;
import org.springframework.kafka.listener.ContainerProperties.AckMode;
import org.springframework.kafka.support.Acknowledgment;

/**
 * A member of a group, as a @KafkaListener that acknowledges each record after it has processed it. It reports, and
 * takes orders, like the members in ../go (see record/member.go there). Arguments: SERVERS GROUP TOPIC.
 */
public final class Member {
    private static final PrintStream OUT = new PrintStream(System.out, true, StandardCharsets.UTF_8);

    public static void main(String[] args) throws Exception {
        System.setProperty("servers", args[0]);
        System.setProperty("group", args[1]);
        System.setProperty("topic", args[2]);
        var in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        try (var context = new AnnotationConfigApplicationContext(Config.class)) {
            var listener = context.getBean(Listener.class);
            String order;
            while ((order = in.readLine()) != null && !order.equals("leave")) {
                if (order.equals("replay")) {
                    listener.seekToBeginning();
                }
            }
        }
    }

    /** The beans. */
    @Configuration
    @EnableKafka
    public static class Config {
        @Bean
        ConcurrentKafkaListenerContainerFactory<String, String> kafkaListenerContainerFactory() {
            var factory = new ConcurrentKafkaListenerContainerFactory<String, String>();
            factory.setConsumerFactory(new DefaultKafkaConsumerFactory<>(Map.of(
                    ConsumerConfig.BOOTSTRAP_SERVERS_CONFIG, System.getProperty("servers"),
                    ConsumerConfig.GROUP_ID_CONFIG, System.getProperty("group"),
                    ConsumerConfig.SESSION_TIMEOUT_MS_CONFIG, 6000,
                    ConsumerConfig.HEARTBEAT_INTERVAL_MS_CONFIG, 300,
                    ConsumerConfig.METADATA_MAX_AGE_CONFIG, 500,
                    ConsumerConfig.FETCH_MAX_WAIT_MS_CONFIG, 200,
                    ConsumerConfig.AUTO_OFFSET_RESET_CONFIG, "earliest",
                    ConsumerConfig.KEY_DESERIALIZER_CLASS_CONFIG, StringDeserializer.class,
                    ConsumerConfig.VALUE_DESERIALIZER_CLASS_CONFIG, StringDeserializer.class)));
            factory.getContainerProperties().setAckMode(AckMode.MANUAL_IMMEDIATE);
            factory.getContainerProperties().setPollTimeout(100);
            return factory;
        }

        @Bean
        Listener listener() {
            return new Listener();
        }
    }

    /** Processes records and knows what it owns. */
    public static class Listener extends AbstractConsumerSeekAware {
        private final Set<Integer> owned = new TreeSet<>();

        @KafkaListener(topics = "${topic}")
        void process(ConsumerRecord<String, String> record, Acknowledgment acknowledgment) {
            OUT.println("{\"event\":\"record\",\"partition\":" + record.partition() + ",\"offset\":" + record.offset()
                    + ",\"value\":\"" + record.value() + "\"}");
            acknowledgment.acknowledge(); // commits, and waits for it
            OUT.println("{\"event\":\"committed\",\"partition\":" + record.partition() + ",\"offset\":"
                    + (record.offset() + 1) + "}");
        }

        @Override
        public void onPartitionsAssigned(Map<TopicPartition, Long> more, ConsumerSeekCallback callback) {
            super.onPartitionsAssigned(more, callback);
            more.keySet().forEach(p -> owned.add(p.partition()));
            report();
        }

        @Override
        public void onPartitionsRevoked(Collection<TopicPartition> fewer) {
            super.onPartitionsRevoked(fewer);
            fewer.forEach(p -> owned.remove(p.partition()));
            report();
        }

        private void report() {
            OUT.println("{\"event\":\"assigned\",\"partitions\":" + owned + "}");
        }
    }
}
