// Package killpoint is the crash matrix: an agent, wired from the product's own packages, is killed with SIGKILL before
// or after every step of a record's life (DESIGN section 5) and of a checkpoint (section 3.1), again and again on one
// cluster, under idempotent producers that know of nothing. Then everything is read back: nothing acknowledged may be
// lost, nothing doubled, no offset left out, each producer's order kept, and `wadi fsck` must be clean.
//
// The compactor works in the agent's process, with limits that make all of its tasks follow each other (compactor_test.go),
// and is killed at each of its calls, or has every so many of them fail or lose their answers: merged objects, manifests,
// the commands that introduce them, trims, releases, deletes, what is forgotten. Then the last record of each key of a
// compacted topic must be there, and as many bytes as retention leaves, and nothing that nobody needs (collect_test.go). The
// simulator has the same at every single call, in virtual time: go test ./integration/sim -run TestEveryCall.
//
// The product holds no failpoint. The agent's process is this package's test binary, started again with a plan in its
// environment; decorators around kv.KV and objstore.Store find the step in the calls and end the process at the one that
// the plan names. A plan that never fires fails the test.
//
// go test kills once for each step and side; more with -kills:
//
//	go test -v -parallel 4 -timeout 2h ./integration/killpoint -args -kills 20
package killpoint
