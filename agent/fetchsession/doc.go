// Package fetchsession is the core of incremental fetch sessions (KIP-227, with topic ids KIP-516): what a session
// remembers of its partitions, which of them a poll must look at, what an answer says of them, and which session gives
// way when there is no room. Requests, findings and times come in; nothing here starts a goroutine, locks, or does I/O.
//
// Apache Kafka walks all partitions of a session for each poll. Here a poll looks at the news: partitions that the request
// changed, that an entry of the journal touched, that failed, or that have more than the last answer held. Of every other
// one the last look found nothing to read and the client knows all there is to say, and nothing has touched it since. So
// a quiet poll costs the same whatever the size of its session; what an answer lists, and in what order, is Kafka's.
package fetchsession
