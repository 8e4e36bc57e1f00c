package integration_test

import (
	"net/http"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

// A region mints for callers, takes the tokens of all regions at a door, and exchanges
// them at its token service.
const regionCaddyfile = `{
	storage file_system $STORAGE
	gatehouse {
		issuer main $IDP {
			audience any
		}
		issuer own https://gateway.example {
			audience orders
		}
		sign {
			issuer https://gateway.example
			subject plain
			overlap 6s
			rotate 1h
			publish $PUBLISHED
		}
		exchange minted {
			grant local
			audience orders
			scope orders:read
		}
		exchange step {
			grant local
			type txn
			audience orders
			scope orders:read
		}
	}
}
http://$KEYS {
	token_service {
		endpoints jwks token
		client orders {
			auth secret_hash $HASH
			grants token_exchange
			subject_issuer own
			subject_type access_token
			audience stock
			scope orders:read
		}
	}
}
$SITE {
	handle /own {
		token_auth own
		respond "one of ours"
	}
	handle {
		token_auth main
		token_exchange minted
		token_exchange step
		reverse_proxy $UPSTREAM
	}
}
`

type region struct {
	*harness.Gateway

	storage  string
	service  *harness.Gateway // the same gateway, at the address of its token service
	upstream *harness.Upstream
}

func startRegion(t *testing.T, idp *harness.AuthServer, address, published string) region {
	t.Helper()
	r := region{storage: t.TempDir(), upstream: harness.NewUpstream(t)}
	r.Gateway = harness.Start(t, regionCaddyfile, "$IDP", idp.URL, "$UPSTREAM", r.upstream.Address, "$HASH", harness.ServiceHash(),
		"$STORAGE", r.storage, "$KEYS", address, "$PUBLISHED", published)
	service := *r.Gateway
	service.URL = "http://" + address
	r.service = &service
	return r
}

// mint is a token that the region makes for a caller, signed with a key of its own.
func (r region) mint(t *testing.T, caller string) string {
	t.Helper()
	r.Await("/", caller, http.StatusOK)
	token := r.upstream.Last(t).Bearer()
	harness.Minted(t, r.storage, token)
	return token
}

func (r region) exchange(token string) harness.Answer {
	return r.service.Post("/oauth2/token", harness.ExchangeForm("orders", token, "audience", "stock"))
}

// What one region minted is good in the other, at its door and at its token service; a
// region that the list does not name is a stranger with the same issuer.
func TestRegionsTakeEachOthersTokens(t *testing.T) {
	t.Parallel()
	idp := harness.NewAuthServer(t)
	caller := idp.Token(map[string]any{"aud": "any", "scope": "orders:read"})
	a, b, c := harness.FreeAddress(t), harness.FreeAddress(t), harness.FreeAddress(t)
	list := func(address string) string { return "http://" + address + "/oauth2/jwks" }
	both := list(a) + " " + list(b)
	regions := []region{startRegion(t, idp, a, both), startRegion(t, idp, b, both)}
	stranger := startRegion(t, idp, c, list(c))
	for i, from := range regions {
		to := regions[1-i]
		token := from.mint(t, caller)
		to.Await("/own", token, http.StatusOK)
		from.Await("/own", token, http.StatusOK)
		answer := to.exchange(token).Expect(t, http.StatusOK)
		if _, claims := harness.Minted(t, to.storage, answer.AccessToken()); claims["sub"] != "alice" || claims["aud"] != "stock" {
			t.Errorf("region %d made of it %v", 1-i, claims)
		}
		// What is for one request inside a region is no access token in the other one either.
		step := from.upstream.Last(t).Header.Get("Txn-Token")
		harness.Minted(t, from.storage, step)
		to.Get("/own", step).Expect(t, http.StatusUnauthorized)
		to.exchange(step).Expect(t, http.StatusBadRequest)
		stranger.Get("/own", token).Expect(t, http.StatusUnauthorized)
		stranger.exchange(token).Expect(t, http.StatusBadRequest)
	}
	token := stranger.mint(t, caller)
	stranger.Await("/own", token, http.StatusOK)
	for _, by := range regions {
		by.Get("/own", token).Expect(t, http.StatusUnauthorized)
		by.exchange(token).Expect(t, http.StatusBadRequest)
	}
}
