package handlers

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-gatehouse/gatehouse/sts"
)

// writeGrant answers with a token (RFC 6749, section 5.1; RFC 8693, section 2.2.1).
func writeGrant(w http.ResponseWriter, grant *sts.Grant) error {
	if grant.Nonce != "" {
		w.Header().Set("DPoP-Nonce", grant.Nonce)
	}
	return writeJSON(w, http.StatusOK, struct {
		AccessToken string `json:"access_token"`
		IssuedType  string `json:"issued_token_type,omitempty"`
		TokenType   string `json:"token_type"`
		ExpiresIn   int64  `json:"expires_in"`
		Scope       string `json:"scope,omitempty"`
	}{grant.AccessToken.Reveal(), grant.IssuedType, grant.TokenType, grant.ExpiresIn, grant.ScopeText()})
}

// writeIntrospection answers a question about a token.
func writeIntrospection(w http.ResponseWriter, found *sts.Answer) error {
	if found.MediaType == "" {
		keepOut(w)
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	return writeBody(w, http.StatusOK, found.MediaType, found.Body)
}

// writeRevoked answers that a token is no longer good (RFC 7009, section 2.2).
func writeRevoked(w http.ResponseWriter) error {
	keepOut(w)
	w.WriteHeader(http.StatusOK)
	return nil
}

// writeRefusal answers with an error (RFC 6749, section 5.2). Its texts are fixed:
// the cause goes to the audit trail only.
func writeRefusal(w http.ResponseWriter, refused *sts.Error) error {
	header := w.Header()
	switch refused.Status() {
	case http.StatusUnauthorized:
		header.Set("WWW-Authenticate", `Basic realm="gatehouse"`)
	case http.StatusMethodNotAllowed:
		header.Set("Allow", http.MethodPost)
	}
	if refused.Nonce != "" {
		header.Set("DPoP-Nonce", refused.Nonce)
	}
	if wait := refused.RetryAfter(); wait > 0 {
		header.Set("Retry-After", strconv.FormatInt(int64(wait/time.Second), 10))
	}
	return writeJSON(w, refused.Status(), struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}{refused.Code(), refused.Description()})
}

func writeJSON(w http.ResponseWriter, status int, value any) error {
	body, err := json.Marshal(value)
	if err != nil {
		return caddyhttp.Error(http.StatusInternalServerError, publicError("writing an answer"))
	}
	return writeBody(w, status, "application/json", body)
}

func writeBody(w http.ResponseWriter, status int, media string, body []byte) error {
	keepOut(w)
	w.Header().Set("Content-Type", media)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // a client that is gone needs no answer
	return nil
}

// keepOut keeps an answer out of every cache (RFC 6749, section 5.1).
func keepOut(w http.ResponseWriter) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Pragma", "no-cache")
}
