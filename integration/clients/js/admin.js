'use strict'
// Creates, lists, describes, alters, grows and deletes a topic, lists offsets of another one, and prints what it saw as
// one JSON object (see Admin in go/record/admin.go). usage: node admin.js SERVERS TOPIC OTHER MILLISECONDS

const { ConfigResourceTypes } = require('kafkajs')
const { connect, main } = require('./client')
const { print } = require('./record')

// until asks again while done says no: a broker may hear a little later than another of what was changed.
async function until(done) {
  for (let i = 0; i < 3000 && !(await done()); i++) {
    await new Promise(resolve => setTimeout(resolve, 20))
  }
}

// code is Kafka's error code of what a call throws, 0 for none.
async function code(call) {
  try {
    await call()
    return 0
  } catch (error) {
    const kafka = [error, error.cause, ...(error.errors ?? [])].find(e => typeof e?.code === 'number')
    return kafka?.code ?? -2
  }
}

const perPartition = (partitions, value) => Object.fromEntries(partitions.map(p => [p.partition, Number(value(p))]))

main(async (servers, topic, other, at) => {
  const admin = connect(servers).admin()
  await admin.connect()
  const seen = {}

  const create = () =>
    admin
      .createTopics({
        waitForLeaders: true,
        topics: [{ topic, numPartitions: 3, replicationFactor: 1, configEntries: [{ name: 'retention.ms', value: '3600000' }] }],
      })
      .then(created => {
        // KafkaJS answers false for a topic that is there already, and nothing else.
        if (!created) throw { code: 36 }
      })
  await create()
  seen.again = await code(create)
  const partitions = async () => (await admin.fetchTopicMetadata({ topics: [topic] })).topics[0].partitions.length
  const listed = async () => (await admin.listTopics()).includes(topic)
  await until(listed)
  seen.partitions = await partitions()

  const retention = async () => {
    const resource = { type: ConfigResourceTypes.TOPIC, name: topic, configNames: ['retention.ms'] }
    const { resources } = await admin.describeConfigs({ resources: [resource], includeSynonyms: false })
    return resources[0].configEntries[0].configValue
  }
  seen.retention = await retention()
  await admin.alterConfigs({
    validateOnly: false,
    resources: [{ type: ConfigResourceTypes.TOPIC, name: topic, configEntries: [{ name: 'retention.ms', value: '7200000' }] }],
  })
  await until(async () => (seen.altered = await retention()) === '7200000')

  await admin.createPartitions({ topicPartitions: [{ topic, count: 5 }] })
  await until(async () => (seen.grown = await partitions()) === 5)

  await admin.deleteTopics({ topics: [topic] })
  await until(async () => (seen.gone = !(await listed())))
  // With retries it would wait for the topic to appear.
  const impatient = connect(servers).admin({ retry: { retries: 0 } })
  await impatient.connect()
  seen.unknown = await code(() => impatient.deleteTopics({ topics: [topic] }))
  await impatient.disconnect()

  const { brokers, controller } = await admin.describeCluster()
  seen.brokers = brokers.length
  seen.controller = brokers.some(broker => broker.nodeId === controller)

  const offsets = await admin.fetchTopicOffsets(other)
  seen.earliest = perPartition(offsets, p => p.low)
  seen.latest = perPartition(offsets, p => p.high)
  seen.at = perPartition(await admin.fetchTopicOffsetsByTimestamp(other, Number(at)), p => p.offset)
  await admin.disconnect()
  print(seen)
})
