//go:build interop

package keycloak

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/store/storetest"
	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

// Two gateways with one Redis, of which Keycloak tells the first who has logged out.
const hearing = `{
	gatehouse {
		issuer keycloak $ISSUER {
			audience https://api.example.com
		}
		client web {
			issuer keycloak
			client_id web
			secret web-secret
		}
		client gateway {
			issuer keycloak
			client_id gateway
			secret gateway-secret
		}
		exchange orders {
			client gateway
			audience orders
			scope orders:read
		}
		seal interop-canary-seal-of-more-than-32-bytes
		store redis $REDIS {
			timeout 5s
		}
	}
}
$SITE {
	token_events {
		backchannel_logout keycloak
	}
	token_auth
	token_exchange orders
	reverse_proxy $UPSTREAM
}
`

// An ending is a way in which a session ends.
type ending struct {
	// sid says whether logout tokens are to name the session.
	sid bool
	end func(*person, login)
	// others is the answer to another session of the same user.
	others int
}

// Keycloak's own back-channel logout ends a session's access on both nodes, and what was
// got in exchange.
func TestBackchannelLogout(t *testing.T) {
	newPair(t).walk(map[string]ending{
		"the user":         {true, (*person).logout, http.StatusOK},
		"an administrator": {true, (*person).expelEverywhere, http.StatusUnauthorized},
	})
}

// Other ways to end a session; and without sid a logout is of all sessions.
func TestBackchannelLogoutOtherwise(t *testing.T) {
	p := newPair(t)
	p.walk(map[string]ending{
		"the client":           {true, (*person).drop, http.StatusOK},
		"one session":          {true, (*person).expel, http.StatusOK},
		"the user without sid": {false, (*person).logout, http.StatusUnauthorized},
	})
	// Who logs in again is welcome: the former tokens end by their date, which is in
	// whole seconds.
	harness.Eventually(t, "alice is let in again", func() bool {
		return p.nodes[1].Get("/", p.r.newPerson("alice").login("orders:read", nil).access).Status == http.StatusOK
	})
}

// A pair are two gateways with one Redis and one realm.
type pair struct {
	t        *testing.T
	r        *realm
	redis    *storetest.Redis
	upstream *harness.Upstream
	nodes    []*harness.Gateway
}

func newPair(t *testing.T) *pair {
	t.Helper()
	p := &pair{t: t, r: newRealm(t), redis: storetest.StartRedis(t, storetest.RedisOptions{}), upstream: harness.NewUpstream(t)}
	for range 2 {
		p.nodes = append(p.nodes, p.r.gateway(hearing, p.upstream, "$REDIS", p.redis.URL()))
	}
	token := p.r.newPerson("carol").login("orders:read", nil).access
	for _, each := range p.nodes {
		each.Await("/", token, http.StatusOK)
	}
	return p
}

// within is the pair for a part of the test.
func (p *pair) within(t *testing.T) *pair {
	part, r := *p, *p.r
	part.t, r.t = t, t
	part.r = &r
	return &part
}

func (p *pair) walk(endings map[string]ending) {
	for name, each := range endings {
		p.t.Run(name, func(t *testing.T) { p.within(t).ends(each) })
	}
}

// ends lets one of three sessions end, and looks at what is left of each.
func (p *pair) ends(how ending) {
	p.t.Helper()
	p.register(how.sid)
	alice, phone, carol := p.r.newPerson("alice"), p.r.newPerson("alice"), p.r.newPerson("carol")
	ended, other, spared := alice.login("orders:read", nil), phone.login("orders:read", nil), carol.login("orders:read", nil)
	own, others, spares := p.use(ended), p.use(other), p.use(spared)
	p.wantIssued(ended, 1)
	how.end(alice, ended)

	p.everywhere(ended, http.StatusUnauthorized)
	p.wantIssued(ended, 0)
	p.everywhere(other, how.others)
	p.everywhere(spared, http.StatusOK)
	harness.Eventually(p.t, "Redis has forgotten the exchanged tokens", func() bool {
		kept := p.exchanged()
		return !kept[own] && kept[others] == (how.others == http.StatusOK) && kept[spares]
	})
	p.wantRevoked()
}

