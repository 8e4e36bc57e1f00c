package attack_test

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/internal/tokentest"
	"github.com/caddy-gatehouse/gatehouse/jose"
	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

// mintCaddyfile is a gateway that mints, and trusts what it minted for orders on one
// route: the hop that orders makes to stock.
//
//nolint:dupword // the claim is named as it is in the caller's token
const mintCaddyfile = `{
	debug
	storage file_system $STORAGE
	servers {
		max_header_size 20MB
	}
	gatehouse {
		issuer idp $ISSUER {
			audience https://api.example.com
		}
		issuer other $OTHER {
			audience https://api.example.com
		}
		issuer own $SITE {
			audience orders
			jwks $SITE/oauth2/jwks
		}
		sign {
			issuer $SITE
			subject issuer_scoped
		}
		exchange orders {
			grant local
			audience orders
			scope orders:read orders:write
			claim roles roles
			claim tenant organisation
		}
		exchange stock {
			grant local
			audience stock
			scope orders:read
		}
		exchange transaction {
			grant local
			type txn
			audience orders
			scope orders:read
		}
	}
}
$SITE {
	token_service
	handle /orders/* {
		token_auth idp other
		token_exchange orders
		reverse_proxy $UPSTREAM
	}
	handle /txn/* {
		token_auth idp
		token_exchange transaction
		reverse_proxy $UPSTREAM
	}
	handle /stock/* {
		token_auth own
		token_exchange stock
		reverse_proxy $UPSTREAM
	}
	handle /optional/* {
		token_auth idp {
			optional
		}
		token_exchange orders
		reverse_proxy $UPSTREAM
	}
}
`

// minting is the gateway that these tests share.
var minting struct {
	once  sync.Once
	life  lifetime
	world *mintWorld
}

type mintWorld struct {
	*harness.Gateway

	t          *testing.T
	idp, other *harness.AuthServer
	upstream   *harness.Upstream
	trap       *trap
	storage    string
}

func minted(t *testing.T) *mintWorld {
	t.Helper()
	minting.once.Do(func() {
		life := &minting.life
		w := &mintWorld{
			idp: harness.NewAuthServer(life), other: harness.NewAuthServer(life), upstream: harness.NewUpstream(life),
			trap: newTrap(life, tokentest.NewKey(life, "ES256", "k1")), storage: life.TempDir(),
		}
		w.Gateway = harness.Start(life, mintCaddyfile, "$ISSUER", w.idp.URL, "$OTHER", w.other.URL,
			"$UPSTREAM", w.upstream.Address, "$STORAGE", w.storage)
		w.Await("/orders/", w.idp.Token(nil), http.StatusOK)
		w.Await("/orders/", w.other.Token(nil), http.StatusOK)
		w.Await("/stock/", w.upstream.Last(life).Bearer(), http.StatusOK)
		minting.world = w
	})
	if minting.world == nil {
		t.Fatal("the gateway that mints did not start")
	}
	view := *minting.world
	view.t = t
	return &view
}

// issued is what an upstream gets for a caller's token.
func (w *mintWorld) issued(path, token string) string {
	w.t.Helper()
	w.Get(path, token).Expect(w.t, http.StatusOK)
	got := w.upstream.Last(w.t)
	if own := got.Header.Get("Txn-Token"); own != "" {
		return own
	}
	return got.Bearer()
}

// claims are those of what an upstream gets, which a key of the gateway's signed.
func (w *mintWorld) claims(path, token string) map[string]any {
	w.t.Helper()
	_, claims := harness.Minted(w.t, w.storage, w.issued(path, token))
	return claims
}

// refused sends a token that must get nothing minted.
func (w *mintWorld) refused(path, token string, status ...int) harness.Answer {
	w.t.Helper()
	reached := len(w.upstream.Received())
	answer := w.Get(path, token)
	if len(status) == 0 {
		status = []int{http.StatusUnauthorized}
	}
	if !slices.Contains(status, answer.Status) || len(w.upstream.Received()) != reached {
		w.t.Errorf("%s: status %d, %d requests reached the upstream", path, answer.Status, len(w.upstream.Received())-reached)
	}
	if strings.Contains(answer.Body, "eyJ") {
		w.t.Error("the answer holds a token")
	}
	return answer
}

// forged has the claims that the gateway mints for orders.
func (w *mintWorld) forged(changes map[string]any) map[string]any {
	all := map[string]any{"iss": w.URL, "aud": "orders", "scope": "orders:read"}
	maps.Copy(all, changes)
	return w.idp.Claims(all)
}

func (w *mintWorld) ownKey() *jose.Key {
	w.t.Helper()
	header, _ := harness.Minted(w.t, w.storage, w.issued("/orders/", w.idp.Token(nil)))
	for _, key := range harness.PublicKeys(w.t, w.storage).Keys {
		if key.ID() == header.KeyID {
			return key
		}
	}
	w.t.Fatal("the key is not published")
	return nil
}
