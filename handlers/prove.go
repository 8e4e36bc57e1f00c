package handlers

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-gatehouse/gatehouse/config"
	"github.com/caddy-gatehouse/gatehouse/proof"
	"github.com/caddy-gatehouse/gatehouse/token"
)

// dpopHeader carries a caller's proofs, in Go's spelling of DPoP.
const dpopHeader = "Dpop"

// presented takes the proofs off the request and returns how the token comes.
// Like the token itself they are nobody's business behind this line: a proof is
// good at the gateway's URL for its window.
func (h *TokenAuth) presented(r *http.Request) proof.Presentation {
	shown := proof.Presentation{Method: r.Method, Proofs: takeHeader(r.Header, dpopHeader)}
	shown.Certificate = h.certificate(r)
	return shown
}

// certificate is the client's, in DER, nil if there is none. Behind a proxy that
// forwards it the connection's own is the proxy's, and nobody's.
func (h *TokenAuth) certificate(r *http.Request) []byte {
	if name := http.CanonicalHeaderKey(h.ClientCertificate); name != "" {
		if fromTrustedProxy(r) {
			forwarded, err := proof.ParseClientCert(r.Header[name])
			if err != nil {
				return nil
			}
			return forwarded
		}
		// Whoever else sends it has made it up, and an upstream might believe it.
		takeHeader(r.Header, name)
	}
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return nil
	}
	return r.TLS.PeerCertificates[0].Raw
}

// takeHeader removes a header under every spelling and returns the values of all.
func takeHeader(headers http.Header, name string) []string {
	values := headers[name]
	delete(headers, name)
	for spelling := range headers {
		if token.SameHeader(spelling, name) {
			values = append(slices.Clip(values), headers[spelling]...)
			delete(headers, spelling)
		}
	}
	return values
}

// prove checks that the token is the presenter's own.
func (h *TokenAuth) prove(ctx context.Context, w http.ResponseWriter, r *http.Request, who *caller, shown proof.Presentation) error {
	shown.DPoP = who.proved
	if who.proved {
		shown.URLs = h.urls(r)
	}
	result, err := h.sender.Check(ctx, who.raw.Digest(), who.token.Confirmation, shown)
	if err != nil {
		return err
	}
	if result.NextNonce != "" {
		w.Header().Set("DPoP-Nonce", result.NextNonce)
	}
	if result.DPoP {
		who.shown = append(who.shown, config.BoundDPoP)
	}
	if result.MTLS {
		who.shown = append(who.shown, config.BoundMTLS)
	}
	return nil
}

// urls are the URLs that the client may have called: those that the operator
// says, else the one of the request as it came.
func (h *TokenAuth) urls(r *http.Request) []string {
	asCame := r
	if original, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request); ok && original.URL != nil {
		asCame = &original
	}
	path := asCame.URL.EscapedPath()
	if len(h.PublicURL) > 0 {
		urls := make([]string, len(h.PublicURL))
		for i, prefix := range h.PublicURL {
			urls[i] = strings.TrimSuffix(prefix, "/") + path
		}
		return urls
	}
	return []string{ownOrigin(r) + path}
}

// fromTrustedProxy tells whether the request came from one of the server's
// trusted_proxies.
func fromTrustedProxy(r *http.Request) bool {
	trusted, _ := caddyhttp.GetVar(r.Context(), caddyhttp.TrustedProxyVarKey).(bool)
	return trusted
}
