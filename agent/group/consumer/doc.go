// Package consumer holds the rules of the consumer group protocol (KIP-848): what a heartbeat changes, which partitions a
// member owns, must give up or waits for, and what the members are to own in the end.
//
// A Group is a mirror of what State has. Heartbeat and Remove compute what State is to have next and what the member is
// told; they change nothing. Once State has it, Apply makes the mirror follow. So a member never hears of an epoch or a
// partition that the next coordinator would not know of.
//
//	         target differs from owned,             gave them up,
//	         some of owned must go                  or nothing must go
//	stable ----------------------------> revoking ----------------------> stable
//	   ^                                     |                              |
//	   |   the last of them became free      | some of the target still     |
//	   +------------------------- waiting <--+ belongs to others <----------+
//
// A partition has one owner at a time: it is in one member's owned or revoking set, and goes to the next only when it is
// in nobody's. It has the epoch at which the member got it, for as long as it is in that member's sets: commits under that
// epoch and later ones are good for it (KIP-1251), which State judges.
package consumer
