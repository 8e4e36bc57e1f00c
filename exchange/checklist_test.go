package exchange

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-gatehouse/gatehouse/authserver"
	"github.com/caddy-gatehouse/gatehouse/proof"
)

// The checklist of what a client of an authorization server must do, one test a
// row. The fake server itself refuses an unauthenticated request, an empty or
// repeated field and a field of another grant (rows C2 and C7).

// accepts tells how one exchange ends when the server answers with these changes.
func (r rig) accepts(t *testing.T, change map[string]any) Outcome {
	t.Helper()
	r.sts.answers(r.sts.issue(change))
	issued, err := r.Exchange(t.Context(), r.caller(fmt.Sprint(r.sts.calls()), "orders:read"))
	return OutcomeOf(issued, err)
}

// RFC 8693, sections 2.1 and 6: a form, by POST, over TLS.
func TestExchangeC1FormOverTLS(t *testing.T) {
	_, err := authserver.NewClient(authserver.ClientOptions{
		ID: "gateway", Auth: authserver.Basic(authserver.NewSecret("s")), TokenEndpoint: "http://idp.example/token",
	})
	if err == nil {
		t.Error("a plain http endpoint is taken")
	}
	r := newRig(t, nil)
	r.sts.answers(func(w http.ResponseWriter, request *http.Request) {
		if request.TLS == nil || request.Method != http.MethodPost || request.Header.Get("Content-Type") != "application/x-www-form-urlencoded" {
			t.Errorf("%s with %s", request.Method, request.Header.Get("Content-Type"))
		}
		r.sts.issue(nil)(w, request)
	})
	if _, err := r.Exchange(t.Context(), r.caller("t", "orders:read")); err != nil {
		t.Error(err)
	}
}

func (r rig) formOf(t *testing.T) url.Values {
	t.Helper()
	if got := r.accepts(t, nil); got != OutcomeOK {
		t.Fatal(got)
	}
	return r.sts.lastForm()
}

// RFC 8693, section 2.1: the required fields, never empty.
func TestExchangeC2RequiredFields(t *testing.T) {
	form := newRig(t, nil).formOf(t)
	for _, name := range []string{"grant_type", "subject_token", "subject_token_type"} {
		if form.Get(name) == "" {
			t.Errorf("no %s in %v", name, form)
		}
	}
}

// RFC 8693, section 2.1: resource and audience are two things.
func TestExchangeC4ResourceAndAudienceApart(t *testing.T) {
	form := newRig(t, func(c *Config) { c.Audience, c.Resource = []string{"a"}, []string{"https://b", "urn:c"} }).formOf(t)
	if diff := cmp.Diff([][]string{{"a"}, {"https://b", "urn:c"}}, [][]string{form["audience"], form["resource"]}); diff != "" {
		t.Error(diff)
	}
	for _, bad := range []string{"orders", "https://a#b", "/x", "a b"} {
		if _, err := New(Config{Leg: Leg{Client: &slowServer{}, Resource: []string{bad}}, State: newState(t, 1)}); err == nil {
			t.Errorf("resource %q is taken", bad)
		}
	}
}

// RFC 8693, section 2.1.1: rights are scopes times targets; only what is written is
// asked for.
func TestExchangeC5FewTargets(t *testing.T) {
	form := newRig(t, func(c *Config) { c.Audience = nil }).formOf(t)
	if form.Has("audience") || form.Has("resource") {
		t.Errorf("asked for %v", form)
	}
}

// RFC 8693, section 2.1: no requested_token_type unless it is written.
func TestExchangeC6RequestedTypeOmitted(t *testing.T) {
	if form := newRig(t, nil).formOf(t); form.Has("requested_token_type") {
		t.Errorf("asked for %v", form)
	}
}

