package authserver

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-gatehouse/gatehouse/internal/httpx"
	"github.com/caddy-gatehouse/gatehouse/internal/tokentest"
)

func newTestServer(t *testing.T, options ServerOptions) *Server {
	t.Helper()
	server, err := NewServer(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	return server
}

// A place answers with a document or a status, and counts.
type place struct {
	hits   atomic.Int32
	status int
	body   func(origin string) string
	header http.Header
}

// publish serves places by path and returns the origin.
func publish(t *testing.T, places map[string]*place) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		found := places[r.URL.Path]
		if found == nil {
			http.NotFound(w, r)
			return
		}
		found.hits.Add(1)
		maps.Copy(w.Header(), found.header)
		if found.status != 0 {
			w.WriteHeader(found.status)
			return
		}
		_, _ = w.Write([]byte(found.body("http://" + r.Host)))
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func metadataOf(path string) *place {
	return &place{body: func(origin string) string {
		return `{"issuer":"` + origin + path + `","jwks_uri":"` + origin + `/jwks","token_endpoint":"` + origin + `/token"}`
	}}
}

func keySetOf(keys ...*tokentest.Key) *place {
	return &place{body: func(string) string { return string(tokentest.Set(keys...)) }}
}

const (
	openIDPlace = "/realm/.well-known/openid-configuration"
	oauthPlace  = "/.well-known/oauth-authorization-server/realm"
)

func TestDiscovery(t *testing.T) {
	foreign := metadataOf("/other")
	tests := map[string]struct {
		places map[string]*place
		asked  []int32 // OpenID's place, RFC 8414's place
		want   error
	}{
		"OpenID":                       {map[string]*place{openIDPlace: metadataOf("/realm")}, []int32{1, 0}, nil},
		"RFC 8414":                     {map[string]*place{oauthPlace: metadataOf("/realm")}, []int32{0, 1}, nil},
		"both":                         {map[string]*place{openIDPlace: metadataOf("/realm"), oauthPlace: metadataOf("/realm")}, []int32{1, 0}, nil},
		"another issuer, then this":    {map[string]*place{openIDPlace: foreign, oauthPlace: metadataOf("/realm")}, []int32{1, 1}, nil},
		"another issuer":               {map[string]*place{openIDPlace: metadataOf("/other")}, []int32{1, 0}, ErrMetadata},
		"neither":                      {map[string]*place{}, []int32{0, 0}, ErrMetadata},
		"a server in trouble":          {map[string]*place{openIDPlace: {status: 503}, oauthPlace: metadataOf("/realm")}, []int32{1, 0}, httpx.ErrUnreachable},
		"a redirect to somewhere else": {map[string]*place{openIDPlace: {status: 302, header: http.Header{"Location": {"/x"}}}}, []int32{1, 0}, ErrMetadata},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			origin := publish(t, test.places)
			server := newTestServer(t, ServerOptions{Issuer: origin + "/realm"})
			metadata, err := server.Metadata(t.Context())
			if !errors.Is(err, test.want) {
				t.Errorf("error %v, want %v", err, test.want)
			}
			want := &Metadata{Issuer: origin + "/realm", JWKSURI: origin + "/jwks", TokenEndpoint: origin + "/token"}
			if test.want != nil {
				want = nil
			}
			if diff := cmp.Diff(want, metadata); diff != "" {
				t.Errorf("metadata (-want +got):\n%s", diff)
			}
			for i, path := range []string{openIDPlace, oauthPlace} {
				if found := test.places[path]; found != nil && found.hits.Load() != test.asked[i] {
					t.Errorf("%s was asked %d times, want %d", path, found.hits.Load(), test.asked[i])
				}
			}
		})
	}
}

