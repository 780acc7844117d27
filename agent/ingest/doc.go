// Package ingest takes produced batches to the journal: validate, buffer, flush, upload, commit (DESIGN sections 1.1 and
// 5). Core plans: which lane a batch takes, when a flush closes, in which order flushes are committed; it is stepped by
// events. Ingest is the shell that validates, uploads, proposes and answers.
//
// Order is owed per (connection, partition), and it is kept in four steps. A partition's batches are in one buffer at a
// time: it goes inline only when nothing of it is on the way of objects, and takes its buffered batches along when it
// changes over. In a flush no batch passes an earlier one of its connection. Flushes are proposed in the order in which
// they closed, however their uploads end. And the shell carries out what the core decides in the order in which it does.
// A batch that came before its producer's turn is held back, together with what follows it on its connection; only
// what its turn waits for may pass it.
package ingest
