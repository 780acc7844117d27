'use strict'
// Prints what topics hold, each partition in offset order. usage: node read.js SERVERS TOPIC... The variable ISOLATION
// sets the isolation level; without it what is committed is read.
//
// A consumer of KafkaJS always belongs to a group. Here the parts that it is made of are used without one: its
// cluster, which knows who leads what, and its brokers, which fetch, decompress and decode.

const Batch = require('kafkajs/src/consumer/batch')
const Cluster = require('kafkajs/src/cluster')
const createSocket = require('kafkajs/src/network/socketFactory')
const { connect, main } = require('./client')
const { printRead } = require('./record')

const PARTITION_BYTES = 1 << 20
const isolationLevel = process.env.ISOLATION === 'read_uncommitted' ? 0 : 1

main(async (servers, ...topics) => {
  const kafka = connect(servers)
  const admin = kafka.admin()
  await admin.connect()
  const open = new Map() // "topic/partition" -> where to go on, and where to stop
  for (const topic of topics) {
    for (const { partition, high } of await admin.fetchTopicOffsets(topic)) {
      if (Number(high) > 0) open.set(`${topic}/${partition}`, { topic, partition, offset: 0, end: Number(high) })
    }
  }
  await admin.disconnect()

  const cluster = new Cluster({
    logger: kafka.logger(),
    socketFactory: createSocket(),
    brokers: servers.split(','),
    connectionTimeout: 10_000,
    enforceRequestTimeout: true,
    metadataMaxAge: 300_000,
    allowAutoTopicCreation: false,
    isolationLevel,
  })
  await cluster.connect()
  await cluster.addMultipleTargetTopics(topics)
  while (open.size > 0) {
    for (const [nodeId, parts] of byLeader(cluster, open.values())) {
      await fetch(await cluster.findBroker({ nodeId }), parts)
    }
    for (const [name, part] of open) {
      if (part.offset >= part.end) open.delete(name)
    }
  }
  await cluster.disconnect()
})

function byLeader(cluster, parts) {
  const leaders = new Map()
  for (const part of parts) {
    const [nodeId] = Object.keys(cluster.findLeaderForPartitions(part.topic, [part.partition]))
    leaders.set(nodeId, [...(leaders.get(nodeId) ?? []), part])
  }
  return leaders
}

async function fetch(broker, parts) {
  const topics = new Map()
  for (const { topic, partition, offset } of parts) {
    const asked = { partition, fetchOffset: String(offset), maxBytes: PARTITION_BYTES }
    topics.set(topic, [...(topics.get(topic) ?? []), asked])
  }
  const { responses } = await broker.fetch({
    isolationLevel,
    maxWaitTime: 1000,
    topics: [...topics].map(([topic, partitions]) => ({ topic, partitions })),
  })
  for (const { topicName, partitions } of responses) {
    for (const fetched of partitions) {
      const part = parts.find(p => p.topic === topicName && p.partition === fetched.partition)
      // Leaves out what lies below the offset that was asked for, markers, and what was aborted.
      const batch = new Batch(topicName, String(part.offset), fetched)
      for (const message of batch.messages.filter(m => Number(m.offset) < part.end)) {
        printRead(topicName, part.partition, message)
      }
      if (!batch.isEmptyIncludingFiltered()) part.offset = Number(batch.lastOffset()) + 1
    }
  }
}
