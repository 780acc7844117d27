// Package halt stops an agent's process, or kills it, at an exact point: between the upload of a flush and its commit, or
// between a commit and the answers that it brings. Its decorators are put around the agent's kv.KV and objstore.Store by
// a build overlay of the tests (integration/checker); no build of the product holds them.
//
// The environment variable CHECKER_HALT names a file. While it does not exist nothing happens. When it holds an order
// such as "kill uploaded", the process that meets the point takes the order by renaming the file to the same name with
// ".taken", and halts.
package halt
