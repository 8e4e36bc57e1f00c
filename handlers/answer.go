package handlers

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// An answer is a refusal as the caller gets it. Its texts are fixed: the cause
// goes to the audit trail only.
type answer struct {
	status      int
	code        string // OAuth error code (RFC 6750, section 3.1), "" for none
	description string // fixed text
	challenge   string // WWW-Authenticate, "" for none
	beside      string // another one, for the scheme DPoP (RFC 9449, section 7.2)
	nonce       string // DPoP-Nonce, "" for none
	retryAfter  time.Duration
}

// write sends the answer. Where the server has error routes it becomes an error,
// so that handle_errors runs and {http.error.message} shows the fixed text;
// elsewhere it is written here, because Caddy's own answer to an error has no
// body. The headers are set in both cases.
func (a answer) write(w http.ResponseWriter, r *http.Request) error {
	header := w.Header()
	header.Set("Cache-Control", "no-store")
	if a.challenge != "" {
		header.Set("WWW-Authenticate", a.challenge)
	}
	if a.beside != "" {
		header.Add("WWW-Authenticate", a.beside)
	}
	if a.nonce != "" {
		header[nonceHeader] = []string{a.nonce}
	}
	if a.retryAfter > 0 {
		seconds := int64((a.retryAfter + time.Second - 1) / time.Second)
		header.Set("Retry-After", strconv.FormatInt(seconds, 10))
	}
	if hasErrorRoutes(r) {
		// Never wrapped: Caddy looks for the bare type.
		return caddyhttp.Error(a.status, publicError(a.description))
	}
	markOwn(w)
	if isGRPC(r) {
		return a.writeGRPC(w)
	}
	return a.writeProblem(w, r)
}

// A publicError is a sentence for callers: {http.error.message} shows it.
type publicError string

// Error returns the sentence.
func (e publicError) Error() string { return string(e) }

func hasErrorRoutes(r *http.Request) bool {
	server, ok := r.Context().Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	return ok && server.Errors != nil && len(server.Errors.Routes) > 0
}

// problem is the body of a refusal (RFC 9457) with the members that OAuth
// clients read (RFC 6749, section 5.2).
type problem struct {
	Type        string `json:"type"`
	Title       string `json:"title"`
	Status      int    `json:"status"`
	Detail      string `json:"detail,omitempty"`
	Error       string `json:"error,omitempty"`
	Description string `json:"error_description,omitempty"`
	RequestID   string `json:"request_id,omitempty"`
}

func (a answer) writeProblem(w http.ResponseWriter, r *http.Request) error {
	body := problem{
		Type: "about:blank", Title: http.StatusText(a.status), Status: a.status,
		Detail: a.description, Error: a.code, RequestID: requestID(r),
	}
	if a.code != "" {
		body.Description = a.description
	}
	text, err := json.Marshal(body)
	if err != nil {
		return caddyhttp.Error(http.StatusInternalServerError, publicError("writing an answer"))
	}
	// Without Content-Length, which the server finds by itself: intercept in front
	// may put another body in the place of this one, and keeps the header.
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(a.status)
	_, _ = w.Write(text) // a caller that is gone needs no answer
	return nil
}

// requestID is Caddy's id of the request, by which a caller's report finds its
// line in the audit trail and the access log.
func requestID(r *http.Request) string {
	repl, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	if !ok {
		return ""
	}
	id, _ := repl.GetString("http.request.uuid")
	return id
}
