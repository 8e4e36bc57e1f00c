package handlers

import (
	"io"
	"net/http"
	"strings"
	"sync/atomic"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-gatehouse/gatehouse/config"
)

// A privateWriter marks answers as made for one caller. The credential is gone
// from the request that upstreams see, so they cannot say so themselves, and a
// cache that mixes callers would give one the answer of another (RFC 9110,
// section 12.5.5; RFC 9111, section 3.5).
type privateWriter struct {
	caddyhttp.ResponseWriterWrapper

	who     *caller
	stream  atomic.Pointer[stream] // nil until the answer lasts; see lasting
	marks   [2]string              // the values that are set, to need no memory of their own
	marked  bool
	written bool
	nonce   bool // the answer carries a nonce of the gateway's own
}

// A privacy is how the answers of one token_auth are marked.
type privacy struct {
	// vary are the request headers that may carry the credential.
	vary []string
	// cacheControl is for answers that say nothing themselves.
	cacheControl string
}

// privacyOf reads what a token_auth's sources mean for caches. A token in the
// query is part of the URL, by which caches find an answer again: nothing of it
// may be stored.
func privacyOf(directive *config.TokenAuth) *privacy {
	mine := &privacy{cacheControl: "private"}
	for _, from := range directive.From {
		switch from.Source {
		case config.FromCookie:
			mine.vary = append(mine.vary, "Cookie")
		case config.FromQuery:
			mine.cacheControl = "no-store"
		default:
			mine.vary = append(mine.vary, from.Header())
		}
	}
	if len(directive.From) == 0 {
		mine.vary = []string{"Authorization"}
	}
	return mine
}

func (w *privateWriter) mark() {
	if w.marked {
		return
	}
	w.marked = true
	header := w.Header()
	w.who.auth.privacy.mark(header, &w.marks)
	w.ownNonce(header)
}

// ownNonce leaves the gateway's nonce alone on the answer, which was there first.
// Proofs end here, so an upstream's nonce is for the gateway's own (RFC 9449,
// section 9): a caller would put it into its next one, which is then refused.
func (w *privateWriter) ownNonce(header http.Header) {
	switch nonces := header[nonceHeader]; {
	case len(nonces) == 0:
	case w.nonce:
		header[nonceHeader] = nonces[:1:1]
	default:
		delete(header, nonceHeader)
	}
}

// mark marks an answer. space becomes part of the header.
func (p *privacy) mark(header http.Header, space *[2]string) {
	for _, name := range p.vary {
		switch {
		case len(header["Vary"]) == 0:
			space[0] = name
			header["Vary"] = space[0:1:1]
		case !varies(header, name):
			header["Vary"] = append(header["Vary"], name)
		}
	}
	if _, set := header["Cache-Control"]; !set {
		space[1] = p.cacheControl
		header["Cache-Control"] = space[1:2:2]
	}
}

func varies(header http.Header, name string) bool {
	for _, value := range header["Vary"] {
		for field := range strings.SplitSeq(value, ",") {
			if field = strings.TrimSpace(field); field == "*" || strings.EqualFold(field, name) {
				return true
			}
		}
	}
	return false
}

// WriteHeader implements http.ResponseWriter. Informational answers pass as they
// are; the headers of the final one are not known yet.
func (w *privateWriter) WriteHeader(status int) {
	if status >= http.StatusOK || status == http.StatusSwitchingProtocols {
		w.mark()
	}
	w.ResponseWriterWrapper.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (w *privateWriter) Write(data []byte) (int, error) {
	w.mark()
	if w.written {
		w.lasts()
	}
	w.written = true
	if w.over() {
		return 0, errStreamEnded
	}
	return w.ResponseWriterWrapper.Write(data)
}

// ReadFrom implements io.ReaderFrom, which keeps sendfile working.
func (w *privateWriter) ReadFrom(source io.Reader) (int64, error) {
	w.mark()
	w.lasts()
	return w.ResponseWriterWrapper.ReadFrom(source)
}

// FlushError sends what there is, the header among it; http.ResponseController
// looks for it.
func (w *privateWriter) FlushError() error {
	w.mark()
	w.lasts()
	if w.over() {
		return errStreamEnded
	}
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// Interface guards.
var (
	_ http.ResponseWriter = (*privateWriter)(nil)
	_ io.ReaderFrom       = (*privateWriter)(nil)
	_ http.Pusher         = (*privateWriter)(nil)
	_ http.Hijacker       = (*privateWriter)(nil)
)
