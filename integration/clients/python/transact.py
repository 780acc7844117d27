"""Transactional producers that do what a test orders.

usage: transact.py SERVERS

An order is a line of words with single spaces: the name of a producer, and what it is to do. Each producer has a thread
of its own, carries out its orders one after the other, and answers each with one JSON object that holds its name as "of",
and "error" with the name of the error when the order failed. The end of the orders ends the process at once, open
transactions included. The orders:

open ID TIMEOUT                  a producer with that transactional.id and transaction.timeout.ms; init_transactions
begin, commit, abort             a transaction
send TOPIC PARTITION VALUE...    sends, flushes; "stored" are the offsets, -1 where a record failed, "error" why
subscribe GROUP TOPIC PROTOCOL   a consumer (read_committed) by the protocol classic or consumer
poll N                           reads on until it has N records more; "values"
offsets                          send_offsets_to_transaction: behind what was polled, as the member that polled it
rewind                           goes back to the committed offsets, as after an abort
leave                            closes the consumer
"""

import json
import os
import queue
import sys
import threading

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

SECONDS = 180  # a call may take


class Transactor:
    def __init__(self, servers, name):
        self.servers, self.name, self.orders = servers, name, queue.Queue()
        self.producer = self.consumer = self.polled_as = None
        self.next = {}
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            verb, *words = self.orders.get()
            answer = {"of": self.name}
            try:
                answer.update(getattr(self, verb)(*words) or {})
            except (KafkaException, KafkaError) as failed:  # flush() raises the latter when the error is fatal
                print(verb, failed, file=sys.stderr)
                answer["error"] = (failed.args[0] if isinstance(failed, KafkaException) else failed).name()
            except Exception as failed:  # whatever it is, the test must hear of it
                answer["error"] = repr(failed)
            # One write: the threads share stdout.
            sys.stdout.write(json.dumps(answer) + "\n")
            sys.stdout.flush()

    def open(self, transactional_id, timeout):
        self.producer = Producer(
            {
                "bootstrap.servers": self.servers,
                "transactional.id": transactional_id,
                "transaction.timeout.ms": int(timeout),
                "linger.ms": 0,
            }
        )
        self.producer.init_transactions(SECONDS)

    def begin(self):
        self.producer.begin_transaction()

    def commit(self):
        self.producer.commit_transaction(SECONDS)

    def abort(self):
        self.producer.abort_transaction(SECONDS)

    def send(self, topic, partition, *values):
        stored, errors = [-1] * len(values), []

        def report(index):
            def delivered(error, message):
                if error is None:
                    stored[index] = message.offset()
                else:
                    print("send", error, file=sys.stderr)
                    errors.append(error.name())

            return delivered

        for index, value in enumerate(values):
            self.producer.produce(topic, value, partition=int(partition), on_delivery=report(index))
        self.producer.flush(SECONDS)
        return {"stored": stored, **({"error": errors[0]} if errors else {})}

    def subscribe(self, group, topic, protocol):
        self.consumer = Consumer(
            {
                "bootstrap.servers": self.servers,
                "group.id": group,
                "group.protocol": protocol,
                "isolation.level": "read_committed",
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
            }
        )
        self.consumer.subscribe([topic])

    def poll(self, records):
        values = []
        while len(values) < int(records):
            message = self.consumer.poll(0.1)
            if message is None:
                continue
            if message.error():
                print("poll", message.error(), file=sys.stderr)
                continue
            values.append(message.value().decode())
            self.next[message.topic(), message.partition()] = message.offset() + 1
        self.polled_as = self.consumer.consumer_group_metadata()
        return {"values": values}

    def offsets(self):
        positions = [TopicPartition(topic, partition, offset) for (topic, partition), offset in self.next.items()]
        self.producer.send_offsets_to_transaction(positions, self.polled_as, SECONDS)

    def rewind(self):
        for place in self.consumer.committed(self.consumer.assignment(), SECONDS):
            place.offset = max(place.offset, 0)
            self.consumer.seek(place)
        self.next = {}

    def leave(self):
        self.consumer.close()


def main():
    producers = {}
    for line in sys.stdin:
        name, *words = line.rstrip("\n").split(" ")
        if name not in producers:
            producers[name] = Transactor(sys.argv[1], name)
        producers[name].orders.put(words)
    os._exit(0)


if __name__ == "__main__":
    main()