func TestMetadataIsFetchedOnceForEveryone(t *testing.T) {
	openID := metadataOf("/realm")
	release := make(chan struct{})
	original := openID.body
	openID.body = func(origin string) string {
		<-release
		return original(origin)
	}
	origin := publish(t, map[string]*place{openIDPlace: openID})
	server := newTestServer(t, ServerOptions{Issuer: origin + "/realm"})

	// The one who began the fetch leaves; the others get it all the same.
	first, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	all.Go(func() {
		if _, err := server.Metadata(first); !errors.Is(err, context.Canceled) {
			t.Errorf("the first, who left: %v", err)
		}
	})
	for openID.hits.Load() == 0 {
		<-time.After(time.Millisecond)
	}
	for range 10 {
		all.Go(func() {
			if _, err := server.Metadata(t.Context()); err != nil {
				t.Errorf("one who waited: %v", err)
			}
		})
	}
	cancel()
	close(release)
	all.Wait()
	if _, err := server.Metadata(t.Context()); err != nil || openID.hits.Load() != 1 {
		t.Errorf("%d fetches, error %v; want 1", openID.hits.Load(), err)
	}
	server.replicas[0].forget()
	if _, err := server.TokenEndpoint(t.Context()); err != nil || openID.hits.Load() != 2 {
		t.Errorf("after Forget %d fetches, error %v; want 2", openID.hits.Load(), err)
	}
}

func TestKeySet(t *testing.T) {
	key := tokentest.NewKey(t, "ES256", "k1")
	lasting := keySetOf(key)
	lasting.header = http.Header{"Cache-Control": {"public, Max-Age=\"600\", must-revalidate"}}
	tests := map[string]struct {
		keys *place
		life time.Duration
		want string
	}{
		"good":                  {keySetOf(key), 0, ""},
		"with a life":           {lasting, 10 * time.Minute, ""},
		"an error":              {&place{status: 500}, 0, "answered 500"},
		"a redirect":            {&place{status: 302, header: http.Header{"Location": {"/elsewhere"}}}, 0, "answered 302"},
		"no key set":            {&place{body: func(string) string { return "{}" }}, 0, "parsing key set"},
		"an empty key set":      {&place{body: func(string) string { return `{"keys":[]}` }}, 0, "parsing key set"},
		"more than may be read": {&place{body: func(string) string { return strings.Repeat(" ", 256<<10+1) }}, 0, "too large"},
	}
	for name, test := range tests {
		for _, configured := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				openID := metadataOf("/realm")
				origin := publish(t, map[string]*place{openIDPlace: openID, "/jwks": test.keys})
				options := ServerOptions{Issuer: origin + "/realm"}
				if configured {
					options.JWKS = origin + "/jwks"
				}
				server := newTestServer(t, options)
				set, life, err := server.KeySet(t.Context())
				if test.want != "" {
					if err == nil || !strings.Contains(err.Error(), test.want) || len(set.Keys) != 0 {
						t.Errorf("%d keys, error %v, want one about %q", len(set.Keys), err, test.want)
					}
				} else if err != nil || len(set.Keys) != 1 || life != test.life {
					t.Errorf("%d keys for %s, error %v", len(set.Keys), life, err)
				}
				_, _, _ = server.KeySet(t.Context())
				// A set that could not be read may have moved: then it is looked for
				// anew. A place that the operator named is not looked for at all.
				want := int32(1)
				switch {
				case configured:
					want = 0
				case test.want != "":
					want = 2
				}
				if n := openID.hits.Load(); n != want {
					t.Errorf("%d discoveries, want %d", n, want)
				}
			})
		}
	}
}

func TestEndpointsThatAreNotThere(t *testing.T) {
	origin := publish(t, map[string]*place{openIDPlace: {body: func(origin string) string { return `{"issuer":"` + origin + `/realm"}` }}})
	server := newTestServer(t, ServerOptions{Issuer: origin + "/realm"})
	if _, err := server.TokenEndpoint(t.Context()); !errors.Is(err, ErrNoEndpoint) || !strings.Contains(err.Error(), "token_endpoint") {
		t.Errorf("the token endpoint: %v", err)
	}
	if _, _, err := server.KeySet(t.Context()); !errors.Is(err, ErrNoEndpoint) || !strings.Contains(err.Error(), "jwks_uri") {
		t.Errorf("the key set: %v", err)
	}
}