// RFC 6749, section 2.3: one proof of the client, and no second one in the form.
func TestExchangeC8OneProof(t *testing.T) {
	if form := newRig(t, nil).formOf(t); form.Has("client_secret") || form.Has("client_id") || form.Has("client_assertion") {
		t.Errorf("besides the header it sent %v", form)
	}
	for _, name := range []string{"client_id", "client_secret", "client_assertion", "client_assertion_type"} {
		for grant := range grantTypes {
			if !ReservedParam(grant, name) {
				t.Errorf("param %s may be written with grant %s", name, grant)
			}
		}
	}
}

// RFC 8693, section 2.2.1: what must be in an answer.
func TestExchangeC11RequiredMembers(t *testing.T) {
	for _, name := range []string{"access_token", "issued_token_type", "token_type"} {
		if got := newRig(t, nil).accepts(t, map[string]any{name: nil}); got != OutcomeBadAnswer {
			t.Errorf("without %s: %s", name, got)
		}
	}
	for grant, change := range map[Grant]map[string]any{GrantJWTBearer: {"issued_token_type": nil}, GrantClientCredentials: {"issued_token_type": nil}} {
		r := newRig(t, func(c *Config) { c.Grant = grant })
		r.sts.grant = grantTypes[grant]
		if got := r.accepts(t, change); got != OutcomeOK {
			t.Errorf("%s issues no issued_token_type: %s", grant, got)
		}
	}
	if got := newRig(t, nil).accepts(t, map[string]any{"scope": "orders:read admin"}); got != OutcomeBadAnswer {
		t.Errorf("wider scope: %s", got)
	}
	wider := newRig(t, func(c *Config) { c.Accept.WiderScope = true })
	if got := wider.accepts(t, map[string]any{"scope": "orders:read admin"}); got != OutcomeOK {
		t.Errorf("wider scope that is accepted: %s", got)
	}
}

// RFC 6749, sections 5.1 and 7.1: token_type in any case, and no unknown one.
func TestExchangeC12TokenType(t *testing.T) {
	for kind, want := range map[string]Outcome{
		"Bearer": OutcomeOK, "bearer": OutcomeOK, "BEARER": OutcomeOK, "mac": OutcomeBadAnswer, "N_A": OutcomeBadAnswer,
	} {
		if got := newRig(t, nil).accepts(t, map[string]any{"token_type": kind}); got != want {
			t.Errorf("%s: %s", kind, got)
		}
	}
	own := newRig(t, func(c *Config) { c.Accept.TokenTypes = []string{"n_a"} })
	if got := own.accepts(t, map[string]any{"token_type": "N_A"}); got != OutcomeOK {
		t.Errorf("a type that is accepted: %s", got)
	}
	if got := own.accepts(t, nil); got != OutcomeBadAnswer {
		t.Errorf("Bearer where it is not accepted: %s", got)
	}
}

// RFC 9449, section 5: a token that needs a proof is not used without one.
func TestExchangeC13DPoPIsNotBearer(t *testing.T) {
	if got := newRig(t, nil).accepts(t, map[string]any{"token_type": "DPoP"}); got != OutcomeBadAnswer {
		t.Error(got)
	}
}

// RFC 9449, section 5: a token that was to be bound and is not is dropped, and so is
// one that is bound to another key. A DPoP token is taken where a proof was sent.
func TestExchangeC13BoundOrNothing(t *testing.T) {
	prover := proof.NewProver()
	bound := func(c *Config) { c.Scheme, c.Bind.Prover = "DPoP", prover }
	for kind, want := range map[string]Outcome{
		"DPoP": OutcomeOK, "dpop": OutcomeOK, "Bearer": OutcomeBadAnswer, "N_A": OutcomeBadAnswer,
	} {
		if got := newRig(t, bound).accepts(t, map[string]any{"token_type": kind}); got != want {
			t.Errorf("%s: %s", kind, got)
		}
	}
	mine, err := prover.Thumbprint()
	if err != nil {
		t.Fatal(err)
	}
	for jkt, want := range map[[32]byte]Outcome{mine: OutcomeOK, {}: OutcomeBadAnswer} {
		encode := base64.RawURLEncoding.EncodeToString
		text := encode([]byte(`{"alg":"ES256"}`)) + "." + encode(fmt.Appendf(nil, `{"cnf":{"jkt":%q}}`, encode(jkt[:]))) + ".AA"
		if got := newRig(t, bound).accepts(t, map[string]any{"token_type": "DPoP", "access_token": text}); got != want {
			t.Errorf("jkt %x: %s", jkt, got)
		}
	}
}

