package exchange

import (
	"context"
	"net/url"
	"strings"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/authserver"
	"github.com/caddy-gatehouse/gatehouse/proof"
	"github.com/caddy-gatehouse/gatehouse/token"
)

// A paper is a certificate of which nobody needs more than the thumbprint.
type paper struct{ thumbprint string }

func (p *paper) Thumbprint() string { return p.thumbprint }

// A showingClient says of each answer that it came by a certificate.
type showingClient struct {
	Requester
	shows *paper
}

func (c showingClient) Token(ctx context.Context, form url.Values) (*authserver.TokenResponse, error) {
	answer, err := c.Requester.Token(ctx, form)
	if err == nil {
		answer.Shown = c.shows.thumbprint
	}
	return answer, err
}

// certified makes a rig whose tokens are to be bound to one certificate, and whose
// client shows another one if it is given.
func certified(t *testing.T, bound, shown *paper) rig {
	t.Helper()
	return newRig(t, func(c *Config) {
		c.Client, c.Bind.Certificate = showingClient{c.Client, shown}, bound
	})
}

// RFC 8705, section 3: a JWT shows what it is bound to. What is opaque does not, but
// it is of no use from a server that never looked at a certificate.
func TestCertificateBoundOrNothing(t *testing.T) {
	cnf := func(members map[string]any) map[string]any {
		return map[string]any{"access_token": jwt(map[string]any{"cnf": members})}
	}
	mine, none := &paper{"mine"}, &paper{}
	for name, test := range map[string]struct {
		shown   *paper
		changes map[string]any
		want    Outcome
	}{
		"bound":                 {mine, cnf(map[string]any{"x5t#S256": "mine"}), OutcomeOK},
		"bound to another":      {mine, cnf(map[string]any{"x5t#S256": "other"}), OutcomeBadAnswer},
		"bound to a key":        {mine, cnf(map[string]any{"jkt": "mine"}), OutcomeBadAnswer},
		"not a text":            {mine, cnf(map[string]any{"x5t#S256": []any{"mine"}}), OutcomeBadAnswer},
		"not bound":             {mine, map[string]any{"access_token": jwt(map[string]any{"sub": "s"})}, OutcomeBadAnswer},
		"opaque":                {mine, nil, OutcomeOK},
		"opaque, never shown":   {none, nil, OutcomeBadAnswer},
		"bound, but not shown":  {none, cnf(map[string]any{"x5t#S256": "mine"}), OutcomeBadAnswer},
		"bound to nobody's":     {none, cnf(map[string]any{"x5t#S256": ""}), OutcomeBadAnswer},
		"by DPoP's type":        {mine, map[string]any{"token_type": "DPoP"}, OutcomeBadAnswer},
		"shown is a newer one":  {&paper{"next"}, cnf(map[string]any{"x5t#S256": "next"}), OutcomeOK},
		"bound to the last one": {&paper{"next"}, cnf(map[string]any{"x5t#S256": "mine"}), OutcomeBadAnswer},
	} {
		t.Run(name, func(t *testing.T) {
			if got := certified(t, mine, test.shown).accepts(t, test.changes); got != test.want {
				t.Errorf("%s, want %s", got, test.want)
			}
		})
	}
}

// A token of the old certificate is not handed out for the new one.
func TestCertificateIsPartOfTheKey(t *testing.T) {
	shown := &paper{"one"}
	r := certified(t, shown, shown)
	caller := r.caller("t", "orders:read")
	for _, step := range []struct {
		thumbprint string
		calls      int
	}{{"one", 1}, {"one", 1}, {"two", 2}, {"two", 2}, {"one", 2}} {
		shown.thumbprint = step.thumbprint
		if _, err := r.Exchange(t.Context(), caller); err != nil || r.sts.calls() != step.calls {
			t.Errorf("%s: %d calls, %v", step.thumbprint, r.sts.calls(), err)
		}
	}
}

// A verifiedAs says of every token that it is bound so.
type verifiedAs struct{ bound token.Confirmation }

func (v verifiedAs) Verify(_ context.Context, raw token.Raw) (*token.Token, *token.Issuer, error) {
	return &token.Token{Issuer: "https://other.example", Confirmation: v.bound, Digest: raw.Digest()}, nil, nil
}

// What is verified must be bound to the gateway's own, whichever way.
func TestVerifiedTokensAreBound(t *testing.T) {
	prover := proof.NewProver()
	mine, err := prover.Thumbprint()
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		bound token.Confirmation
		want  Outcome
	}{
		"mine":      {token.Confirmation{Key: mine}, OutcomeOK},
		"another's": {token.Confirmation{Key: token.Thumbprint{1}}, OutcomeBadAnswer},
		"nothing":   {token.Confirmation{}, OutcomeBadAnswer},
	} {
		r := newRig(t, func(c *Config) {
			c.Scheme, c.Bind.Prover, c.Accept.Verifier = "DPoP", prover, verifiedAs{test.bound}
		})
		if got := r.accepts(t, map[string]any{"token_type": "DPoP"}); got != test.want {
			t.Errorf("%s: %s", name, got)
		}
	}
	zeros := strings.Repeat("A", 43) //nolint:mnd // 32 octets in base64url
	for shown, want := range map[string]Outcome{"AQ" + zeros[2:]: OutcomeOK, zeros: OutcomeBadAnswer} {
		certificate := &paper{shown}
		r := newRig(t, func(c *Config) {
			c.Client, c.Bind.Certificate = showingClient{c.Client, certificate}, certificate
			c.Accept.Verifier = verifiedAs{token.Confirmation{Certificate: token.Thumbprint{1}}}
		})
		if got := r.accepts(t, nil); got != want {
			t.Errorf("%s: %s", shown, got)
		}
	}
}
