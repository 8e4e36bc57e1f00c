package provider

import (
	"bytes"
	"maps"
	"net/http"
	"net/url"
	"slices"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// formEndpoints take their parameters from a POST body only.
var formEndpoints = []string{endpointToken, endpointIntrospect, endpointRevoke}

// serveProtocol runs one protocol endpoint: it counts the request, lets a fault
// have its way, and hands the rest to op.
func (p *Provider) serveProtocol(w http.ResponseWriter, r *http.Request, path, endpoint string) {
	form, err := readForm(r, endpoint)
	answer := newAnswer()
	finish := p.state.stats.begin(endpoint, form, r)
	if err != nil {
		op.WriteError(answer, r, err, nil)
		answer.decorate(endpoint)
	} else {
		fault := p.state.faults.take(endpoint, form.Get("grant_type"))
		if !fault.before(w, r) {
			finish(fault.statusOr(0))
			return
		}
		p.protocol().ServeHTTP(answer, protocolRequest(r, path, fault))
		answer.decorate(endpoint)
		fault.after(answer)
	}
	finish(answer.status)
	answer.writeTo(w)
}

// readForm checks what op does not: tokens and secrets belong into the body
// alone (RFC 6749, section 2.3.1), and a parameter must not be there twice
// (section 3.2), but for audience and resource (RFC 8693, section 2.1).
func readForm(r *http.Request, endpoint string) (url.Values, error) {
	if !slices.Contains(formEndpoints, endpoint) {
		return url.Values{}, nil
	}
	if r.Method != http.MethodPost {
		return url.Values{}, op.NewStatusError(
			oidc.ErrInvalidRequest().WithDescription("use POST"), http.StatusMethodNotAllowed)
	}
	if err := r.ParseForm(); err != nil {
		return url.Values{}, oidc.ErrInvalidRequest().WithDescription("unreadable form")
	}
	r.Form = r.PostForm // what op reads: without the query
	for name, values := range r.PostForm {
		if len(values) > 1 && name != "audience" && name != "resource" {
			return r.PostForm, oidc.ErrInvalidRequest().WithDescription("parameter sent twice")
		}
	}
	return r.PostForm, nil
}

// protocolRequest is r as op's router knows it, at the root.
func protocolRequest(r *http.Request, path string, fault *Fault) *http.Request {
	ctx := r.Context()
	if fault != nil && fault.Token != nil {
		ctx = withOverride(ctx, fault.Token)
	}
	r = r.Clone(ctx)
	if path == pathMetadata {
		path = pathDiscovery
	}
	r.URL.Path, r.URL.RawPath = path, ""
	return r
}

// answer is a response that has not been sent yet, so that a fault can change it.
type answer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func newAnswer() *answer {
	return &answer{header: make(http.Header), status: http.StatusOK}
}

// Header implements http.ResponseWriter.
func (a *answer) Header() http.Header { return a.header }

// WriteHeader implements http.ResponseWriter.
func (a *answer) WriteHeader(status int) { a.status = status }

// Write implements http.ResponseWriter.
func (a *answer) Write(b []byte) (int, error) { return a.body.Write(b) }

// decorate adds the headers that op leaves out.
func (a *answer) decorate(endpoint string) {
	if slices.Contains(formEndpoints, endpoint) && a.status == http.StatusUnauthorized {
		a.header.Set("WWW-Authenticate", `Basic realm="dev_idp"`) // RFC 6749, section 5.2
	}
	if endpoint == endpointUserinfo && a.status == http.StatusUnauthorized {
		a.header.Set("WWW-Authenticate", `Bearer realm="dev_idp", error="invalid_token"`) // RFC 6750, section 3
	}
	// Tokens must not be stored (RFC 6749, section 5.1). Key set and metadata
	// may: they carry nothing secret and no promise about freshness.
	if endpoint != endpointDiscovery && endpoint != endpointJWKS {
		a.header.Set("Cache-Control", "no-store")
	}
}

func (a *answer) writeTo(w http.ResponseWriter) {
	maps.Copy(w.Header(), a.header)
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body.Bytes()) // the client may be gone; nothing to be done
}
