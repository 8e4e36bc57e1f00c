package signal_test

import (
	"context"
	"maps"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/caddy-gatehouse/gatehouse/internal/tokentest"
	"github.com/caddy-gatehouse/gatehouse/jose"
	"github.com/caddy-gatehouse/gatehouse/keys"
	"github.com/caddy-gatehouse/gatehouse/revocation"
	"github.com/caddy-gatehouse/gatehouse/revocation/signal"
	"github.com/caddy-gatehouse/gatehouse/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	// idp logs out, and pushes signals. other does so too, in its own name.
	idp      = "https://idp.example.com/123456789/"
	other    = "https://other.example.com/"
	clientID = "s6BhdRkqt3"
	stream   = "https://sp.example.com/caep"
)

// A rig is a receiver with everything that it needs, all of it real.
type rig struct {
	t           testing.TB
	key, theirs *tokentest.Key // of idp and of other
	store       *store.Memory
	state       *revocation.State
	settings    signal.Config
	receiver    *signal.Receiver
}

func newRig(tb testing.TB, change func(*rig)) *rig {
	tb.Helper()
	r := &rig{t: tb, key: tokentest.NewKey(tb, "ES256", "k1"), theirs: tokentest.NewKey(tb, "ES256", "k1"), store: store.NewMemory(0)}
	r.state = revocation.NewState(r.store)
	r.settings = signal.Config{
		Providers:    []*signal.Source{r.source(idp, r.key, clientID), r.source(other, r.theirs, clientID)},
		Transmitters: []*signal.Source{r.source(idp, r.key, stream), r.source(other, r.theirs, stream)},
		Revoker:      r.state, Marks: r.store,
	}
	if change != nil {
		change(r)
	}
	var err error
	if r.receiver, err = signal.NewReceiver(r.settings); err != nil {
		tb.Fatal(err)
	}
	return r
}

func (r *rig) source(issuer string, key *tokentest.Key, audience string) *signal.Source {
	set, err := jose.ParseKeySet(tokentest.Set(key))
	if err != nil {
		r.t.Fatal(err)
	}
	return &signal.Source{
		URL: issuer, Keys: keys.NewStatic(issuer, keys.NewState(), set), Algorithms: jose.Asymmetric(),
		Audience: []string{audience}, Leeway: 30 * time.Second,
	}
}

// with changes claims; a nil value leaves one out.
func with(claims, changes map[string]any) map[string]any {
	all := maps.Clone(claims)
	maps.Copy(all, changes)
	maps.DeleteFunc(all, func(_ string, value any) bool { return value == nil })
	return all
}

// logoutClaims are those of a good logout token: the example of OpenID Connect
// Back-Channel Logout 1.0, section 2.4, made now.
func logoutClaims(changes map[string]any) map[string]any {
	return with(map[string]any{
		"iss": idp, "sub": "248289761001", "aud": clientID, "jti": "bWJq", "sid": "08a5019c-17e1-4977-8f42-65a12843ea02",
		"iat": time.Now().Unix(), "exp": time.Now().Add(2 * time.Minute).Unix(),
		"events": map[string]any{signal.EventLogout: map[string]any{}},
	}, changes)
}

func (r *rig) logoutToken(changes map[string]any) string {
	return r.key.Sign(map[string]any{"typ": "logout+jwt"}, logoutClaims(changes))
}

func (r *rig) set(claims map[string]any) string {
	return r.key.Sign(map[string]any{"typ": "secevent+jwt"}, claims)
}

// revokes tells whether the list has something about a token.
func (r *rig) revokes(facts revocation.Facts) bool {
	return r.state.List().Find(&facts, time.Now()) != nil
}

func (r *rig) logout(text string) (signal.Receipt, signal.Outcome) {
	receipt, refused := r.receiver.Logout(context.Background(), text)
	return receipt, outcome(receipt, refused)
}

func (r *rig) push(text string) (signal.Receipt, signal.Outcome) {
	receipt, refused := r.receiver.SET(context.Background(), text)
	return receipt, outcome(receipt, refused)
}

func outcome(receipt signal.Receipt, refused *signal.Refusal) signal.Outcome {
	if refused != nil {
		return refused.Outcome
	}
	return receipt.Outcome
}
