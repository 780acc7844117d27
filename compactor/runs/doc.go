// Package runs reads what partitions' runs hold, whole batches in order, wherever the bytes lie: in flush objects, in
// merged ones, in archives or in the journal. It is how the compactor's tasks read.
//
// A Reader is given all its runs at once, of one partition or of many, one behind the other. Objects hold partitions in
// the same order as the caller asks for them, so what it wants of an object is a walk from front to back; the Reader
// cuts it into windows, each of which is one ranged read, is read once, and is let go when the last run in it was
// passed. Windows are as large as its memory allows for as many objects as are open at a time.
//
// Every batch that comes out was checked: its framing, its CRC-32C, and that the batches of a run cover the run's
// offsets. It carries its own offset and leader epoch 0, as readers of the log get it; a transaction's marker comes out
// as the control batch that it stands for.
package runs
