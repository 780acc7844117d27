'use strict'
// KafkaJS with every codec: gzip is its own, snappy is kafkajs-snappy. The packages for lz4 (kafkajs-lz4) and zstd
// (@kafkajs/zstd) compile native code when they are installed; lz4-napi comes compiled and zstd-codec is WebAssembly.

const { Kafka, CompressionCodecs, CompressionTypes, logLevel } = require('kafkajs')
const lz4 = require('lz4-napi')
const { ZstdCodec } = require('zstd-codec')

const zstd = new Promise(resolve => ZstdCodec.run(loaded => resolve(new loaded.Streaming())))

CompressionCodecs[CompressionTypes.Snappy] = require('kafkajs-snappy')
CompressionCodecs[CompressionTypes.LZ4] = () => ({
  compress: async encoder => lz4.compressFrame(encoder.buffer),
  decompress: async buffer => lz4.decompressFrame(buffer),
})
CompressionCodecs[CompressionTypes.ZSTD] = () => ({
  compress: async encoder => Buffer.from((await zstd).compress(encoder.buffer)),
  decompress: async buffer => Buffer.from((await zstd).decompress(buffer)),
})

const codecs = {
  none: CompressionTypes.None,
  gzip: CompressionTypes.GZIP,
  snappy: CompressionTypes.Snappy,
  lz4: CompressionTypes.LZ4,
  zstd: CompressionTypes.ZSTD,
}

const connect = servers => new Kafka({ brokers: servers.split(','), logLevel: logLevel.WARN, connectionTimeout: 10_000 })

// main runs a program and turns what it throws into an exit code.
function main(program) {
  program(...process.argv.slice(2)).catch(error => {
    console.error(error)
    process.exitCode = 1
  })
}

module.exports = { codecs, connect, main }
