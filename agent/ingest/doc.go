// Package ingest takes produced batches to the journal: validate, buffer, flush, upload, commit (DESIGN sections 1.1 and
// 5). Core plans: which lane a batch takes, when a flush closes, in which order flushes are committed; it is stepped by
// events. Ingest is the shell that validates, uploads, proposes and answers.
//
// Order is owed per (connection, partition). Batches of a partition never overtake each other here: a partition whose
// earlier batches are in one lane stays in it until they are resolved, flushes are committed in the order in which they
// closed, and a batch that came before its turn is held back together with what follows it.
package ingest
