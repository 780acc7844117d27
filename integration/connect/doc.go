// Package connect runs Kafka Connect in its distributed mode, whose workers keep all that they know in three compacted
// topics: connectors' configurations, source positions and states. A file's lines go through a topic into another file
// while those topics are compacted again and again and a worker and an agent are killed.
package connect
