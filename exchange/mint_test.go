package exchange

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-gatehouse/gatehouse/proof"
	"github.com/caddy-gatehouse/gatehouse/signing"
	"github.com/caddy-gatehouse/gatehouse/token"
)

func TestMintSays(t *testing.T) {
	m := newMint(t, func(c *Config) {
		c.Scope = []string{"orders:write", "orders:read"}
		c.ScopeMap = map[string][]string{"orders:read": {"read"}}
		c.Local.Claims = []CopiedClaim{{"tenant", "tenant"}, {"gone", "nowhere"}, {"app", "client_id"}}
	})
	issued, claims := m.minted(m.caller(alice))
	now := m.clock.Now().Unix()
	for name, number := range map[string]int64{"exp": now + 120, "iat": now - 5} {
		if text, _ := claims[name].(json.Number); text.String() != json.Number(jsonInt(number)).String() {
			t.Errorf("%s is %v, want %d", name, claims[name], number)
		}
		delete(claims, name)
	}
	if txn, _ := claims["txn"].(string); len(txn) != 22 {
		t.Errorf("txn %q", txn)
	}
	delete(claims, "txn")
	want := map[string]any{
		"iss": ownIssuer, "sub": "alice", "aud": "orders", "client_id": ownIssuer, "scope": "read", "jti": issued.ID,
		"act": gateway, "acr": "silver", "tenant": "acme", "app": "app",
	}
	if diff := cmp.Diff(want, claims); diff != "" {
		t.Error(diff)
	}
	if issued.Credential.Reveal() != "Bearer "+issued.Token.Reveal() || !cmp.Equal(issued.Scope, []string{"read"}) {
		t.Errorf("issued %+v", issued)
	}
}

func jsonInt(n int64) string { text, _ := json.Marshal(n); return string(text) }

func TestMintScope(t *testing.T) {
	ceiling := func(c *Config) { c.Scope = []string{"orders:write"} }
	exact := func(c *Config) { c.ScopeExact = []string{"b", "a"} }
	if got := newMint(t, ceiling).outcome(newMint(t, nil).caller(alice)); got != OutcomeInsufficientScope {
		t.Errorf("a caller who holds nothing of it: %s", got)
	}
	for name, test := range map[string]struct {
		change func(*Config)
		want   any
	}{
		"none is written": {nil, nil}, "exact": {exact, "a b"},
	} {
		m := newMint(t, test.change)
		if _, claims := m.minted(m.caller(alice)); claims["scope"] != test.want {
			t.Errorf("%s: scope %v", name, claims["scope"])
		}
	}
}

// A minted token never outlives the caller's, whatever it says of its lifetime.
func TestMintEnds(t *testing.T) {
	m := newMint(t, nil)
	caller := m.caller(alice)
	caller.Token.Expiry = m.clock.Now().Add(9500 * time.Millisecond)
	if issued, _ := m.minted(caller); issued.Expiry.After(caller.Token.Expiry) {
		t.Errorf("it ends at %v, the caller's at %v", issued.Expiry, caller.Token.Expiry)
	}
	for name, life := range map[string]time.Duration{"within the leeway": -time.Second, "now": 0, "within this second": 300 * time.Millisecond} {
		caller := m.caller(`{"sub":"alice","jti":"` + name + `"}`)
		caller.Token.Expiry = m.clock.Now().Add(life)
		if got := m.outcome(caller); got != OutcomeSubjectRejected {
			t.Errorf("%s: %s", name, got)
		}
	}
}

