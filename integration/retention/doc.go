// Package retention holds the tests of what retention leaves in the bucket: an agent with its compactor works on a real
// MinIO, and another S3 client looks at the objects behind its back. The metadata lies in memory.
package retention
