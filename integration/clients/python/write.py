"""Writes the records that stand on stdin and prints, for each one, where it was stored.

usage: write.py SERVERS TOPIC CODEC < RECORDS

A line of RECORDS is: timestamp TAB key TAB value TAB headers. Bytes are base64, null is "-". Headers are
name:value pairs with a comma between them. Output: one JSON object per record, in order of their delivery reports.
"""

import base64
import json
import sys

from confluent_kafka import Producer


def parse(text):
    return None if text == "-" else base64.b64decode(text)


def parse_headers(text):
    pairs = [pair.split(":") for pair in text.split(",")] if text else []
    return [(base64.b64decode(name).decode(), parse(value)) for name, value in pairs]


def report(index):
    def delivered(error, message):
        if error is not None:
            print(json.dumps({"i": index, "error": str(error)}))
        else:
            print(json.dumps({"i": index, "partition": message.partition(), "offset": message.offset()}))

    return delivered


def main():
    servers, topic, codec = sys.argv[1:]
    producer = Producer(
        {
            "bootstrap.servers": servers,
            "acks": "all",
            "enable.idempotence": True,
            "compression.type": codec,
            # Small batches: several requests are in flight, and every batch of a sequence counts.
            "batch.num.messages": 50,
            "linger.ms": 5,
        }
    )
    for index, line in enumerate(sys.stdin):
        timestamp, key, value, headers = line.rstrip("\n").split("\t")
        producer.produce(
            topic,
            key=parse(key),
            value=parse(value),
            headers=parse_headers(headers),
            timestamp=int(timestamp),
            on_delivery=report(index),
        )
        producer.poll(0)
    missing = producer.flush(180)
    if missing:
        sys.exit(f"{missing} records without a delivery report after 180 s")


if __name__ == "__main__":
    main()
