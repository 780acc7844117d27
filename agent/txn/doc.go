// Package txn coordinates transactions: thinly, as one command in the journal does what takes Kafka's coordinator two
// phases and a log of its own.
//
// Coordinator proposes for clients. Which ids an agent coordinates is for order, not for safety: State takes a command
// under the producer id and epoch that it names, or not at all. Janitor ends what is overdue. It is a core, stepped with
// what State shows and with two clocks, and Keeper is its shell, which also forgets transactional ids and producers that
// nobody has used for long.
//
// A transaction is overdue when its timeout is over by the monotonic clock of an agent that saw it begin. An agent that
// found it open (it was started, or lost sight of the journal) may also go by the time that the entry carries in which it
// began, with a margin, as long as its own clock agrees with the object store's: else a cluster whose agents are
// restarted one after the other, each before the timeout is over, would never end it, and everything behind it would stay
// unread (the last stable offset stays in front of an open transaction).
package txn
