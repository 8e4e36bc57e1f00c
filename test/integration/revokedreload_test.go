package integration_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-gatehouse/gatehouse/store/storetest"
	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

const overReload = `{
	grace_period 1m
	gatehouse {
		$STORE
		issuer main $IDP {
			audience any
		}
		client gateway {
			issuer main
			client_id gateway
			secret canary-client-secret
			timeout 30s
		}
` + harness.Orders + `	}
}
$SITE {
	token_auth main
	handle /events {
		reverse_proxy $UPSTREAM
	}
	handle {
		token_exchange orders
		reverse_proxy $UPSTREAM
	}
}
`

// What began before a reload that changes the store ends with a revocation that comes
// after it: streams, which are counted too, and exchanges under way.
func TestRevocationReachesBehindReload(t *testing.T) {
	t.Parallel()
	redis, folder := storetest.StartRedis(t, storetest.RedisOptions{}), t.TempDir()
	servers := "store redis " + redis.URL() + " {\n\t\t\ttimeout "
	for name, stores := range map[string][3]string{
		"settings": {
			"seal " + oneSeal + "\n" + servers + "900ms\n}", "seal " + oneSeal + "\n" + servers + "950ms\n}", "seal " + oneSeal + "\n" + servers + "980ms\n}",
		},
		"seals": {
			"seal " + oneSeal + "\n" + servers + "900ms\n}", "seal " + oneSeal + "\nseal " + anotherSeal + "\n" + servers + "900ms\n}",
			"seal " + anotherSeal + "\nseal " + oneSeal + "\n" + servers + "900ms\n}",
		},
		"place": {
			"store memory " + filepath.Join(folder, "one"), "store memory " + filepath.Join(folder, "two"), "store memory " + filepath.Join(folder, "three"),
		},
	} {
		t.Run(name, func(t *testing.T) { revokeBehind(t, stores) })
	}
}

func revokeBehind(t *testing.T, stores [3]string) {
	t.Helper()
	idp, upstream := harness.NewAuthServer(t), harness.NewUpstream(t)
	upstream.Respond(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/events" {
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.WriteString(w, "data: one\n\n")
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		}
	})
	at := func(store string) string { return strings.Replace(overReload, "$STORE", store, 1) }
	gateway := harness.Start(t, at(stores[0]), "$IDP", idp.URL, "$UPSTREAM", upstream.Address)
	alice, bob := idp.Token(map[string]any{"sub": "alice"}), idp.Token(map[string]any{"sub": "bob"})
	gateway.Await("/", bob, http.StatusOK)

	var once sync.Once
	begun, release := make(chan struct{}), make(chan struct{})
	idp.Answer(func(form url.Values, w http.ResponseWriter) {
		once.Do(func() { close(begun) })
		<-release
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(idp.Issued(form, nil))
	})
	exchanged := make(chan int)
	go func() { exchanged <- gateway.Get("/", alice).Status }()
	<-begun
	stream := open(t, new(http.Transport), gateway.URL+"/events", alice)
	if _, err := io.ReadFull(stream.Body, make([]byte, len("data: one\n\n"))); err != nil {
		t.Fatal(err)
	}
	for _, store := range stores[1:] {
		if err := gateway.Reload(at(store)); err != nil {
			t.Fatal(err)
		}
	}
	since := revokeCounted(t, gateway, idp, "alice", 1)
	if _, err := io.ReadAll(stream.Body); err == nil {
		t.Error("the stream ended as if the upstream had ended it")
	}
	endedInTime(t, since)
	close(release)
	if status := <-exchanged; status != http.StatusUnauthorized {
		t.Errorf("what was under way: %d", status)
	}
	gateway.Get("/events", alice).Expect(t, http.StatusUnauthorized)
}

// revokeCounted revokes all of a subject's tokens, and expects that so many open
// streams are counted.
func revokeCounted(t *testing.T, gateway *harness.Gateway, idp *harness.AuthServer, subject string, streams float64) time.Time {
	t.Helper()
	at := time.Now()
	status, answer := order(t, gateway, http.MethodPost, "?count", `{"kind": "subject", "issuer": "`+idp.URL+`", "value": "`+subject+`"}`)
	ends, _ := answer["ends"].(map[string]any)
	if status != http.StatusOK || ends["open_streams"] != streams {
		t.Errorf("revoking: %d, %v", status, answer)
	}
	return at
}
