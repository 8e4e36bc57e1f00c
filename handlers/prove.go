package handlers

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-gatehouse/gatehouse/proof"
	"github.com/caddy-gatehouse/gatehouse/token"
)

const (
	// dpopHeader carries a caller's proofs, in Go's spelling of DPoP.
	dpopHeader = "Dpop"
	// nonceHeader offers a nonce, in Go's spelling of DPoP-Nonce.
	nonceHeader = "Dpop-Nonce"
	// chainHeader is the other field of RFC 9440. It says nothing about who holds a
	// key, and is not read here.
	chainHeader = "Client-Cert-Chain"
)

// present takes the proofs off the request and says how the token comes, nil if nothing
// shows that.
// Like the token itself they are nobody's business behind this line, not even
// where the token is forwarded: a proof is good at the gateway's URL for its
// window.
func (h *TokenAuth) present(r *http.Request) *proof.Presentation {
	proofs := takeHeader(r.Header, dpopHeader)
	if proofs == nil && h.ClientCertificate == "" && (r.TLS == nil || len(r.TLS.PeerCertificates) == 0) {
		return nil
	}
	shown := &proof.Presentation{Proofs: proofs}
	shown.Certificate, shown.NoCertificate = h.certificate(r)
	return shown
}

// errNotTrusted is for the operator of a proxy whose header is not believed.
var errNotTrusted = errors.New("the header of client_certificate came from none of trusted_proxies")

// certificate is the client's, in DER, nil if there is none; why says what became
// of a header that might have held it. Behind a proxy that forwards it the
// connection's own is the proxy's, and nobody's.
func (h *TokenAuth) certificate(r *http.Request) (der []byte, why error) {
	if h.ClientCertificate != "" && fromTrustedProxy(r) {
		return h.forwarded(r)
	}
	if h.ClientCertificate != "" {
		// Whoever else sends it has made it up, and an upstream might believe it
		// (RFC 9440, section 4).
		if len(takeHeader(r.Header, http.CanonicalHeaderKey(h.ClientCertificate))) > 0 {
			why = errNotTrusted
		}
		takeHeader(r.Header, chainHeader)
	}
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return nil, why
	}
	return r.TLS.PeerCertificates[0].Raw, nil
}

// forwarded is a trusted proxy's certificate header. Another spelling beside it is
// the client's own invention.
func (h *TokenAuth) forwarded(r *http.Request) ([]byte, error) {
	name := http.CanonicalHeaderKey(h.ClientCertificate)
	field := r.Header[name]
	takeHeader(r.Header, name)
	if len(field) > 0 {
		r.Header[name] = field
	}
	return proof.ParseClientCert(field)
}

// takeHeader removes a header under every spelling and returns the values of all.
func takeHeader(headers http.Header, name string) []string {
	values, there := headers[name]
	if there {
		delete(headers, name)
	}
	if !token.HasAliases(name) {
		return values // there is no other
	}
	for spelling := range headers {
		if token.SameHeader(spelling, name) {
			values = append(slices.Clip(values), headers[spelling]...)
			delete(headers, spelling)
		}
	}
	return values
}

// prove checks that the token is the presenter's own.
func (h *TokenAuth) prove(ctx context.Context, w http.ResponseWriter, r *http.Request, who *caller, shown *proof.Presentation) error {
	if shown == nil {
		shown = new(proof.Presentation)
	}
	shown.DPoP = who.found.DPoP
	if shown.DPoP {
		shown.Method, shown.URLs = h.target(r)
	}
	result, err := h.sender.Check(ctx, who.found.Raw.Digest(), who.token.Confirmation, *shown)
	if err != nil {
		return err
	}
	if result.NextNonce != "" {
		w.Header()[nonceHeader] = []string{result.NextNonce}
		who.private.nonce = true
	}
	who.shown = result.Kinds
	return nil
}

// target is what a proof must be for: the method, and the URLs that the client may
// have called. They are those of the request as it came, since directives in front
// may have rewritten both; scheme and host those that the operator says, if any.
func (h *TokenAuth) target(r *http.Request) (method string, urls []string) {
	method, path := r.Method, r.URL.EscapedPath()
	if original, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request); ok && original.URL != nil {
		method, path = original.Method, original.URL.EscapedPath()
	}
	if len(h.PublicURL) == 0 {
		if origin := ownOrigin(r); isOrigin(origin) {
			return method, []string{origin + path}
		}
		return method, nil
	}
	urls = make([]string, len(h.PublicURL))
	for i, prefix := range h.PublicURL {
		urls[i] = strings.TrimSuffix(prefix, "/") + path
	}
	return method, urls
}

// fromTrustedProxy tells whether the request came from one of the server's
// trusted_proxies.
func fromTrustedProxy(r *http.Request) bool {
	trusted, _ := caddyhttp.GetVar(r.Context(), caddyhttp.TrustedProxyVarKey).(bool)
	return trusted
}
