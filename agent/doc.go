// Package agent assembles one agent: the Kafka server and its handlers on top of view, session, ingest and fetch. All
// decisions are in those packages; here is only who is connected to whom, and in which order things start and drain.
package agent
