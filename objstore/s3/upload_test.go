package s3_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"wadi/objstore"
	"wadi/objstore/s3"
)

// xml answers with a document.
func xml(document string) step {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/xml")
		_, _ = io.WriteString(w, document) // the test fails if it never arrives
	}
}

var (
	begun     = xml("<InitiateMultipartUploadResult><UploadId>id/1</UploadId></InitiateMultipartUploadResult>")
	completed = xml("<CompleteMultipartUploadResult><ETag>e</ETag></CompleteMultipartUploadResult>")
	upload    = objstore.Upload{Key: "a/b", ID: "id/1"}
	helloPart = []objstore.Part{{Number: 1, Size: 5, CRC32C: hello.CRC32C, Tag: `"tag"`}}
)

func TestUploadRequests(t *testing.T) {
	store, service := script(t, fast, begun, ok("ETag", `"tag"`), completed, ok())
	up, err := store.Begin(t.Context(), "a/b")
	if err != nil || up != upload {
		t.Fatal(up, err)
	}
	part, err := store.PutPart(t.Context(), up, 1, hello)
	if err != nil || part != helloPart[0] {
		t.Fatal(part, err)
	}
	if err := store.Complete(t.Context(), up, helloPart); err != nil {
		t.Fatal(err)
	}
	if err := store.Abandon(t.Context(), up); err != nil {
		t.Fatal(err)
	}
	for i, want := range []struct {
		line    string
		headers map[string]string
		body    string
	}{
		{"POST /bucket/a/b?uploads=", map[string]string{"X-Amz-Checksum-Algorithm": "CRC32C", "X-Amz-Checksum-Type": "FULL_OBJECT"}, ""},
		{"PUT /bucket/a/b?partNumber=1&uploadId=id%2F1&x-id=UploadPart",
			map[string]string{"X-Amz-Checksum-Crc32c": helloCRC, "X-Amz-Content-Sha256": "UNSIGNED-PAYLOAD", "X-Amz-Trailer": "", "Content-Encoding": ""}, "hello"},
		{"POST /bucket/a/b?uploadId=id%2F1", map[string]string{"If-None-Match": "*"},
			"<Part><ChecksumCRC32C>" + helloCRC + "</ChecksumCRC32C><ETag>&#34;tag&#34;</ETag><PartNumber>1</PartNumber></Part>"},
		{"DELETE /bucket/a/b?uploadId=id%2F1&x-id=AbortMultipartUpload", nil, ""},
	} {
		r := service.requests[i]
		if got := r.Method + " " + r.URL.RequestURI(); got != want.line {
			t.Errorf("request %d: %s, want %s", i, got, want.line)
		}
		for h, v := range want.headers {
			if got := r.Header.Get(h); got != v {
				t.Errorf("request %d: %s is %q, want %q", i, h, got, v)
			}
		}
		if !strings.Contains(strings.ReplaceAll(service.bodies[i], "&quot;", "&#34;"), want.body) {
			t.Errorf("request %d: body %q, want %q", i, service.bodies[i], want.body)
		}
	}
}

func TestCompleteOutcomes(t *testing.T) {
	const other = "AAAAAA=="
	head := func(crc string, headers ...string) step {
		return ok(append(headers, "x-amz-checksum-crc32c", crc, "Content-Length", "5")...)
	}
	content := func(s string) step {
		return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, s) } // it shows in the outcome
	}
	missing := fail(404, "")
	late := xml("<Error><Code>InternalError</Code></Error>") // with status 200: the service had begun to answer
	for _, tc := range []struct {
		name     string
		steps    []step
		want     error
		requests int
	}{
		{"an error behind status 200", []step{late, completed}, nil, 2},
		{"slow down", []step{fail(503, "SlowDown"), completed}, nil, 2},
		{"answer lost", []step{cut, fail(404, "NoSuchUpload"), head(helloCRC)}, nil, 3},
		{"upload gone, no object", []step{fail(404, "NoSuchUpload"), missing}, objstore.ErrConflict, 2},
		{"upload gone, another object", []step{fail(404, "NoSuchUpload"), head(other)}, objstore.ErrExists, 2},
		{"conflict, no object", []step{fail(409, "ConditionalRequestConflict"), missing}, objstore.ErrConflict, 2},
		{"conflict, same object, upload left", []step{fail(409, "ConditionalRequestConflict"), head(helloCRC), ok()}, nil, 3},
		{"a part is not there", []step{fail(400, "InvalidPart"), missing}, objstore.ErrConflict, 2},
		{"same object, upload left", []step{fail(412, "PreconditionFailed"), head(helloCRC), fail(404, "NoSuchUpload")}, nil, 3},
		{"same object, upload stays", []step{fail(412, "PreconditionFailed"), head(helloCRC), fail(500, "InternalError"),
			fail(412, "PreconditionFailed"), head(helloCRC), ok()}, nil, 6},
		{"another object", []step{fail(412, "PreconditionFailed"), head(other)}, objstore.ErrExists, 2},
		{"another size", []step{fail(412, "PreconditionFailed"), ok("Content-Length", "6")}, objstore.ErrExists, 2},
		{"an object that is gone again", []step{fail(412, "PreconditionFailed"), missing, completed}, nil, 3},
		{"checksum of parts, same bytes", []step{fail(412, "PreconditionFailed"), head(other + "-2"), content("hello"), ok()}, nil, 4},
		{"checksum of parts, other bytes", []step{fail(412, "PreconditionFailed"),
			head(other, "x-amz-checksum-type", "COMPOSITE"), content("hellO")}, objstore.ErrExists, 3},
		{"no checksum, gone meanwhile", []step{fail(412, "PreconditionFailed"), ok("Content-Length", "5"), fail(404, "NoSuchKey"),
			completed}, nil, 4},
		{"too small a part", []step{fail(400, "EntityTooSmall")}, objstore.ErrKey, 1},
		{"denied", []step{fail(403, "AccessDenied")}, objstore.ErrDenied, 3},
		{"no bucket", []step{fail(404, "NoSuchBucket")}, s3.ErrNoBucket, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			store, service := script(t, fast, tc.steps...)
			if err := store.Complete(t.Context(), upload, helloPart); !errors.Is(err, tc.want) {
				t.Errorf("error %v, want %v", err, tc.want)
			}
			if got := service.count(); got != tc.requests {
				t.Errorf("%d requests, want %d", got, tc.requests)
			}
		})
	}
}

