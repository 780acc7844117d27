"""Reads topics from their beginning to their end, by assignment, and prints each record as one JSON object.

usage: read.py SERVERS TOPIC[@OFFSET]...

Bytes are base64, null is null; headers are a list of [name, value]. @OFFSET is where to begin in each partition; the
variable ISOLATION sets the isolation level.
"""

import base64
import json
import os
import sys

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition


def encode(data):
    return None if data is None else base64.b64encode(data).decode()


def main():
    servers, *topics = sys.argv[1:]
    isolation = os.environ.get("ISOLATION")
    consumer = Consumer(
        {
            **({"isolation.level": isolation} if isolation else {}),
            "bootstrap.servers": servers,
            "group.id": "unused",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            # CRCs are the broker's promise to keep batches as they came.
            "check.crcs": True,
        }
    )
    waiting, places = set(), []
    for topic in topics:
        topic, _, offset = topic.partition("@")
        found = consumer.list_topics(topic, timeout=180).topics[topic]
        if found.error is not None:
            raise KafkaException(found.error)
        waiting.update((topic, partition) for partition in found.partitions)
        start = int(offset) if offset else OFFSET_BEGINNING
        places.extend(TopicPartition(topic, partition, start) for partition in found.partitions)
    consumer.assign(places)

    while waiting:
        message = consumer.poll(180)
        if message is None:
            sys.exit(f"nothing came for 180 s; partitions without an end: {sorted(waiting)}")
        if message.error() is None:
            headers = [[encode(name.encode()), encode(value)] for name, value in message.headers() or []]
            record = {
                "topic": message.topic(),
                "partition": message.partition(),
                "offset": message.offset(),
                "timestamp": message.timestamp()[1],
                "key": encode(message.key()),
                "value": encode(message.value()),
                "headers": headers,
            }
            print(json.dumps(record))
        elif message.error().code() == KafkaError._PARTITION_EOF:
            waiting.discard((message.topic(), message.partition()))
        else:
            raise KafkaException(message.error())
    consumer.close()


if __name__ == "__main__":
    main()
