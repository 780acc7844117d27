'use strict'
// Writes a number every 20 ms with an idempotent producer and reads them with a member of a group, with the settings that
// KafkaJS has by itself, until its stdin ends. It prints a line for each that is acknowledged, and for each that is read.
// usage: node flow.js SERVERS TOPIC

const { connect, main } = require('./client')
const { print } = require('./record')

main(async (servers, topic) => {
  const kafka = connect(servers)
  const consumer = kafka.consumer({ groupId: topic })
  await consumer.connect()
  await consumer.subscribe({ topics: [topic], fromBeginning: true })
  await consumer.run({ eachMessage: async ({ message }) => print({ read: Number(message.value) }) })

  const producer = kafka.producer({ idempotent: true, maxInFlightRequests: 1 })
  await producer.connect()
  let ends = false
  process.stdin.on('end', () => { ends = true }).resume()
  for (let i = 0; !ends; i++) {
    await producer.send({ topic, acks: -1, messages: [{ value: String(i) }] })
    print({ sent: i })
    await new Promise(resolve => setTimeout(resolve, 20))
  }
  await producer.disconnect()
  process.exit(0) // a consumer waits for its poll else, which takes seconds
})
