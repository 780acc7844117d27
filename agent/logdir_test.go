package agent

import "testing"

func TestLogDirSaysWhereTheRecordsLie(t *testing.T) {
	for store, want := range map[string]string{
		"s3://bucket": "s3://bucket/main",
		"s3://bucket/a/prefix/?endpoint=http://key:secret@127.0.0.1:9000&region=x": "s3://bucket/a/prefix/main",
		"s3://key:secret@bucket/p": "s3://bucket/p/main",
		"file:///var/wadi/objects": "file:///var/wadi/objects/main",
		"mem://":                   "mem:///main",
		"":                         "object-store:///main",
		"%zz":                      "object-store:///main",
	} {
		if got := logDir(store, "main"); got != want {
			t.Errorf("%q: %q, want %q", store, got, want)
		}
	}
}