func TestPutPartOutcomes(t *testing.T) {
	for _, tc := range []struct {
		name     string
		steps    []step
		want     error
		requests int
	}{
		{"cut", []step{cut, ok("ETag", `"tag"`)}, nil, 2},
		{"flipped on the way", []step{fail(400, "BadDigest"), ok("ETag", `"tag"`)}, nil, 2},
		{"upload gone", []step{fail(404, "NoSuchUpload")}, objstore.ErrConflict, 1},
		{"refused once", []step{fail(403, "AccessDenied"), ok("ETag", `"tag"`)}, nil, 2},
		{"denied", []step{fail(403, "AccessDenied")}, objstore.ErrDenied, 3},
	} {
		t.Run(tc.name, func(t *testing.T) {
			store, service := script(t, fast, tc.steps...)
			if _, err := store.PutPart(t.Context(), upload, 1, hello); !errors.Is(err, tc.want) || service.count() != tc.requests {
				t.Errorf("error %v after %d requests, want %v after %d", err, service.count(), tc.want, tc.requests)
			}
		})
	}
	store, service := script(t, fast, fail(400, "BadDigest"))
	buf := []byte("hello")
	body := objstore.NewBody(buf)
	buf[0] = 'j'
	if _, err := store.PutPart(t.Context(), upload, 1, body); !errors.Is(err, objstore.ErrCorrupt) || service.count() != 1 {
		t.Errorf("a changed buffer: %v after %d requests", err, service.count())
	}
	store, _ = script(t, fast, ok())
	if _, err := store.PutPart(t.Context(), upload, 1, hello); objstore.Outcome(err) != "error" {
		t.Errorf("a part without an ETag: %v", err)
	}
	store, _ = script(t, fast, xml("<InitiateMultipartUploadResult></InitiateMultipartUploadResult>"))
	if _, err := store.Begin(t.Context(), "k"); objstore.Outcome(err) != "error" {
		t.Errorf("an upload without an id: %v", err)
	}
}

func TestUploadsPages(t *testing.T) {
	page := func(nextKey, nextID string, keys ...string) step {
		var b strings.Builder
		fmt.Fprintf(&b, "<ListMultipartUploadsResult><IsTruncated>%t</IsTruncated>", nextKey != "")
		if nextKey != "" {
			fmt.Fprintf(&b, "<NextKeyMarker>%s</NextKeyMarker><NextUploadIdMarker>%s</NextUploadIdMarker>", nextKey, nextID)
		}
		for i, k := range keys {
			fmt.Fprintf(&b, "<Upload><Key>%s</Key><UploadId>%s%d</UploadId><Initiated>2026-01-0%dT00:00:00Z</Initiated></Upload>", k, nextID, i, i+1)
		}
		return xml(b.String() + "</ListMultipartUploadsResult>")
	}
	// The first page ends within a key; the third lies beyond the prefix.
	store, service := script(t, fast, page("p/a", "x", "o/z", "p/a"), page("p/b", "y", "p/a", "p/ä", "p/b"), page("q", "z", "p0"))
	infos, err := store.Uploads(t.Context(), "p/", "", 2)
	if err != nil || len(infos) != 2 || infos[0].ID != "y0" || infos[1].ID != "x1" {
		t.Fatalf("%+v, %v", infos, err)
	}
	if n := service.count(); n != 2 {
		t.Errorf("%d requests", n)
	}
	query := service.requests[0].URL.Query()
	if query.Get("key-marker") != "p.~" || query.Has("prefix") {
		t.Errorf("asked for %v", query)
	}
	if query := service.requests[1].URL.Query(); query.Get("key-marker") != "p/a" || query.Get("upload-id-marker") != "x" {
		t.Errorf("asked on for %v", query)
	}
	store, service = script(t, fast, page("p/b", "y", "p/a"), page("q", "z", "p0"), page("r", "u", "q"))
	if infos, err := store.Uploads(t.Context(), "p/", "", 10); err != nil || len(infos) != 1 || service.count() != 2 {
		t.Errorf("%+v, %v after %d requests", infos, err, service.count())
	}
	store, _ = script(t, fast, page("same", "x"))
	if _, err := store.Uploads(t.Context(), "", "", 10); objstore.Outcome(err) != "error" {
		t.Errorf("an endless list: %v", err)
	}
}
