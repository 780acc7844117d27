"""Carries readings from one topic to another, each exactly once: a transaction holds what is written and how far was read.
Run it twice, or kill it in between: the output has every reading one time. Stops at the end of what it reads.

usage: python transaction.py [BOOTSTRAP_SERVERS] [TOPIC]    writes to TOPIC-metres
"""

import json
import sys

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer


def in_metres(value):
    reading = json.loads(value)
    return json.dumps({"sensor": reading["sensor"], "metres": reading["centimetres"] / 100})


def rewind(consumer):
    """Goes back to what the group has committed: that is where the transaction that was aborted began."""
    for place in consumer.committed(consumer.assignment(), timeout=30):
        place.offset = max(place.offset, 0)
        consumer.seek(place)


def main():
    servers = sys.argv[1] if len(sys.argv) > 1 else "localhost:9092"
    topic = sys.argv[2] if len(sys.argv) > 2 else "readings"

    consumer = Consumer(
        {
            "bootstrap.servers": servers,
            "group.id": f"{topic}-to-metres",
            "auto.offset.reset": "earliest",
            # Offsets are committed by the producer, in its transactions.
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
        }
    )
    # The transactional id is this instance's: another one with the same id takes over, and this one is fenced.
    producer = Producer({"bootstrap.servers": servers, "transactional.id": f"{topic}-to-metres-1"})
    producer.init_transactions()
    consumer.subscribe([topic])

    at_end = set()
    while not at_end or at_end != {p.partition for p in consumer.assignment()}:
        readings = []
        for message in consumer.consume(100, timeout=1):
            if message.error() is None:
                readings.append(message)
                at_end.discard(message.partition())
            elif message.error().code() == KafkaError._PARTITION_EOF:
                at_end.add(message.partition())
            else:
                raise KafkaException(message.error())
        if not readings:
            continue
        producer.begin_transaction()
        try:
            for reading in readings:
                producer.produce(f"{topic}-metres", key=reading.key(), value=in_metres(reading.value()))
            producer.send_offsets_to_transaction(
                consumer.position(consumer.assignment()), consumer.consumer_group_metadata()
            )
            producer.commit_transaction()
            print(f"committed {len(readings)} readings")
        except KafkaException as error:
            if not error.args[0].txn_requires_abort():
                raise  # fenced: another instance has taken over
            producer.abort_transaction()
            rewind(consumer)
            at_end.clear()
            print(f"aborted: {error}", file=sys.stderr)
    consumer.close()


if __name__ == "__main__":
    main()
