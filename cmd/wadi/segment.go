package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"path"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"wadi/internal/batch"
	"wadi/objstore"
	"wadi/objstore/segment"
)

func (a *app) segmentCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "segment", Short: "Look at segment objects", Args: cobra.ArbitraryArgs, RunE: group}
	cmd.AddCommand(a.segmentInspect())
	return cmd
}

func (a *app) segmentInspect() *cobra.Command {
	var verify, batches bool
	cmd := &cobra.Command{
		Use:   "inspect URL",
		Short: "Show what a segment holds",
		Long: "Show a segment's footer. URL is a store URL that goes on to the object: file:///data/objects/<key>,\n" +
			"s3://bucket/<key>?endpoint=...",
		Args: cobra.ExactArgs(1),
		RunE: a.do(func(ctx context.Context, args []string) error {
			storeURL, key, err := splitObjectURL(args[0])
			if err != nil {
				return err
			}
			report, err := inspect(ctx, storeURL, key, verify || batches, batches)
			if report != nil {
				if a.json() {
					err = errors.Join(err, a.printJSON(report))
				} else {
					err = errors.Join(err, a.printSegment(report))
				}
			}
			return err
		}),
	}
	cmd.Flags().BoolVar(&verify, "verify", false, "read the whole object and check every byte")
	cmd.Flags().BoolVar(&batches, "batches", false, "show every batch; includes --verify")
	return cmd
}

// splitObjectURL divides an object's URL into that of a store and the object's key in it. A file's store is its
// directory, an S3 object's the whole bucket: the footer does not depend on where the store begins.
func splitObjectURL(raw string) (storeURL, key string, err error) {
	u, err := url.Parse(raw)
	if err != nil {
		return "", "", usagef("%q is not a URL", raw)
	}
	switch u.Scheme {
	case "file":
		dir, name := path.Split(u.Path)
		if u.Host != "" || dir == "" || name == "" {
			return "", "", usagef("%q does not name a file; write file:///directory/name", raw)
		}
		return (&url.URL{Scheme: "file", Path: path.Clean(dir)}).String(), name, nil
	case "s3":
		key := strings.TrimPrefix(u.Path, "/")
		if u.Host == "" || key == "" {
			return "", "", usagef("%q does not name an object; write s3://bucket/key", raw)
		}
		return (&url.URL{Scheme: "s3", Host: u.Host, RawQuery: u.RawQuery}).String(), key, nil
	}
	return "", "", usagef("%q is not the URL of an object; there are file:///directory/name and s3://bucket/key", raw)
}

type segmentReport struct {
	Key      string           `json:"key"`
	Size     int64            `json:"size"`
	Version  int              `json:"version"`
	Kind     string           `json:"kind"`
	Created  time.Time        `json:"created"`
	Cluster  string           `json:"cluster"`
	Verified bool             `json:"verified"` // every byte was read and found right
	Sections []segmentSection `json:"sections"`
}

type segmentSection struct {
	Topic        string         `json:"topic"` // id, 32 hex digits
	Partition    int32          `json:"partition"`
	BaseOffset   int64          `json:"base_offset"` // -1 in flush segments
	Offset       uint64         `json:"offset"`      // of the first byte in the object
	Length       uint64         `json:"length"`
	Batches      int            `json:"batches"`
	Records      int            `json:"records"`
	MaxTimestamp int64          `json:"max_timestamp"`
	CRC          string         `json:"crc"`
	Content      []segmentBatch `json:"content,omitempty"`
}

type segmentBatch struct {
	Bytes         int    `json:"bytes"`
	Records       int32  `json:"records"`
	Codec         string `json:"codec"`
	BaseOffset    int64  `json:"base_offset"` // as stored; means nothing in flush segments
	BaseTimestamp int64  `json:"base_timestamp"`
	MaxTimestamp  int64  `json:"max_timestamp"`
	ProducerID    int64  `json:"producer_id"` // -1: none
	ProducerEpoch int16  `json:"producer_epoch"`
	BaseSequence  int32  `json:"base_sequence"`
	Transactional bool   `json:"transactional,omitempty"`
	Control       bool   `json:"control,omitempty"`
}

// inspect reads a segment's footer and, to verify, all of it. Where the footer is right and the rest is not it returns
// both.
func inspect(ctx context.Context, storeURL, key string, verify, batches bool) (report *segmentReport, err error) {
	store, err := openForReading(ctx, storeURL)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, objstore.Close(store)) }()
	size, err := sizeOf(ctx, store, key)
	if err != nil {
		return nil, err
	}
	footer, err := segment.ReadFooter(ctx, store, key, size)
	if err != nil {
		return nil, err
	}
	report = newSegmentReport(key, size, footer)
	if !verify {
		return report, nil
	}
	byOffset := make(map[uint64]*segmentSection, len(report.Sections))
	for i := range report.Sections {
		byOffset[report.Sections[i].Offset] = &report.Sections[i]
	}
	err = segment.Verify(ctx, store, key, size, func(s segment.SectionInfo, b batch.Batch) error {
		if section := byOffset[s.Offset]; batches && section != nil {
			section.Content = append(section.Content, newSegmentBatch(b))
		}
		return nil
	})
	report.Verified = err == nil
	return report, err
}

// sizeOf finds an object's size; a store tells it in lists alone.
func sizeOf(ctx context.Context, store objstore.Store, key string) (int64, error) {
	infos, err := store.List(ctx, key, "", 1)
	switch {
	case err != nil:
		return 0, fmt.Errorf("object %s cannot be looked up: %w", key, err)
	case len(infos) == 0 || infos[0].Key != key:
		return 0, fmt.Errorf("object %s: %w", key, objstore.ErrNotFound)
	}
	return infos[0].Size, nil
}

func newSegmentReport(key string, size int64, f *segment.Footer) *segmentReport {
	r := &segmentReport{
		Key: key, Size: size, Version: f.Version, Kind: f.Kind.String(), Created: time.UnixMilli(f.CreatedMs).UTC(),
		Cluster: f.ClusterID, Sections: make([]segmentSection, len(f.Sections)),
	}
	for i, s := range f.Sections {
		r.Sections[i] = segmentSection{
			Topic: hex.EncodeToString(s.Topic[:]), Partition: s.Partition, BaseOffset: s.BaseOffset, Offset: s.Offset,
			Length: s.Length, Batches: s.Batches, Records: s.Records, MaxTimestamp: s.MaxTimestamp,
			CRC: fmt.Sprintf("%08x", s.CRC),
		}
	}
	return r
}

func newSegmentBatch(b batch.Batch) segmentBatch {
	return segmentBatch{
		Bytes: b.Size(), Records: b.NumRecords(), Codec: b.Codec().String(), BaseOffset: b.BaseOffset(),
		BaseTimestamp: b.BaseTimestamp(), MaxTimestamp: b.MaxTimestamp(), ProducerID: b.ProducerID(),
		ProducerEpoch: b.ProducerEpoch(), BaseSequence: b.BaseSequence(),
		Transactional: b.Transactional(), Control: b.Control(),
	}
}