// register tells Keycloak where to send logout tokens: to the first node alone.
func (p *pair) register(sid bool) {
	p.t.Helper()
	p.r.change("web", func(c map[string]any) {
		attributes := c["attributes"].(map[string]any)
		attributes["backchannel.logout.url"] = p.nodes[0].URL + "/backchannel-logout"
		attributes["backchannel.logout.session.required"] = strconv.FormatBool(sid)
	})
}

// everywhere expects an answer of both nodes to a login's token. To learn of a revocation
// takes the other one a moment.
func (p *pair) everywhere(of login, status int) {
	p.t.Helper()
	for _, each := range p.nodes {
		if status == http.StatusUnauthorized {
			each.Await("/", of.access, status)
			continue
		}
		each.Get("/", of.access).Expect(p.t, status)
		if got := p.upstream.Last(p.t); got.Bearer() == "" || got.Holds(of.access) {
			p.t.Errorf("the upstream got %v", got.Header)
		}
	}
}

// wantIssued expects that each node holds so many exchanged tokens of a session.
func (p *pair) wantIssued(of login, count float64) {
	p.t.Helper()
	order, err := json.Marshal(map[string]any{"kind": "session", "issuer": "keycloak", "value": of.session})
	if err != nil {
		p.t.Fatal(err)
	}
	for number, each := range p.nodes {
		answer := do(p.t, client, newRequest(p.t, http.MethodPost, each.Admin+"/gatehouse/revocations?dry_run", "application/json", order)).Expect(p.t, http.StatusOK)
		ends, _ := members(p.t, answer)["ends"].(map[string]any)
		if ends["issued_tokens"] != count {
			p.t.Errorf("node %d would end %v, want %v issued tokens", number+1, ends, count)
		}
	}
}

// exchanged are the names under which exchanged tokens lie in Redis.
func (p *pair) exchanged() map[string]bool {
	names := make(map[string]bool)
	for name := range strings.FieldsSeq(p.redis.CLI("keys", "gatehouse:v:exchanged:*")) {
		names[name] = true
	}
	return names
}

// use calls both nodes with a login's token, and returns the name under which what they
// got in exchange lies in Redis.
func (p *pair) use(of login) (name string) {
	p.t.Helper()
	before := p.exchanged()
	p.everywhere(of, http.StatusOK)
	harness.Eventually(p.t, "the exchanged token is in Redis", func() bool {
		for each := range p.exchanged() {
			if !before[each] {
				name = each
			}
		}
		return name != ""
	})
	return name
}

// wantRevoked expects that both nodes refused tokens, and for no other reason than that
// they were revoked.
func (p *pair) wantRevoked() {
	p.t.Helper()
	for number, each := range p.nodes {
		rules := make(map[any]int)
		for _, line := range each.Audit() {
			if line["msg"] == "denied" && line["directive"] == "token_auth" && line["rule"] != "no_keys" {
				rules[line["rule"]]++
			}
		}
		if len(rules) != 1 || rules["revoked"] == 0 {
			p.t.Errorf("node %d refused by %v", number+1, rules)
		}
	}
}

// logout ends the session as OpenID Connect RP-Initiated Logout has it: the browser goes
// to the end_session_endpoint.
func (p *person) logout(of login) {
	p.r.t.Helper()
	address := p.r.issuer + "/protocol/openid-connect/logout?" + url.Values{"id_token_hint": {of.id}}.Encode()
	do(p.r.t, p.browser, newRequest(p.r.t, http.MethodGet, address, "", nil)).Expect(p.r.t, http.StatusOK)
}

// drop ends the session by its refresh token, without the browser.
func (p *person) drop(of login) {
	p.r.t.Helper()
	p.r.post("logout", "web", url.Values{"refresh_token": {of.refresh}}).Expect(p.r.t, http.StatusNoContent)
}

// expel ends one session by the admin API.
func (p *person) expel(of login) {
	p.r.t.Helper()
	p.r.administer(http.MethodDelete, keycloak.url+"/admin/realms/"+p.r.name+"/sessions/"+of.session, nil, http.StatusNoContent)
}

// expelEverywhere ends all sessions of the user by the admin API.
func (p *person) expelEverywhere(of login) {
	p.r.t.Helper()
	subject := harness.Claims(p.r.t, of.access)["sub"].(string)
	p.r.administer(http.MethodPost, keycloak.url+"/admin/realms/"+p.r.name+"/users/"+subject+"/logout", nil, http.StatusNoContent)
}
