package attack_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-gatehouse/gatehouse/store/storetest"
	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

const hangingCaddyfile = `{
	gatehouse {` + harness.MainAndClient + `
		seal canary-seal-of-more-than-32-octets
		revocation {
			max_staleness 3s closed
		}
		store redis $REDIS
	}
}
$SITE {
	token_events {
		backchannel_logout main
	}
	token_auth
	token_limit {http.auth.user.subject} 1000 1h
	respond in
}
`

// A hanging is a gateway whose Redis can be made to take calls and answer none.
type hanging struct {
	*harness.Gateway

	t     *testing.T
	idp   *harness.AuthServer
	redis *storetest.Redis
}

func newHanging(t *testing.T, before func(*storetest.Redis)) *hanging {
	t.Helper()
	h := &hanging{t: t, idp: harness.NewAuthServer(t), redis: storetest.StartRedis(t, storetest.RedisOptions{})}
	before(h.redis)
	h.Gateway = harness.Start(t, hangingCaddyfile, "$IDP", h.idp.URL, "$REDIS", h.redis.URL())
	return h
}

// soon fails the test if what is done takes much longer than a call to Redis may, which
// is 200ms: a gateway that waits for the answer itself never ends.
func (h *hanging) soon(what string, do func()) {
	h.t.Helper()
	began := time.Now()
	do()
	if took := time.Since(began); took > 5*time.Second {
		h.t.Errorf("%s took %v", what, took)
	}
}

func (h *hanging) proved(holder *harness.Holder) harness.Answer {
	token := h.idp.Token(map[string]any{"cnf": holder.Binding()})
	return h.Do(holder.Prove(h.Request(http.MethodGet, "/", ""), h.URL+"/", token, ""))
}

func (h *hanging) revoke(subject string) int {
	h.t.Helper()
	order := `{"kind": "subject", "issuer": "main", "value": "` + subject + `"}`
	answer, err := http.Post(h.Admin+"/gatehouse/revocations", "application/json", strings.NewReader(order))
	if err != nil {
		h.t.Fatal(err)
	}
	_ = answer.Body.Close()
	return answer.StatusCode
}

// A store that takes calls and never answers holds nobody up, and lets nobody in: what
// needs its word is 503 after its timeout, however many ask, and what does not goes on
// until max_staleness.
func TestAttack35StoreThatHangs(t *testing.T) {
	h := newHanging(t, func(*storetest.Redis) {})
	held, holder := h.idp.Token(map[string]any{"sid": "laptop"}), harness.NewHolder(t)
	h.Await("/", held, http.StatusOK)
	h.proved(holder).Expect(t, http.StatusOK)
	logout := h.idp.LogoutToken(map[string]any{"sid": "laptop"})

	h.redis.Freeze()
	h.soon("a request that needs no store", func() { h.Get("/", held).Expect(t, http.StatusOK) })
	h.soon("proofs of 50 callers", func() {
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() {
				if answer := h.proved(holder).Expect(t, http.StatusServiceUnavailable); answer.Header.Get("Retry-After") == "" {
					t.Error("the 503 has no Retry-After")
				}
			})
		}
		all.Wait()
	})
	h.soon("a logout", func() { h.Logout(logout).Expect(t, http.StatusServiceUnavailable) })
	h.soon("an order to revoke", func() {
		if status := h.revoke("mallory"); status != http.StatusServiceUnavailable {
			t.Errorf("status %d to an order to revoke", status)
		}
	})
	h.Await("/", held, http.StatusServiceUnavailable)
	h.soon("a request past max_staleness", func() { h.Get("/", held).Expect(t, http.StatusServiceUnavailable) })

	h.redis.Thaw()
	h.Await("/", h.idp.Token(nil), http.StatusOK)
	harness.Eventually(t, "proofs are taken again", func() bool { return h.proved(holder).Status == http.StatusOK })
	harness.Eventually(t, "the logout is taken when it is sent again", func() bool { return h.Logout(logout).Status == http.StatusOK })
	h.Get("/", held).Expect(t, http.StatusUnauthorized)
}

// The same at the start: the gateway serves, and lets nobody in before it has read the
// list.
func TestAttack35StoreThatHangsAtTheStart(t *testing.T) {
	h := newHanging(t, (*storetest.Redis).Freeze)
	token := h.idp.Token(nil)
	for range 5 {
		h.soon("a request before the list was read", func() { h.Get("/", token).Expect(t, http.StatusServiceUnavailable) })
	}
	h.redis.Thaw()
	h.Await("/", token, http.StatusOK)
}
