// Package streams runs Kafka Streams with processing.guarantee=exactly_once_v2: an application that counts words, with a
// repartition topic and a changelog, on three agents that are killed one after the other while lines come in, and then
// loses its own process; before it begins anew the changelog is compacted to one record a word. Every count of the output
// must be there once and in order.
//
// WADI_BOOTSTRAP=host:port runs the same on brokers that are there already, Apache Kafka's included, which nobody kills.
package streams
