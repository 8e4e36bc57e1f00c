package exchange

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/authserver"
	"github.com/caddy-gatehouse/gatehouse/token"
)

// A twoLegged is a token endpoint for exchanges of several grants.
type twoLegged struct {
	mu    sync.Mutex
	forms []url.Values
	say   func(form url.Values, w http.ResponseWriter)
}

// newTwoLegged makes an exchange in the gateway's own name, whose second leg is as
// changed, and its server.
func newTwoLegged(t *testing.T, change func(second *Leg)) (*Exchanger, *twoLegged) {
	t.Helper()
	fake := new(twoLegged)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		fake.mu.Lock()
		defer fake.mu.Unlock()
		fake.forms = append(fake.forms, r.PostForm)
		fake.say(r.PostForm, w)
	}))
	t.Cleanup(server.Close)
	client, err := authserver.NewClient(authserver.ClientOptions{
		ID: "gateway", Auth: authserver.Basic(authserver.NewSecret(testSecret)), TokenEndpoint: server.URL + "/token",
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	second := Leg{Client: client}
	change(&second)
	exchanger, err := New(Config{
		Leg: Leg{Grant: GrantClientCredentials, Client: client}, Then: []Leg{second},
		State: newState(t, 10), Anonymous: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	return exchanger, fake
}

func sayToken(w http.ResponseWriter, text string) {
	writeJSON(w, http.StatusOK, map[string]any{
		"access_token": text, "token_type": "Bearer", "issued_token_type": TypeAccessToken, "expires_in": 300,
	})
}

// Nothing of a caller is in any leg of an exchange in the gateway's own name: no
// refusal is about one, and there may be none.
func TestSecondLegRefusesTheGateway(t *testing.T) {
	someone := callerAt(newClock().now, "t", "a")
	for name, caller := range map[string]Caller{"nobody": {}, "somebody": someone} {
		for _, code := range []string{"invalid_request", "invalid_target", "invalid_scope", "invalid_grant", "access_denied", "login_required"} {
			t.Run(name+", "+code, func(t *testing.T) {
				exchanger, fake := newTwoLegged(t, func(second *Leg) {
					second.Grant, second.ScopeExact = GrantJWTBearer, []string{"far:read"}
				})
				fake.say = func(form url.Values, w http.ResponseWriter) {
					if form.Has("assertion") {
						writeJSON(w, http.StatusBadRequest, map[string]any{"error": code})
						return
					}
					sayToken(w, "gateways-own")
				}
				issued, err := exchanger.Exchange(t.Context(), caller)
				wantError(t, issued, err, &Error{Outcome: OutcomeConfig, Status: 502, Code: "exchange_misconfigured", Leg: 2})
			})
		}
	}
}

// The token that says who acts is for the server alone, whatever the exchange asks
// for.
func TestActorsTokenIsNobodyElses(t *testing.T) {
	exchanger, fake := newTwoLegged(t, func(second *Leg) {
		second.Actor, second.ScopeExact = NewSelfActor(), []string{"actor"}
	})
	fake.say = func(form url.Values, w http.ResponseWriter) {
		if form.Has("actor_token") {
			writeJSON(w, http.StatusBadRequest, map[string]any{"error": "invalid_target"})
			return
		}
		sayToken(w, "gateways-own")
	}
	for range 2 {
		if issued, err := exchanger.Exchange(t.Context(), Caller{}); err == nil {
			t.Errorf("the upstream would get %s", issued.Token.Reveal())
		}
	}
}

// may_act and the length of the chain bind every leg, not the first one alone.
func TestDelegationInLaterLegs(t *testing.T) {
	for name, test := range map[string]struct {
		claims string
		want   Outcome
		sent   int // requests with the caller's token
	}{
		"named":           {`{"may_act":{"sub":"gateway"}}`, OutcomeOK, 1},
		"not named":       {`{"may_act":{"sub":"other"}}`, OutcomeActorDenied, 1},
		"three and one":   {`{"act":{"sub":"a","act":{"sub":"b","act":{"sub":"c"}}}}`, OutcomeOK, 1},
		"four and one":    {`{"act":{"sub":"a","act":{"sub":"b","act":{"sub":"c","act":{"sub":"d"}}}}}`, OutcomeChainTooLong, 0},
		"nothing is said": {`{}`, OutcomeOK, 1},
	} {
		t.Run(name, func(t *testing.T) {
			base, fake := newTwoLegged(t, func(*Leg) {})
			fake.say = func(_ url.Values, w http.ResponseWriter) { sayToken(w, fmt.Sprint("issued-", len(fake.forms))) }
			client := base.config.Client
			exchanger, err := New(Config{
				Leg: Leg{Client: client}, Then: []Leg{{Client: client, Actor: NewSelfActor()}},
				State: newState(t, 10), SubjectIssuers: []string{testIssuer}, Now: newClock().Now,
			})
			if err != nil {
				t.Fatal(err)
			}
			caller := callerAt(newClock().now, "t")
			if caller.Token.Claims, err = token.ParseClaims([]byte(test.claims)); err != nil {
				t.Fatal(err)
			}
			_, err = exchanger.Exchange(t.Context(), caller)
			got := OutcomeOK
			if failure, ok := errors.AsType[*Error](err); ok {
				got = failure.Outcome
			}
			sent, acted := 0, 0
			for _, form := range fake.forms {
				if form.Get("subject_token") == "t" {
					sent++
				}
				if form.Has("actor_token") {
					acted++
				}
			}
			if got != test.want || sent != test.sent || (acted > 0) != (test.want == OutcomeOK) {
				t.Errorf("%s, %v; the caller's token was sent %d times, the actor's %d", got, err, sent, acted)
			}
		})
	}
}