// RFC 9449, section 8: a server that wants a nonce is asked once more with it, and a
// proof is never sent twice. One that wants another each time is left.
func TestExchangeC14NonceOnce(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Scheme, c.Bind.Prover = "DPoP", proof.NewProver() })
	proofs := make(map[string]bool)
	willing := true
	r.sts.answers(func(w http.ResponseWriter, request *http.Request) {
		sent := request.Header.Get("DPoP")
		if proofs[sent] || sent == "" {
			t.Error("no proof, or the same again")
		}
		proofs[sent] = true
		claims, _ := readIdentity(sent)
		if !willing || claims["nonce"] != "nonce-1" {
			w.Header().Set("DPoP-Nonce", fmt.Sprintf("nonce-%d", len(proofs)))
			refuse(http.StatusBadRequest, "use_dpop_nonce")(w, request)
			return
		}
		r.sts.issue(map[string]any{"token_type": "DPoP"})(w, request)
	})
	if _, err := r.Exchange(t.Context(), r.caller("t", "orders:read")); err != nil || r.sts.calls() != 2 {
		t.Fatalf("after %d calls: %v", r.sts.calls(), err)
	}
	willing = false
	if _, err := r.Exchange(t.Context(), r.caller("u", "orders:read")); OutcomeOf(nil, err) != OutcomeConfig || r.sts.calls() != 4 {
		t.Errorf("after %d calls: %v", r.sts.calls(), err)
	}
}

// RFC 6749, section 5.1: unknown members mean nothing; the body has an end.
func TestExchangeC17UnknownMembersAndBound(t *testing.T) {
	if got := newRig(t, nil).accepts(t, map[string]any{"x": map[string]any{"y": 1}, "refresh_token": "r"}); got != OutcomeOK {
		t.Error(got)
	}
	if got := newRig(t, nil).accepts(t, map[string]any{"x": strings.Repeat("x", 64<<10)}); got != OutcomeBadAnswer {
		t.Errorf("over 64 KiB: %s", got)
	}
}

// A redirect would send secret and token to another host.
func TestExchangeC18NoRedirects(t *testing.T) {
	elsewhere := newSTS(t)
	for _, status := range []int{301, 302, 303, 307, 308} {
		r := newRig(t, nil)
		r.sts.answers(http.RedirectHandler(elsewhere.server.URL, status).ServeHTTP)
		if _, err := r.Exchange(t.Context(), r.caller("t", "orders:read")); OutcomeOf(nil, err) != OutcomeBadAnswer {
			t.Errorf("%d: %v", status, err)
		}
	}
	if n := elsewhere.calls(); n != 0 {
		t.Errorf("%d redirects were followed", n)
	}
}

// RFC 8693, section 2.1: the end of the caller's token does not reach the issued
// one, so it is not used past it.
func TestExchangeC19NeverPastTheCaller(t *testing.T) {
	r := newRig(t, func(c *Config) { c.MaxTTL = 24 * time.Hour })
	r.sts.answers(r.sts.issue(map[string]any{"expires_in": 86400}))
	caller := r.caller("t", "orders:read")
	if _, err := r.Exchange(t.Context(), caller); err != nil {
		t.Fatal(err)
	}
	r.clock.pass(time.Hour - time.Second)
	if _, err := r.Exchange(t.Context(), caller); err != nil || r.sts.calls() != 2 {
		t.Errorf("just before the end: %v after %d calls", err, r.sts.calls())
	}
	r.clock.pass(time.Second)
	if _, err := r.Exchange(t.Context(), caller); OutcomeOf(nil, err) != OutcomeSubjectRejected || r.sts.calls() != 2 {
		t.Errorf("past the end: %v after %d calls", err, r.sts.calls())
	}
}
