// Package api turns Kafka requests into calls of the rest of the agent, one file per API key: NN_name.go. A handler
// parses, validates, answers entry by entry and knows what changed between versions; what a topic is, how records are
// kept and who coordinates lies behind the small interfaces in deps.go.
//
// To add an API: a row in versions.go, its shape in shapes.go, a file NN_name.go whose first comment states key and
// versions, a line in API.Table, and its failures in errors.go and docs/errors.md.
package api
