package main

import (
	"strconv"
	"time"
)

func (a *app) printSegment(r *segmentReport) error {
	state := "not verified"
	if r.Verified {
		state = "verified"
	}
	err := a.printf("%s\n%d bytes, version %d, %s segment of cluster %s, created %s, %s\n\n",
		r.Key, r.Size, r.Version, r.Kind, r.Cluster, r.Created.Format(time.RFC3339), state)
	if err != nil {
		return err
	}
	rows := [][]string{{"TOPIC ID", "PARTITION", "BASE", "AT", "BYTES", "BATCHES", "RECORDS", "NEWEST", "CRC"}}
	for _, s := range r.Sections {
		rows = append(rows, []string{s.Topic, strconv.Itoa(int(s.Partition)), strconv.FormatInt(s.BaseOffset, 10),
			strconv.FormatUint(s.Offset, 10), strconv.FormatUint(s.Length, 10), strconv.Itoa(s.Batches),
			strconv.Itoa(s.Records), strconv.FormatInt(s.MaxTimestamp, 10), s.CRC})
	}
	if err := a.printTable(rows); err != nil {
		return err
	}
	rows = [][]string{{"TOPIC ID", "PARTITION", "BYTES", "RECORDS", "CODEC", "PRODUCER", "EPOCH", "SEQUENCE", "NEWEST"}}
	for _, s := range r.Sections {
		for _, b := range s.Content {
			rows = append(rows, []string{s.Topic, strconv.Itoa(int(s.Partition)), strconv.Itoa(b.Bytes),
				strconv.Itoa(int(b.Records)), b.Codec, strconv.FormatInt(b.ProducerID, 10),
				strconv.Itoa(int(b.ProducerEpoch)), strconv.Itoa(int(b.BaseSequence)), strconv.FormatInt(b.MaxTimestamp, 10)})
		}
	}
	if len(rows) == 1 {
		return nil
	}
	return a.printSection(rows)
}
