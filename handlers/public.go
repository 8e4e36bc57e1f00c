package handlers

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// A publicDocument is a JSON document for everybody: it is public by its nature, and
// read by clients in browsers from origins that nobody here knows. No cookie and no
// token goes with such a request.
type publicDocument struct {
	body []byte
	// etag is the validator of the body, with its quotes, "" for none.
	etag string
	// life is how long it may be kept.
	life time.Duration
	// known takes the token off requests that it refuses.
	known *Known
}

// serve answers GET and HEAD, and a browser's question whether it may ask.
func (d publicDocument) serve(w http.ResponseWriter, r *http.Request) error {
	header := w.Header()
	header.Set("Access-Control-Allow-Origin", "*")
	switch {
	case r.Method == http.MethodGet || r.Method == http.MethodHead:
		return d.write(w, r)
	case isPreflight(r):
		// Clients send headers of their own, such as MCP-Protocol-Version.
		header.Set("Access-Control-Allow-Methods", "GET, HEAD")
		header.Set("Access-Control-Allow-Headers", "*")
		header.Set("Access-Control-Max-Age", "300")
		w.WriteHeader(http.StatusNoContent)
		return nil
	default:
		header.Set("Allow", "GET, HEAD")
		d.known.leave(r)
		return answer{status: http.StatusMethodNotAllowed, description: "This address answers GET and HEAD only."}.write(w, r)
	}
}

func (d publicDocument) write(w http.ResponseWriter, r *http.Request) error {
	header := w.Header()
	header.Set("Cache-Control", "public, max-age="+strconv.FormatInt(int64(d.life/time.Second), 10))
	if d.etag != "" {
		header.Set("ETag", d.etag)
	}
	if d.etag != "" && matchesTag(r.Header["If-None-Match"], d.etag) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	header.Set("Content-Type", "application/json")
	header.Set("Content-Length", strconv.Itoa(len(d.body)))
	w.WriteHeader(http.StatusOK)
	if r.Method != http.MethodHead {
		_, _ = w.Write(d.body) // a caller that is gone needs no answer
	}
	return nil
}

// matchesTag reads If-None-Match (RFC 9110, section 13.1.2), which compares weakly.
func matchesTag(values []string, etag string) bool {
	for _, value := range values {
		for tag := range strings.SplitSeq(value, ",") {
			if tag = strings.TrimSpace(tag); tag == "*" || strings.TrimPrefix(tag, "W/") == etag {
				return true
			}
		}
	}
	return false
}

// isPreflight tells a browser's question whether it may send a request (Fetch
// standard, section 4.8) from any other OPTIONS.
func isPreflight(r *http.Request) bool {
	return r.Method == http.MethodOptions &&
		r.Header.Get("Origin") != "" && r.Header.Get("Access-Control-Request-Method") != ""
}
