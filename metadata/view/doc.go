// Package view keeps a live State: it loads a checkpoint, catches up with the journal, follows it by a watch, and
// answers barriers (DESIGN section 3, "Views"). Core decides and is stepped by events; View is the shell that carries
// its effects out on etcd and lets other goroutines read.
package view
