"""Sends readings of a few sensors, keyed by sensor, and prints where each one was stored.

usage: python producer.py [BOOTSTRAP_SERVERS] [TOPIC]
"""

import json
import sys

from confluent_kafka import Producer

SENSORS = ["cistern", "dam", "spring", "well"]

failed = 0


def stored(error, message):
    """Called from poll() or flush(), once for every record."""
    global failed
    if error is not None:
        failed += 1
        print(f"not stored: {error}", file=sys.stderr)
        return
    print(f"stored {message.key().decode()} in {message.topic()}-{message.partition()} at offset {message.offset()}")


def main():
    servers = sys.argv[1] if len(sys.argv) > 1 else "localhost:9092"
    topic = sys.argv[2] if len(sys.argv) > 2 else "readings"

    producer = Producer({"bootstrap.servers": servers, "acks": "all", "enable.idempotence": True})
    for i in range(40):
        sensor = SENSORS[i % len(SENSORS)]
        value = json.dumps({"sensor": sensor, "centimetres": 100 + i})
        producer.produce(topic, key=sensor, value=value, on_delivery=stored)
        producer.poll(0)
    failed_to_send = producer.flush(30)
    if failed or failed_to_send:
        sys.exit(f"{failed + failed_to_send} readings were not stored")


if __name__ == "__main__":
    main()
