'use strict'
// What the programs of this folder exchange with the tests that run them: records on stdin, a line each, and JSON
// lines on stdout. A line is: timestamp TAB key TAB value TAB headers; bytes are base64, null is "-", headers are
// name:value pairs with a comma between them.

const { readFileSync } = require('node:fs')

const decode = text => (text === '-' ? null : Buffer.from(text, 'base64'))
const encode = data => (data === null || data === undefined ? null : data.toString('base64'))

// KafkaJS has headers as an object; a name that comes more than once has an array of values.
function headers(text) {
  const found = {}
  for (const pair of text === '' ? [] : text.split(',')) {
    const [name, value] = pair.split(':').map(decode)
    const key = name.toString()
    found[key] = key in found ? [].concat(found[key], [value]) : value
  }
  return found
}

// messages reads the records of stdin as KafkaJS takes them.
function messages() {
  return readFileSync(0, 'utf8')
    .split('\n')
    .filter(line => line !== '')
    .map(line => {
      const [timestamp, key, value, rest] = line.split('\t')
      return { timestamp, key: decode(key), value: decode(value), headers: headers(rest) }
    })
}

const print = object => process.stdout.write(JSON.stringify(object) + '\n')

// printRead prints a message as KafkaJS gave it back.
function printRead(topic, partition, message) {
  const pairs = Object.entries(message.headers).flatMap(([name, values]) =>
    [].concat(values).map(value => [encode(Buffer.from(name)), encode(value)])
  )
  print({
    topic,
    partition,
    offset: Number(message.offset),
    timestamp: Number(message.timestamp),
    key: encode(message.key),
    value: encode(message.value),
    headers: pairs,
  })
}

module.exports = { messages, print, printRead }
