"""Creates, lists, describes, alters, grows and deletes a topic, lists offsets of another one, and prints what it saw as
one JSON object (see Admin in ../go/record/admin.go).

usage: admin.py SERVERS TOPIC OTHER MILLISECONDS
"""

import json
import sys
import time

from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    OffsetSpec,
)


def until(done):
    """Asks again while done says no: a broker may hear a little later than another of what was changed."""
    end = time.monotonic() + 60
    while not done() and time.monotonic() < end:
        time.sleep(0.02)


def result(futures):
    """The result of the only future of a call."""
    (future,) = futures.values()
    return future.result(30)


def code(call):
    """Kafka's error code of a call, 0 for none."""
    try:
        call()
        return 0
    except KafkaException as error:
        return error.args[0].code()


def main():
    servers, topic, other, at = sys.argv[1:]
    admin = AdminClient({"bootstrap.servers": servers})
    seen = {}

    new = NewTopic(topic, 3, 1, config={"retention.ms": "3600000"})
    result(admin.create_topics([new]))
    seen["again"] = code(lambda: result(admin.create_topics([new])))
    until(lambda: topic in admin.list_topics(timeout=180).topics)
    seen["partitions"] = len(admin.list_topics(topic, timeout=180).topics[topic].partitions)

    resource = ConfigResource(ConfigResource.Type.TOPIC, topic)

    def retention():
        return result(admin.describe_configs([resource]))["retention.ms"].value

    seen["retention"] = retention()
    change = ConfigEntry("retention.ms", "7200000", incremental_operation=AlterConfigOpType.SET)
    result(admin.incremental_alter_configs([ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=[change])]))
    until(lambda: retention() == "7200000")
    seen["altered"] = retention()

    result(admin.create_partitions([NewPartitions(topic, 5)]))
    until(lambda: len(admin.list_topics(topic, timeout=180).topics[topic].partitions) == 5)
    seen["grown"] = len(admin.list_topics(topic, timeout=180).topics[topic].partitions)

    result(admin.delete_topics([topic]))
    until(lambda: topic not in admin.list_topics(timeout=180).topics)
    seen["gone"] = topic not in admin.list_topics(timeout=180).topics
    seen["unknown"] = code(lambda: result(admin.delete_topics([topic])))

    cluster = admin.describe_cluster().result(30)
    seen["brokers"] = len(cluster.nodes)
    seen["controller"] = cluster.controller.id in [node.id for node in cluster.nodes]

    partitions = [TopicPartition(other, p) for p in admin.list_topics(other, timeout=180).topics[other].partitions]
    for name, spec in (
        ("earliest", OffsetSpec.earliest()),
        ("latest", OffsetSpec.latest()),
        ("at", OffsetSpec.for_timestamp(int(at))),
    ):
        found = admin.list_offsets({p: spec for p in partitions})
        seen[name] = {p.partition: future.result(30).offset for p, future in found.items()}
    print(json.dumps(seen))


if __name__ == "__main__":
    main()