func TestMintActors(t *testing.T) {
	chain := func(n int) string {
		return strings.Repeat(`{"sub":"service","act":`, n) + "null" + strings.Repeat("}", n)
	}
	none := func(c *Config) { c.Local.Impersonate = true }
	for name, test := range map[string]struct {
		change  func(*Config)
		claims  string
		outcome Outcome
		act     any
	}{
		"delegation":               {nil, `{"sub":"a"}`, OutcomeOK, gateway},
		"nested":                   {nil, `{"sub":"a","act":{"sub":"b"}}`, OutcomeOK, map[string]any{"iss": ownIssuer, "sub": ownIssuer, "act": map[string]any{"sub": "b"}}},
		"impersonation":            {none, `{"sub":"a"}`, OutcomeOK, nil},
		"impersonation of a chain": {none, `{"sub":"a","act":{"sub":"b"}}`, OutcomeOK, map[string]any{"sub": "b"}},
		"too long":                 {nil, `{"sub":"a","act":` + chain(4) + `}`, OutcomeChainTooLong, nil},
		"may act":                  {nil, `{"sub":"a","may_act":{"sub":"` + ownIssuer + `"}}`, OutcomeOK, gateway},
		"may not act":              {nil, `{"sub":"a","may_act":{"sub":"other"}}`, OutcomeActorDenied, nil},
		"may not impersonate":      {none, `{"sub":"a","may_act":{"sub":"other"}}`, OutcomeActorDenied, nil},
		"itself":                   {nil, `{"iss":"` + ownIssuer + `","sub":"` + ownIssuer + `"}`, OutcomeActorDenied, nil},
		"its name":                 {nil, `{"sub":"` + ownIssuer + `"}`, OutcomeActorDenied, nil},
		"a client's name":          {nil, `{"sub":"client:orders"}`, OutcomeActorDenied, nil},
		"nobody":                   {nil, `{"client_id":"app"}`, OutcomeNoSubject, nil},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMint(t, test.change)
			if test.outcome != OutcomeOK {
				if got := m.outcome(m.caller(test.claims)); got != test.outcome {
					t.Errorf("%s, want %s", got, test.outcome)
				}
				return
			}
			if _, claims := m.minted(m.caller(test.claims)); !cmp.Equal(claims["act"], test.act) {
				t.Errorf("act %v", claims["act"])
			}
		})
	}
}

// The chain stays whole in act; a copy under another name, which an upstream does not
// know for a chain, has the current actor alone.
func TestMintCopiesNoFormerActor(t *testing.T) {
	m := newMint(t, func(c *Config) {
		c.Local.Impersonate = true
		c.Local.Claims = []CopiedClaim{{Name: "agent", Path: "act"}, {Name: "former", Path: "act.act.sub"}}
	})
	_, claims := m.minted(m.caller(`{"sub":"alice","act":{"sub":"current","act":{"sub":"former"}}}`))
	current := map[string]any{"sub": "current"}
	whole := map[string]any{"sub": "current", "act": map[string]any{"sub": "former"}}
	if !cmp.Equal(claims["act"], any(whole)) || !cmp.Equal(claims["agent"], any(current)) || claims["former"] != nil {
		t.Errorf("minted %v", claims)
	}
}

func TestMintSubjects(t *testing.T) {
	many := func() bool { return true }
	form := func(form SubjectForm) func(*Config) {
		return func(c *Config) {
			c.Local.Subjects = Subjects{Form: form, Key: []byte(strings.Repeat("k", 32)), Many: many}
		}
	}
	id := map[string]any{"format": "iss_sub", "iss": testIssuer, "sub": "42"}
	scoped := newMint(t, form(SubjectIssuerScoped))
	_, one := scoped.minted(scoped.caller(`{"sub":"42"}`))
	_, two := scoped.minted(scoped.caller(`{"iss":"https://other.example","sub":"42"}`))
	if one["sub"] != testIssuer+"#42" || !cmp.Equal(one["sub_id"], id) || two["sub"] == one["sub"] {
		t.Errorf("scoped: %v %v, and %v", one["sub"], one["sub_id"], two["sub"])
	}
	// The gateway's own token names its subject already.
	_, own := scoped.minted(scoped.caller(`{"iss":"` + ownIssuer + `","sub":"x#42","sub_id":{"format":"iss_sub","iss":"x","sub":"42"}}`))
	if own["sub"] != "x#42" || !cmp.Equal(own["sub_id"], map[string]any{"format": "iss_sub", "iss": "x", "sub": "42"}) {
		t.Errorf("a token of its own: %v %v", own["sub"], own["sub_id"])
	}
	plain := newMint(t, form(SubjectPlain))
	if _, claims := plain.minted(plain.caller(`{"sub":"42"}`)); claims["sub"] != "42" || !cmp.Equal(claims["sub_id"], id) {
		t.Errorf("plain: %v %v", claims["sub"], claims["sub_id"])
	}
	pairwise := newMint(t, form(SubjectPairwise))
	elsewhere := newMint(t, func(c *Config) { form(SubjectPairwise)(c); c.Audience = []string{"stock"} })
	_, here := pairwise.minted(pairwise.caller(`{"sub":"42"}`))
	_, again := pairwise.minted(pairwise.caller(`{"sub":"42","jti":"another"}`))
	_, there := elsewhere.minted(elsewhere.caller(`{"sub":"42"}`))
	if here["sub"] != again["sub"] || here["sub"] == there["sub"] || here["sub"] == "42" || here["sub_id"] != nil {
		t.Errorf("pairwise: %v, %v, %v, sub_id %v", here["sub"], again["sub"], there["sub"], here["sub_id"])
	}
}

