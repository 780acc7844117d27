// Package batch reads, checks, patches and builds Kafka record batches of format 2 (magic 2), the unit in which Wadi
// takes, stores and serves records. A Batch is a view of bytes that somebody else owns: nothing here copies a batch to
// look at it, and nothing allocates per record.
//
// One batch, all integers big endian:
//
//	0        8        12       16 17    21    23       27        35        43    51    53      57      61
//	+--------+--------+--------+-+-----+-----+--------+---------+---------+-----+-----+-------+-------+---------
//	| base   | length | leader |m| CRC | at- | last   | base    | max     | pid | ep- | base  | rec-  | records
//	| offset | from 12| epoch  |2| 32C | trs | delta  | timest. | timest. |     | och | seq.  | ords  | (codec)
//	+--------+--------+--------+-+-----+-----+--------+---------+---------+-----+-----+-------+-------+---------
//	                                   \________________________ under the CRC ________________________________
//
// attributes: bits 0-2 codec, 3 LogAppendTime, 4 transactional, 5 control, 6 delete horizon. Base offset and leader
// epoch lie outside the CRC, so a broker assigns offsets without touching the records.
//
// One record, after decompression; v is a zigzag varint of at most 5 bytes, V one of at most 10:
//
//	v length | 1 attributes | V timestamp delta | v offset delta | v key length, -1 null | key |
//	v value length, -1 null | value | v headers | per header: v key length, key, v value length, -1 null, value
//
// Trust: accessors of Batch need HeaderSize bytes, which Split and Validate guarantee. Iteration never trusts the
// bytes: it may fail, but it does not panic and does not allocate what a length field claims.
package batch
