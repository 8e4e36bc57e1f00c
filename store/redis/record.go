package redis

import (
	"encoding/binary"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/caddy-gatehouse/gatehouse/store"
)

// An entry is what stands in the stream: a record as it was sealed, and its place.
type entry struct {
	at     place
	sealed string
}

// sealRecord seals a record and its identifier.
func sealRecord(all []keys, stream, id string, data []byte, until time.Time) ([]byte, error) {
	content := binary.AppendUvarint(make([]byte, 0, binary.MaxVarintLen64+len(id)+len(data)), uint64(len(id)))
	content = append(content, id...)
	content = append(content, data...)
	return seal(all, stream, content, until)
}

// openRecord is the way back; it has no position yet.
func openRecord(all []keys, stream, sealed string) (store.Record, error) {
	content, until, err := open(all, stream, []byte(sealed))
	if err != nil {
		return store.Record{}, err
	}
	length, used := binary.Uvarint(content)
	if used <= 0 || length > uint64(len(content)-used) { //nolint:gosec // used is at most the length
		return store.Record{}, errUnreadable
	}
	content = content[used:]
	return store.Record{ID: string(content[:length]), Data: content[length:], Until: until}, nil
}

// A page is what the script answers.
type page struct {
	life    string
	empty   bool // the log is not there at all
	last    place
	entries []entry
	now     time.Time // by the server's clock
	link    string    // master, or up or down for a replica; empty where INFO is forbidden
}

// parsePage reads the answer of the script. It is false for what the script cannot have
// said.
func parsePage(answer any) (page, bool) {
	parts, ok := answer.([]any)
	if !ok || len(parts) != 6 { //nolint:mnd // what the script returns
		return page{}, false
	}
	run, ok1 := parts[0].(string)
	epoch, ok2 := parts[1].(string)
	last, ok3 := parts[2].(string)
	list, ok4 := parts[3].([]any)
	now, ok5 := parts[4].(string)
	link, ok6 := parts[5].(string)
	milli, err := strconv.ParseInt(now, 10, 64)
	if !ok1 || !ok2 || !ok3 || !ok4 || !ok5 || !ok6 || err != nil {
		return page{}, false
	}
	p := page{life: lifeOf(run, epoch), empty: epoch == "", now: time.UnixMilli(milli), link: link}
	if p.last, ok = parsePlace(last); !ok {
		return page{}, false
	}
	for _, item := range list {
		e, ok := parseEntry(item)
		if !ok {
			return page{}, false
		}
		p.entries = append(p.entries, e)
	}
	return p, true
}

// parseEntry reads a place and a list of names and values.
func parseEntry(item any) (entry, bool) {
	pair, ok := item.([]any)
	if !ok || len(pair) != 2 {
		return entry{}, false
	}
	id, ok := pair[0].(string)
	if !ok {
		return entry{}, false
	}
	at, ok := parsePlace(id)
	if !ok {
		return entry{}, false
	}
	fields, ok := pair[1].([]any)
	if !ok {
		return entry{}, false
	}
	e := entry{at: at}
	for i := 0; i+1 < len(fields); i += 2 {
		if name, ok := fields[i].(string); ok && name == "r" {
			e.sealed, _ = fields[i+1].(string)
		}
	}
	return e, true
}

// messages are the entries of an answer to XREAD.
func messages(streams []redis.XStream) []entry {
	var entries []entry
	for _, stream := range streams {
		for _, message := range stream.Messages {
			at, ok := parsePlace(message.ID)
			if !ok {
				continue
			}
			sealed, _ := message.Values["r"].(string)
			entries = append(entries, entry{at, sealed})
		}
	}
	return entries
}