// Tokens are kept as those of a server are: for the same token asked for in the same
// way, and until the key that signed them is gone.
func TestMintKeeps(t *testing.T) {
	m := newMint(t, nil)
	first, _ := m.minted(m.caller(alice))
	again, _ := m.minted(m.caller(alice))
	if again.ID != first.ID || !again.Cached || m.outcome(m.caller(alice)) != OutcomeHit {
		t.Errorf("the same caller: jti %s and %s", first.ID, again.ID)
	}
	if stats := m.state.Stats(); !m.Remembers() || stats.Hits != 2 || stats.Misses != 1 || stats.Entries != 1 {
		t.Errorf("the memory says of itself: %+v", stats)
	}
	if other, _ := m.minted(m.caller(`{"sub":"alice"}`)); other.ID == first.ID {
		t.Error("another token of the same subject gets the same token")
	}
	renamed := m.caller(alice)
	renamed.Token.Subject = "bob" // the configuration reads the subject elsewhere now
	if other, claims := m.minted(renamed); other.ID == first.ID || claims["sub"] != "bob" {
		t.Errorf("read otherwise: sub %v", claims["sub"])
	}
	if n := m.Evict(func(o Origin) bool { return o.Subject == "alice" }); n != 2 {
		t.Errorf("a logout evicts %d tokens", n)
	}
	evicted, _ := m.minted(m.caller(alice))
	m.keys.signer = testSigner(t, "k2")
	if after, _ := m.minted(m.caller(alice)); evicted.ID == first.ID || after.ID == evicted.ID {
		t.Error("a token outlives an eviction or its key")
	}
	m.clock.pass(115 * time.Second)
	if later, _ := m.minted(m.caller(alice)); !later.Expiry.After(m.clock.Now().Add(time.Minute)) {
		t.Error("a token is handed out that is about to end")
	}
}

func TestMintNotKept(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"off": func(c *Config) { c.State = NewState(0, 0) },
		"txn": func(c *Config) { c.Local.Type, c.ScopeExact = signing.TransactionTokens, []string{"a"} },
	} {
		m := newMint(t, change)
		first, one := m.minted(m.caller(alice))
		again, two := m.minted(m.caller(alice))
		if first.ID == again.ID || again.Cached || one["txn"] == two["txn"] {
			t.Errorf("%s: one token serves two requests", name)
		}
		if m.Remembers() {
			t.Errorf("%s: it says that tokens are kept", name)
		}
	}
}

func TestMintTransaction(t *testing.T) {
	m := newMint(t, func(c *Config) {
		c.Local.Type, c.Scope = signing.TransactionTokens, []string{"orders:read"}
		c.Local.Claims = []CopiedClaim{{"tenant", "tenant"}}
	})
	issued, claims := m.minted(m.caller(`{"sub":"alice","client_id":"app","scope":"orders:read","acr":"silver","tenant":"acme","txn":"t-1","act":{"sub":"b"}}`))
	delete(claims, "iat")
	delete(claims, "exp")
	want := map[string]any{
		"iss": ownIssuer, "sub": "alice", "aud": "orders", "scope": "orders:read", "txn": "t-1", "req_wl": ownIssuer, "jti": issued.ID,
		"tctx": map[string]any{"tenant": "acme"}, "rctx": map[string]any{"iss": testIssuer, "client_id": "app", "acr": "silver"},
		"act": map[string]any{"sub": "b"},
	}
	if diff := cmp.Diff(want, claims); diff != "" {
		t.Error(diff)
	}
	if life := issued.Expiry.Sub(m.clock.Now()); life > time.Minute {
		t.Errorf("it lives %v", life)
	}
}

func TestMintBound(t *testing.T) {
	prover := proof.NewProver()
	shown := &certificate{"AQ" + strings.Repeat("A", 41)}
	m := newMint(t, func(c *Config) {
		c.Bind = Binding{Prover: prover, Certificate: shown}
	})
	first, claims := m.minted(m.caller(alice))
	cnf, _ := claims["cnf"].(map[string]any)
	if cnf["jkt"] == nil || cnf["x5t#S256"] != "AQ"+strings.Repeat("A", 41) {
		t.Errorf("cnf %v", cnf)
	}
	shown.thumb = "Ag" + strings.Repeat("A", 41) // the certificate was replaced
	if second, _ := m.minted(m.caller(alice)); second.ID == first.ID {
		t.Error("a token serves on for a certificate that is gone")
	}
	shown.thumb = "unreadable"
	if got := m.outcome(m.caller(alice)); got != OutcomeFault {
		t.Errorf("without a certificate: %s", got)
	}
}

