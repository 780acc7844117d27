'use strict'
// Writes the records that stand on stdin with an idempotent producer (acks=all) and prints where each was stored.
// usage: node write.js SERVERS TOPIC CODEC

const { Partitioners } = require('kafkajs')
const { codecs, connect, main } = require('./client')
const { messages, print } = require('./record')

// Small sends: every batch of a sequence counts.
const MESSAGES_PER_SEND = 50

main(async (servers, topic, codec) => {
  // A send returns the first offset for each partition; which message went where, only the partitioner knows.
  const placed = new Map()
  const producer = connect(servers).producer({
    idempotent: true,
    maxInFlightRequests: 1,
    createPartitioner: () => {
      const choose = Partitioners.DefaultPartitioner()
      return asked => {
        const partition = choose(asked)
        placed.set(asked.message, partition)
        return partition
      }
    },
  })
  await producer.connect()
  const all = messages()
  for (let start = 0; start < all.length; start += MESSAGES_PER_SEND) {
    const part = all.slice(start, start + MESSAGES_PER_SEND)
    const stored = await producer.send({ topic, acks: -1, compression: codecs[codec], messages: part })
    const next = new Map(stored.map(p => [p.partition, Number(p.baseOffset)]))
    part.forEach((message, i) => {
      const partition = placed.get(message)
      print({ i: start + i, partition, offset: next.get(partition) })
      next.set(partition, next.get(partition) + 1)
    })
  }
  await producer.disconnect()
})
