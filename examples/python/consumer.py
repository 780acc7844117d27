"""Reads a topic from its beginning to its end, by assignment, and stops when every partition has told its end.

usage: python consumer.py [BOOTSTRAP_SERVERS] [TOPIC]
"""

import sys

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition


def main():
    servers = sys.argv[1] if len(sys.argv) > 1 else "localhost:9092"
    topic = sys.argv[2] if len(sys.argv) > 2 else "readings"

    consumer = Consumer(
        {
            "bootstrap.servers": servers,
            # The library wants a name even when no group is joined: assign() below asks for no coordinator.
            "group.id": "example",
            "enable.auto.commit": False,
            # The end of a partition comes as an event of its own.
            "enable.partition.eof": True,
        }
    )
    metadata = consumer.list_topics(topic, timeout=30).topics[topic]
    if metadata.error is not None:
        raise KafkaException(metadata.error)
    open_partitions = set(metadata.partitions)
    consumer.assign([TopicPartition(topic, p, OFFSET_BEGINNING) for p in open_partitions])

    try:
        while open_partitions:
            message = consumer.poll(30)
            if message is None:
                sys.exit(f"nothing came for 30 s; partitions without an end: {sorted(open_partitions)}")
            if message.error() is None:
                key = message.key().decode() if message.key() is not None else None
                print(
                    f"partition={message.partition()} offset={message.offset()}"
                    f" key={key} value={message.value().decode()}"
                )
            elif message.error().code() == KafkaError._PARTITION_EOF:
                print(f"end of partition {message.partition()} at offset {message.offset()}")
                open_partitions.discard(message.partition())
            else:
                raise KafkaException(message.error())
    finally:
        consumer.close()


if __name__ == "__main__":
    main()