// A certificate is one that a test replaces.
type certificate struct{ thumb string }

func (c *certificate) Thumbprint() string { return c.thumb }

func TestMintNobody(t *testing.T) {
	if got := newMint(t, nil).outcome(Caller{}); got != OutcomeFault {
		t.Errorf("nobody: %s", got)
	}
	m := newMint(t, func(c *Config) { c.Anonymous, c.ScopeExact = true, []string{"public"} })
	_, claims := m.minted(Caller{})
	if claims["sub"] != ownIssuer || claims["act"] != nil || claims["scope"] != "public" {
		t.Errorf("an anonymous caller: %v", claims)
	}
	if _, claims := m.minted(m.caller(alice)); claims["sub"] != "alice" {
		t.Errorf("a caller with a token: %v", claims["sub"])
	}
	mixed := m.caller(alice)
	mixed.Raw = token.NewRaw("other")
	if got := m.outcome(mixed); got != OutcomeFault {
		t.Errorf("token and claims of two callers: %s", got)
	}
}

func TestMintWithoutKey(t *testing.T) {
	m := newMint(t, nil)
	m.keys.signer = nil
	_, err := m.Exchange(t.Context(), m.caller(alice))
	failure, _ := errors.AsType[*Error](err)
	if failure == nil || failure.Outcome != OutcomeNoKey || failure.Status != 503 || failure.RetryAfter <= 0 {
		t.Errorf("got %v", err)
	}
}

func TestMintReplaces(t *testing.T) {
	m := newMint(t, nil)
	caller := m.caller(alice)
	fresh, _ := m.minted(caller)
	if _, err := m.Replace(t.Context(), caller, fresh); OutcomeOf(nil, err) != OutcomeUpstreamRefused {
		t.Errorf("a token made for this request is made again: %v", err)
	}
	kept, _ := m.minted(caller)
	replaced, err := m.Replace(t.Context(), caller, kept)
	if err != nil || replaced.ID == kept.ID {
		t.Fatalf("%v, %v", replaced, err)
	}
	if next, _ := m.minted(caller); next.ID != replaced.ID {
		t.Error("the refused token is handed out again")
	} else if _, err := m.Replace(t.Context(), caller, next); OutcomeOf(nil, err) != OutcomeUpstreamRefused {
		t.Errorf("the upstream refuses every token, and gets another each time: %v", err)
	}
}

func TestMintRefusesSettings(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"two audiences":   func(c *Config) { c.Audience = []string{"a", "b"} },
		"no audience":     func(c *Config) { c.Audience = nil },
		"a further leg":   func(c *Config) { c.Then = []Leg{{}} },
		"subject issuers": func(c *Config) { c.SubjectIssuers = []string{testIssuer} },
		"no minter":       func(c *Config) { c.Local.Minter = nil },
		"nothing":         func(c *Config) { c.Local = nil },
		"another grant":   func(c *Config) { c.Grant = GrantTokenExchange },
		"long":            func(c *Config) { c.Local.Lifetime = time.Hour },
		"long txn":        func(c *Config) { c.Local.Type, c.Local.Lifetime, c.ScopeExact = "txn", 2*time.Minute, []string{"a"} },
		"txn of nothing":  func(c *Config) { c.Local.Type = "txn" },
		"reserved":        func(c *Config) { c.Local.Claims = []CopiedClaim{{"sub", "email"}} },
		"bad scope":       func(c *Config) { c.Scope = []string{"a b"} },
		"short key":       func(c *Config) { c.Local.Subjects = Subjects{Form: SubjectPairwise, Key: []byte("k")} },
		"form":            func(c *Config) { c.Local.Subjects.Form = "other" },
	} {
		config := Config{
			Leg: Leg{Grant: GrantLocal, Audience: []string{"a"}}, State: NewState(0, 0),
			Local: &Local{Minter: signing.NewMinter(&keyring{}, ownIssuer, nil)},
		}
		change(&config)
		if _, err := New(config); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}