func TestLifetime(t *testing.T) {
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	at := func(d time.Duration) string { return now.Add(d).Format(http.TimeFormat) }
	tests := map[string]struct {
		header http.Header
		want   time.Duration
	}{
		"nothing":                 {http.Header{}, 0},
		"max-age":                 {http.Header{"Cache-Control": {"public, max-age=60"}}, time.Minute},
		"quoted, in capitals":     {http.Header{"Cache-Control": {`MAX-AGE="120"`}}, 2 * time.Minute},
		"in a second line":        {http.Header{"Cache-Control": {"public", "max-age=60"}}, time.Minute},
		"twice":                   {http.Header{"Cache-Control": {"max-age=60, max-age=600"}}, time.Minute},
		"out of a cache":          {http.Header{"Cache-Control": {"max-age=600"}, "Age": {"120"}}, 8 * time.Minute},
		"old in a cache":          {http.Header{"Cache-Control": {"max-age=60"}, "Age": {"120"}}, shortestLife},
		"zero":                    {http.Header{"Cache-Control": {"max-age=0"}}, shortestLife},
		"no-store":                {http.Header{"Cache-Control": {"no-store"}}, shortestLife},
		"no-cache beside an age":  {http.Header{"Cache-Control": {"max-age=600, no-cache"}}, shortestLife},
		"for shared caches alone": {http.Header{"Cache-Control": {"s-maxage=60"}}, 0},
		"not a number":            {http.Header{"Cache-Control": {"max-age=soon"}}, 0},
		"negative":                {http.Header{"Cache-Control": {"max-age=-1"}}, 0},
		"no value":                {http.Header{"Cache-Control": {"max-age"}}, 0},
		"beyond counting":         {http.Header{"Cache-Control": {"max-age=99999999999999999"}}, 0},
		"Expires":                 {http.Header{"Expires": {at(time.Hour)}}, time.Hour},
		"Expires by their clock":  {http.Header{"Expires": {at(time.Hour)}, "Date": {at(50 * time.Minute)}}, 10 * time.Minute},
		"Expires in the past":     {http.Header{"Expires": {at(-time.Hour)}}, shortestLife},
		"Expires 0":               {http.Header{"Expires": {"0"}}, shortestLife},
		"max-age before Expires":  {http.Header{"Cache-Control": {"max-age=60"}, "Expires": {at(time.Hour)}}, time.Minute},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := lifetime(test.header, now); got != test.want {
				t.Errorf("%s, want %s", got, test.want)
			}
		})
	}
}

func TestNewServerRefusesACAThatIsNone(t *testing.T) {
	if _, err := NewServer(ServerOptions{Issuer: testIssuer, TrustCA: [][]byte{[]byte("x")}}); err == nil ||
		!strings.Contains(err.Error(), testIssuer) || !strings.Contains(err.Error(), "trust_ca") {
		t.Errorf("error %v", err)
	}
}

func TestKeySetOfTransmitter(t *testing.T) {
	key := tokentest.NewKey(t, "ES256", "ssf-1")
	others := metadataOf("")
	origin := publish(t, map[string]*place{
		"/.well-known/ssf-configuration": metadataOf(""), "/.well-known/openid-configuration": others, "/jwks": keySetOf(key),
	})
	set, _, err := newTestServer(t, ServerOptions{Issuer: origin, Transmitter: true}).KeySet(t.Context())
	if err != nil || len(set.Keys) != 1 || set.Keys[0].ID() != "ssf-1" {
		t.Errorf("%d keys, %v", len(set.Keys), err)
	}
	if n := others.hits.Load(); n != 0 {
		t.Errorf("the metadata of the authorization server was read %d times", n)
	}
	// It must name the transmitter itself.
	if _, _, err := newTestServer(t, ServerOptions{Issuer: origin + "/", Transmitter: true}).KeySet(t.Context()); !errors.Is(err, ErrMetadata) {
		t.Errorf("of another issuer: %v", err)
	}
}
