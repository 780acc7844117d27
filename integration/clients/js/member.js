'use strict'
// A member of a group that commits each record after it has processed it. It reports, and takes orders, like the members
// in ../go (see record/member.go). usage: node member.js SERVERS GROUP TOPIC

const { createInterface } = require('node:readline')
const { connect, main } = require('./client')
const { print } = require('./record')

const passing = new Set(['ILLEGAL_GENERATION', 'REBALANCE_IN_PROGRESS', 'UNKNOWN_MEMBER_ID'])

main(async (servers, groupId, topic) => {
  const consumer = connect(servers).consumer({
    groupId,
    sessionTimeout: 6000,
    rebalanceTimeout: 10_000,
    heartbeatInterval: 300,
    metadataMaxAge: 500,
    maxWaitTimeInMs: 200,
    retry: { initialRetryTime: 100, maxRetryTime: 1000, retries: 10, restartOnFailure: async () => true },
  })
  let partitions = []
  const assigned = now => {
    partitions = now
    print({ event: 'assigned', partitions: [...now].sort() })
  }
  consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => assigned(payload.memberAssignment[topic] ?? []))
  consumer.on(consumer.events.REBALANCING, () => assigned([]))
  await consumer.connect()
  await consumer.subscribe({ topics: [topic], fromBeginning: true })
  await consumer.run({
    autoCommit: false,
    eachMessage: async ({ partition, message }) => {
      print({ event: 'record', partition, offset: Number(message.offset), value: message.value.toString() })
      const offset = Number(message.offset) + 1
      try {
        await consumer.commitOffsets([{ topic, partition, offset: String(offset) }])
      } catch (error) {
        // A rebalance came between: whoever has the partition now reads the record again. Its own fetchers, one for
        // each broker, may start rebalances side by side when they see new partitions.
        if (!passing.has(error.type)) throw error
        console.error(error.message)
        return
      }
      print({ event: 'committed', partition, offset })
    },
  })

  for await (const order of createInterface({ input: process.stdin })) {
    if (order === 'leave') break
    if (order === 'replay') {
      for (const partition of partitions) consumer.seek({ topic, partition, offset: '0' })
    }
  }
  await consumer.disconnect()
  process.stdin.destroy() // or the process would wait for its end
})
