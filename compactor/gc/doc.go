// Package gc deletes what nothing needs from the bucket: objects that no run refers to any more, orphans that never got
// into State or are out of it, uploads that nobody finished. It forgets closed sessions when nothing of theirs is left.
//
// # Garbage
//
// Garbage is in State's table, without references. It goes when
//
//   - its grace is over: readers with an older State are done with it;
//   - no kept root's State names it: State at position r names what was introduced at or before r and lost behind it;
//   - the pointer's position is at or behind the one at which it was lost. A checkpoint in the making has a mark above the
//     pointer's position, so no root that is published later can name it, whoever writes it;
//   - if it is an archive, no kept root replays it. Those that come later replay what the pointer's root replays, and what
//     they write anew.
//
// It is deleted first and forgotten in State then. A crash between the two costs a second delete of what is gone.
// Archives without runs are never in the table: they are the checkpoint job's, with roots and bases.
//
// # Orphans
//
// A sweep lists the whole incarnation (keys begin with digits of a hash) and keeps the names in sets of bits: 1 bit per
// object where numbers are dense, some 100 bytes where they are not, at most 16 MiB; a larger bucket is swept in stretches.
// Then it waits for a snapshot of State that is newer than the listing, and takes out
//
//   - what State's table holds;
//   - what a manifest owns: owner tables are read only when merged objects are left;
//   - what may be introduced yet: of a session, numbers above the last one that State took. State refuses to introduce a
//     number twice or out of order, and nothing of a closed session, so the rest is dead for good. Of a closed session
//     everything is, once it has been closed for the grace: a request of an agent that hung may land that late;
//   - what is of sessions that State does not know. fsck reports those.
//
// What is left goes. State forgets a closed session when the sweep is through and found no checkpoint object of its, which
// the checkpoint job would else not know whose they are.
package gc
