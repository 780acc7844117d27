package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"wadi/objstore"
)

const (
	locateTimeout = 5 * time.Second
	maxLocate     = 1 << 20 // bytes of an answer
	maxObjects    = 10_000  // listed at most
)

// place is one run of records and where its bytes are, as /debug/locate of an agent tells it.
type place struct {
	Partition int32  `json:"partition"`
	Base      int64  `json:"base"` // first offset
	Last      int64  `json:"last"`
	Place     string `json:"place"` // "inline", "object", or "commit" and "abort": a transaction's marker

	Position int64  `json:"position,omitempty"` // inline: of the journal entry
	Key      string `json:"key,omitempty"`      // object; inline: of the archive that holds the entry by now, if any
	Offset   int64  `json:"offset,omitempty"`   // object: of the first byte
	Length   int64  `json:"length,omitempty"`   // object: in bytes
}

func (p place) String() string {
	switch {
	case p.Place == "commit" || p.Place == "abort":
		return "a transaction's " + p.Place + ", in the metadata alone"
	case p.Place != "inline":
		return fmt.Sprintf("%s, %d bytes from %d", p.Key, p.Length, p.Offset)
	case p.Key != "":
		return fmt.Sprintf("journal entry at position %d, archived in %s", p.Position, p.Key)
	}
	return fmt.Sprintf("journal entry at position %d", p.Position)
}

// locateAll asks an agent for the runs that cover the spans. Next to an error it returns what it has.
func locateAll(ctx context.Context, address, topic string, spans map[int32]span) ([]place, error) {
	ctx, cancel := context.WithTimeout(ctx, locateTimeout)
	defer cancel()
	out := []place{}
	for _, p := range sortedKeys(spans) {
		for offset := spans[p].first; offset < spans[p].end; {
			runs, err := locate(ctx, address, topic, p, offset)
			if err != nil {
				return out, fmt.Errorf("the agent at %s does not tell where the bytes lie: %w", address, err)
			}
			next := offset
			for _, r := range runs {
				if r.Last < next || r.Base >= spans[p].end {
					continue
				}
				r.Partition = p
				out = append(out, r)
				next = r.Last + 1
			}
			if next == offset {
				return out, fmt.Errorf("the agent at %s knows no bytes of partition %d, offset %d", address, p, offset)
			}
			offset = next
		}
	}
	return out, nil
}

// locate asks for the runs of a partition from the one that holds offset on.
func locate(ctx context.Context, address, topic string, partition int32, offset int64) ([]place, error) {
	u := url.URL{Scheme: "http", Host: address, Path: "/debug/locate", RawQuery: url.Values{
		"topic":     {topic},
		"partition": {strconv.Itoa(int(partition))},
		"offset":    {strconv.FormatInt(offset, 10)},
	}.Encode()}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxLocate))
	if err = errors.Join(err, answer.Body.Close()); err != nil {
		return nil, err
	}
	if answer.StatusCode != http.StatusOK {
		return nil, errors.New(answer.Status)
	}
	var runs struct {
		Runs []place `json:"runs"`
	}
	if err := json.Unmarshal(body, &runs); err != nil {
		return nil, fmt.Errorf("the answer is not what /debug/locate gives: %w", err)
	}
	return runs.Runs, nil
}

type object struct {
	Key  string `json:"key"`
	Size int64  `json:"size"`
}

// listObjects lists a store.
func listObjects(ctx context.Context, storeURL string) (out []object, err error) {
	store, err := openForReading(ctx, storeURL)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, objstore.Close(store)) }()
	const page = 1000
	for after := ""; len(out) < maxObjects; {
		infos, err := store.List(ctx, "", after, page)
		if err != nil {
			return nil, fmt.Errorf("the objects in %s cannot be listed: %w", storeURL, err)
		}
		for _, i := range infos {
			out = append(out, object{Key: i.Key, Size: i.Size})
			after = i.Key
		}
		if len(infos) < page {
			break
		}
	}
	return out, nil
}
