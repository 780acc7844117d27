// Package checkpoint moves the journal's past to object storage and takes it back (DESIGN section 3.1). One mechanism
// keeps etcd small, starts agents, stores inline data for good and survives the loss of etcd.
//
// A checkpoint at a mark is a root object that names a base (State at some earlier or the same mark) and the archives
// (all entries) from there to the mark. The pointer in etcd says which root counts. One agent holds the job.
//
//	mark --> archive objects --> [base parts] --> root --> pointer --> Archived entries --> trim --> compact history
//
// A crash between two steps leaves objects that no root names, or a root that no pointer names; the next holder starts
// from the pointer. Archived entries that were not proposed are proposed by the next holder; a trim that was cut short
// goes on.
//
// All objects start with an 8-byte magic and a 4-byte version, big-endian, as all numbers here:
//
//	archive  "WADIARCH" version | entry values, back to back | index: 48 bytes per entry | trailer: 44 bytes
//	  index    position int64 | head int64 | session int64 | seq uint64 | offset uint64 | length uint32 | CRC-32C uint32
//	  trailer  first position after (from) int64 | last position (to) int64 | index offset uint64 | entries uint64 |
//	           CRC-32C of index uint32 | version uint32 | CRC-32C of the trailer so far uint32
//	base     "WADIBASE" version | records: length uint32, CRC-32C uint32, BaseRecord; a part holds whole records
//	root     "WADIROOT" version | CRC-32C uint32 of what follows | Root
package checkpoint
