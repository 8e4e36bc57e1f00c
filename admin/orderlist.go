package admin

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/caddy-gatehouse/gatehouse/internal/httpbody"
	"github.com/caddy-gatehouse/gatehouse/revocation"
)

// Bounds of one call.
const (
	maxOrders = 10_000
	maxBody   = 16 << 20
)

// readEvents reads the body of a call: one order, a list of them, or one a line. If
// one of them is bad, none counts.
func readEvents(r *http.Request, issuers Issuers, now time.Time) ([]revocation.Event, error) {
	body, fits, err := httpbody.Read(r.Body, maxBody)
	switch {
	case err != nil:
		return nil, bad("body", "it broke off")
	case !fits:
		return nil, bad("body", "longer than %d MiB: write fewer orders", maxBody>>20) //nolint:mnd // bits of a mebibyte
	}
	texts, err := split(bytes.TrimSpace(body))
	if err != nil {
		return nil, err
	}
	events := make([]revocation.Event, len(texts))
	for i, text := range texts {
		order, err := readOrder(text)
		if err == nil {
			events[i], err = order.event(issuers, now)
		}
		if err != nil && len(texts) > 1 {
			err = fmt.Errorf("order %d of %d: %w", i+1, len(texts), err)
		}
		if err != nil {
			return nil, err
		}
	}
	return events, nil
}

// split parts a body into the texts of its orders.
func split(body []byte) ([]json.RawMessage, error) {
	decoder := json.NewDecoder(bytes.NewReader(body))
	listed := bytes.HasPrefix(body, []byte("["))
	if listed {
		_, _ = decoder.Token()
	}
	var texts []json.RawMessage
	for !listed || decoder.More() {
		var text json.RawMessage
		err := decoder.Decode(&text)
		if errors.Is(err, io.EOF) && !listed {
			break
		}
		if err != nil {
			return nil, bad("body", "not JSON: write one order, a list of them, or one a line")
		}
		if texts = append(texts, text); len(texts) > maxOrders {
			return nil, bad("body", "more than %d orders: write them in several calls", maxOrders)
		}
	}
	if listed && !closes(decoder) {
		return nil, bad("body", "the list does not end, or something stands behind it")
	}
	if len(texts) == 0 {
		return nil, bad("body", "there is no order in it")
	}
	return texts, nil
}

// closes tells whether a list ends here, and the body with it.
func closes(decoder *json.Decoder) bool {
	if _, err := decoder.Token(); err != nil {
		return false
	}
	_, err := decoder.Token()
	return errors.Is(err, io.EOF)
}
