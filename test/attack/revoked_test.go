package attack_test

import (
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/internal/tokentest"
	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

// A gateway that asks its server about opaque tokens, and for others in exchange.
const slowlyCaddyfile = `{
	gatehouse {` + harness.AskedOrders + `	}
}
$SITE {
	token_auth main
	handle /orders/* {
		token_exchange orders
		reverse_proxy $UPSTREAM
	}
	handle {
		reverse_proxy $UPSTREAM
	}
}
`

// A slowly is a gateway of slowlyCaddyfile whose server can be made to hang.
type slowly struct {
	*harness.Gateway

	t        *testing.T
	idp      *harness.AuthServer
	opaque   *harness.Introspection
	upstream *harness.Upstream

	begun, release chan struct{}
}

func newSlowly(t *testing.T) *slowly {
	t.Helper()
	a := &slowly{
		t: t, idp: harness.NewAuthServer(t), upstream: harness.NewUpstream(t),
		begun: make(chan struct{}), release: make(chan struct{}),
	}
	a.opaque = a.idp.Introspects(t)
	a.Gateway = harness.Start(t, slowlyCaddyfile, "$IDP", a.idp.URL, "$UPSTREAM", a.upstream.Address)
	a.Await("/", a.idp.Token(nil), http.StatusOK)
	return a
}

func writeJSON(w http.ResponseWriter, members map[string]any) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(tokentest.JSON(members))
}

// hang keeps the next answer until release is closed.
func (a *slowly) hang() func() {
	var once sync.Once
	return func() {
		once.Do(func() {
			close(a.begun)
			<-a.release
		})
	}
}

// revoking sends a request, revokes a subject while it is under way, and returns
// the answer.
func (a *slowly) revoking(path, token, subject string) harness.Answer {
	a.t.Helper()
	answer := make(chan harness.Answer, 1)
	go func() { answer <- a.Get(path, token) }()
	<-a.begun
	order := `{"kind": "subject", "issuer": "` + a.idp.URL + `", "value": "` + subject + `"}`
	said, err := http.Post(a.Admin+"/gatehouse/revocations", "application/json", strings.NewReader(order))
	if err != nil {
		a.t.Fatal(err)
	}
	_ = said.Body.Close()
	if said.StatusCode != http.StatusOK {
		a.t.Fatalf("revoking: status %d", said.StatusCode)
	}
	close(a.release)
	return <-answer
}

// What an issuer says of a token that is revoked while it is asked lets nobody in.
func TestAttack46RevokedWhileIntrospecting(t *testing.T) {
	a := newSlowly(t)
	claims := a.idp.Claims(map[string]any{"active": true, "sub": "alice"})
	hang := a.hang()
	a.opaque.Answer(func(w http.ResponseWriter, _ *http.Request) {
		hang()
		writeJSON(w, claims)
	})
	reached := len(a.upstream.Received())
	a.revoking("/", "opaque-of-alice", "alice").Expect(t, http.StatusUnauthorized)
	a.Get("/", "opaque-of-alice").Expect(t, http.StatusUnauthorized)
	if now := len(a.upstream.Received()); now != reached {
		t.Errorf("%d requests went through", now-reached)
	}
}

// An answer that is older than an event is not stored, whomever the event is about.
func TestAttack46LateIntrospectionIsNotStored(t *testing.T) {
	a := newSlowly(t)
	claims := a.idp.Claims(map[string]any{"active": true, "sub": "alice"})
	hang := a.hang()
	a.opaque.Answer(func(w http.ResponseWriter, _ *http.Request) {
		hang()
		writeJSON(w, claims)
	})
	a.revoking("/", "opaque-of-alice", "bob").Expect(t, http.StatusOK)
	asked := len(a.opaque.Asked())
	a.Get("/", "opaque-of-alice").Expect(t, http.StatusOK)
	if now := len(a.opaque.Asked()); now != asked+1 {
		t.Error("the answer of before the event was stored")
	}
	a.Get("/", "opaque-of-alice").Expect(t, http.StatusOK)
	if now := len(a.opaque.Asked()); now != asked+1 {
		t.Error("the answer of after the event was not")
	}
}

// A request whose token is revoked while another is asked for in exchange goes no
// further.
func TestAttack46RevokedWhileExchanging(t *testing.T) {
	a := newSlowly(t)
	hang := a.hang()
	a.idp.Answer(func(form url.Values, w http.ResponseWriter) {
		hang()
		writeJSON(w, a.idp.Issued(form, nil))
	})
	reached := len(a.upstream.Received())
	answer := a.revoking("/orders/", a.idp.Token(map[string]any{"sub": "alice"}), "alice").Expect(t, http.StatusUnauthorized)
	if !strings.Contains(answer.Header.Get("WWW-Authenticate"), `error="invalid_token"`) {
		t.Errorf("the challenge is %q", answer.Header.Get("WWW-Authenticate"))
	}
	if now := len(a.upstream.Received()); now != reached {
		t.Error("the request went through")
	}
}

// A token that was asked for before an event is not stored.
func TestAttack46LateExchangeIsNotStored(t *testing.T) {
	a := newSlowly(t)
	hang := a.hang()
	a.idp.Answer(func(form url.Values, w http.ResponseWriter) {
		hang()
		writeJSON(w, a.idp.Issued(form, nil))
	})
	token := a.idp.Token(map[string]any{"sub": "alice"})
	a.revoking("/orders/", token, "bob").Expect(t, http.StatusOK)
	for _, want := range []int{2, 2} {
		a.Get("/orders/", token).Expect(t, http.StatusOK)
		if calls := len(a.idp.Forms()); calls != want {
			t.Errorf("%d exchanges, want %d", calls, want)
		}
	}
}
