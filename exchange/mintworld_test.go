package exchange

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"strings"
	"testing"
	"time"

	"github.com/caddy-gatehouse/gatehouse/jose"
	"github.com/caddy-gatehouse/gatehouse/signing"
	"github.com/caddy-gatehouse/gatehouse/token"
)

const ownIssuer = "https://gateway.example"

// A mint is an exchanger that mints, with a key and a clock of the test's.
type mint struct {
	*Exchanger

	tb     testing.TB
	clock  *clock
	signer *jose.Signer
	keys   *keyring
}

// A keyring is keys that a test takes away.
type keyring struct{ signer *jose.Signer }

func (k *keyring) Signer(signing.Purpose) (*jose.Signer, error) {
	if k.signer == nil {
		return nil, signing.ErrNoKey
	}
	return k.signer, nil
}

func (k *keyring) Holds(kid string) bool { return k.signer != nil && k.signer.KeyID() == kid }

func testSigner(tb testing.TB, kid string) *jose.Signer {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	signer, err := jose.NewSigner(key, jose.ES256, kid)
	if err != nil {
		tb.Fatal(err)
	}
	return signer
}

func newMint(tb testing.TB, change func(*Config)) *mint {
	tb.Helper()
	m := &mint{tb: tb, clock: newClock(), signer: testSigner(tb, "k1")}
	m.keys = &keyring{m.signer}
	state := NewState(100, 1<<20)
	tb.Cleanup(state.Close)
	config := Config{
		Leg:   Leg{Grant: GrantLocal, Audience: []string{"orders"}},
		Local: &Local{Minter: signing.NewMinter(m.keys, ownIssuer, m.clock.Now)},
		State: state, Scheme: "Bearer", Now: m.clock.Now,
	}
	if change != nil {
		change(&config)
	}
	var err error
	if m.Exchanger, err = New(config); err != nil {
		tb.Fatal(err)
	}
	return m
}

// caller has a token with these claims, which ends in an hour.
func (m *mint) caller(claims string) Caller {
	m.tb.Helper()
	parsed, err := token.ParseClaims([]byte(claims))
	if err != nil {
		m.tb.Fatal(err)
	}
	raw := token.NewRaw(claims)
	held := &token.Token{Issuer: testIssuer, Claims: parsed, Expiry: m.clock.Now().Add(time.Hour), Digest: raw.Digest()}
	if issuer, ok := parsed.Text("iss"); ok {
		held.Issuer = issuer
	}
	held.Subject, _ = parsed.Text("sub")
	held.Client, _ = parsed.Text("client_id")
	held.ACR, _ = parsed.Text("acr")
	scope, _ := parsed.Text("scope")
	held.Scopes = strings.Fields(scope)
	return Caller{Raw: raw, Token: held}
}

// minted are the claims of what a caller gets, which the key verifies.
func (m *mint) minted(caller Caller) (*Issued, map[string]any) {
	m.tb.Helper()
	issued, err := m.Exchange(m.tb.Context(), caller)
	if err != nil {
		m.tb.Fatal(err)
	}
	jws, err := jose.ParseJWS(issued.Token.Reveal())
	if err != nil {
		m.tb.Fatal(err)
	}
	if err := jws.VerifyWith(m.keys.signer.Public(), jose.ES256); err != nil {
		m.tb.Fatal(err)
	}
	claims, err := jose.ParseObject(jws.Payload)
	if err != nil {
		m.tb.Fatal(err)
	}
	return issued, claims
}

func (m *mint) outcome(caller Caller) Outcome {
	m.tb.Helper()
	issued, err := m.Exchange(m.tb.Context(), caller)
	if issued != nil && err != nil {
		m.tb.Error("an error came with a token")
	}
	return OutcomeOf(issued, err)
}

var gateway = map[string]any{"iss": ownIssuer, "sub": ownIssuer}

const alice = `{"sub":"alice","client_id":"app","scope":"orders:read orders:delete","acr":"silver","tenant":"acme","email":"a@b.example"}`
