"""A member of a group that commits each record after it has processed it. It reports, and takes orders, like the members
in ../go (see record/member.go).

usage: member.py SERVERS GROUP TOPIC PROTOCOL

PROTOCOL is classic, or consumer for KIP-848.
"""

import json
import queue
import sys
import threading

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition


def report(**event):
    print(json.dumps(event), flush=True)


def read_orders(orders):
    for line in sys.stdin:
        orders.put(line.strip())
    orders.put("leave")


def main():
    servers, group, topic, protocol = sys.argv[1:]
    config = {
        "bootstrap.servers": servers,
        "group.id": group,
        "enable.auto.commit": False,
        "auto.offset.reset": "earliest",
        "topic.metadata.refresh.interval.ms": 500,
        "fetch.wait.max.ms": 200,
        "group.protocol": protocol,
    }
    if protocol == "classic":
        config.update({"session.timeout.ms": 6000, "heartbeat.interval.ms": 300})
    consumer = Consumer(config)
    owned = set()

    def changed(partitions):
        report(event="assigned", partitions=sorted(partitions))

    def on_assign(_, partitions):
        owned.update(p.partition for p in partitions)
        changed(owned)

    def on_revoke(_, partitions):
        owned.difference_update(p.partition for p in partitions)
        changed(owned)

    consumer.subscribe([topic], on_assign=on_assign, on_revoke=on_revoke, on_lost=on_revoke)
    orders = queue.Queue()
    threading.Thread(target=read_orders, args=(orders,), daemon=True).start()
    while True:
        try:
            order = orders.get_nowait()
        except queue.Empty:
            order = ""
        if order == "leave":
            break
        if order == "replay":
            for partition in owned:
                consumer.seek(TopicPartition(topic, partition, OFFSET_BEGINNING))
        message = consumer.poll(0.1)
        if message is None:
            continue
        if message.error():
            print(message.error(), file=sys.stderr)
            continue
        partition, offset = message.partition(), message.offset()
        report(event="record", partition=partition, offset=offset, value=message.value().decode())
        try:
            consumer.commit(message, asynchronous=False)
        except KafkaException as error:
            # A rebalance came between: whoever has the partition now, this member maybe, reads the record again.
            if error.args[0].code() not in (KafkaError.REBALANCE_IN_PROGRESS, KafkaError.ILLEGAL_GENERATION,
                                            KafkaError.UNKNOWN_MEMBER_ID, KafkaError.STALE_MEMBER_EPOCH):
                raise
            print(error, file=sys.stderr)
            if partition in owned:
                consumer.seek(TopicPartition(topic, partition, offset))
            continue
        report(event="committed", partition=partition, offset=offset + 1)
    consumer.close()


if __name__ == "__main__":
    main()
