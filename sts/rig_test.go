package sts_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/crypto/argon2"

	"github.com/caddy-gatehouse/gatehouse/internal/tokentest"
	"github.com/caddy-gatehouse/gatehouse/jose"
	"github.com/caddy-gatehouse/gatehouse/keys"
	"github.com/caddy-gatehouse/gatehouse/proof"
	"github.com/caddy-gatehouse/gatehouse/revocation"
	"github.com/caddy-gatehouse/gatehouse/signing"
	"github.com/caddy-gatehouse/gatehouse/store"
	"github.com/caddy-gatehouse/gatehouse/sts"
	"github.com/caddy-gatehouse/gatehouse/token"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	issuer   = "https://gateway.example.com"
	endpoint = issuer + "/oauth2/token"
	idp      = "https://idp.example.com"
	stranger = "https://stranger.example.com"
	secret   = "canary-secret of orders"
	billing  = "https://billing.example.com"
	spiffeID = "spiffe://example.com/orders"
)

// A rig is a token service with an issuer whose tokens it takes, all of it real.
type rig struct {
	t           *testing.T
	idp         *tokentest.Key // signs tokens of idp
	clientKey   *tokentest.Key // signs assertions of the client keyed
	signer      *jose.Signer   // signs tokens of the service
	settings    sts.Config
	service     *sts.Service
	memory      *store.Memory
	revoked     *revocation.State
	verifyOwn   *token.Verifier
	certificate *x509.Certificate // of the next requests' connection
}

// newRig makes a service; change is called with its settings before.
func newRig(t *testing.T, change func(*rig)) *rig {
	t.Helper()
	r := &rig{t: t, idp: tokentest.NewKey(t, "ES256", "idp-1"), clientKey: tokentest.NewKey(t, "ES256", "client-1"), memory: store.NewMemory(0)}
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	r.must(err)
	r.signer, err = jose.NewSigner(private, jose.ES256, "own-1")
	r.must(err)
	dpop, err := proof.NewDPoP(proof.DPoPConfig{Marks: r.memory})
	r.must(err)
	trusted := &token.Issuer{URL: idp, Keys: r.source(r.idp), Algorithms: jose.Asymmetric(), Audience: token.Audience{Any: true}, Leeway: 30 * time.Second}
	own := &token.Issuer{
		URL: issuer, Types: []string{"at+jwt"}, Algorithms: jose.Asymmetric(), Audience: token.Audience{Any: true},
		Keys: keys.NewStatic(issuer, keys.NewState(), jose.KeySet{Keys: []*jose.Key{r.signer.Public()}}),
	}
	r.verifyOwn = token.NewVerifier(token.VerifierConfig{Issuers: []*token.Issuer{own}, Bindings: true})
	r.follow()
	r.settings = sts.Config{
		Issuer: issuer, TokenEndpoint: endpoint, Minter: signing.NewMinter(signing.Fixed(r.signer), issuer, nil),
		Keys: signing.Fixed(r.signer), Own: r.guarded(r.verifyOwn), Revoker: revoker{r.revoked}, Marks: r.memory, Values: r.memory, DPoP: dpop, Crowd: sts.NewCrowd(),
		Clients: clients(t, r.source(r.clientKey), r.guarded(token.NewVerifier(token.VerifierConfig{
			Issuers: []*token.Issuer{trusted, own}, Audience: token.Audience{Any: true}, Bindings: true,
		}))),
	}
	if change != nil {
		change(r)
	}
	r.service, err = sts.New(r.settings)
	r.must(err)
	return r
}

// follow has the list of what is no longer good, and waits until it is read.
func (r *rig) follow() {
	r.revoked = revocation.NewState(r.memory)
	ctx, stop := context.WithCancel(context.Background())
	var following sync.WaitGroup
	following.Go(func() { r.revoked.Follow(ctx, slog.New(slog.DiscardHandler)) })
	r.t.Cleanup(func() {
		stop()
		following.Wait()
	})
	for !r.revoked.Status().Loaded {
		runtime.Gosched()
	}
}

func (r *rig) guarded(verifier sts.Verifier) sts.Verifier {
	return revocation.NewGuard(verifier, r.revoked, revocation.Bound{Open: true})
}

// A revoker revokes as the gateway does.
type revoker struct{ state *revocation.State }

func (v revoker) Revoke(ctx context.Context, id string, expiry time.Time) error {
	_, err := v.state.Revoke(ctx, revocation.Event{Kind: revocation.KindID, Issuer: issuer, Value: id, Until: expiry})
	return err
}

// clients are those of every rig. Each of the first three may do the same, and
// proves itself in another way.
func clients(t *testing.T, assertionKeys token.KeySource, subjects sts.Verifier) []*sts.Client {
	t.Helper()
	hash, err := sts.ParseSecretHash(hashed())
	if err != nil {
		t.Fatal(err)
	}
	full := sts.Client{
		Grants: []string{sts.GrantClientCredentials, sts.GrantTokenExchange}, SubjectTypes: []string{sts.TypeAccessToken},
		Subjects: subjects, Audience: []string{billing, "a b"}, Scope: []string{"billing:read", "orders:read", "orders:write"},
		Actors: []string{"robot"}, Lifetime: 5 * time.Minute,
	}
	made := make(map[string]*sts.Client)
	for id, auth := range map[string]sts.Auth{
		"orders": {Secret: hash}, "keyed": {Keys: assertionKeys}, "mesh": {Name: spiffeID}, "phantom": {Secret: hash},
	} {
		one := full
		one.ID, one.Auth, one.Opaque = id, auth, id == "phantom"
		made[id] = &one
	}
	made["nothing"] = &sts.Client{ID: "nothing", Auth: sts.Auth{Secret: hash}}
	made[billing] = &sts.Client{ID: billing, Auth: sts.Auth{Secret: hash}}
	made["plain"] = &sts.Client{ID: "plain", Auth: sts.Auth{Secret: hash}, Grants: []string{sts.GrantClientCredentials}, Audience: []string{"one", "two"}}
	list := make([]*sts.Client, 0, len(made))
	for _, client := range made {
		list = append(list, client)
	}
	return list
}

func (r *rig) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) source(key *tokentest.Key) *keys.Source {
	r.t.Helper()
	set, err := jose.ParseKeySet(tokentest.Set(key))
	r.must(err)
	return keys.NewStatic("test", keys.NewState(), set)
}

// phc is the text form of the Argon2id hash of a secret, at the least cost.
func phc(text string) string {
	salt := []byte("0123456789abcdef")
	sum := argon2.IDKey([]byte(text), salt, 1, 7168, 1, 32)
	encode := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("$argon2id$v=19$m=7168,t=1,p=1$%s$%s", encode(salt), encode(sum))
}

// hashed is that of the secret, made once.
var hashed = sync.OnceValue(func() string { return phc(secret) })

// subject is a token of alice's, which she sent to the client orders, with changes.
func (r *rig) subject(changes map[string]any) string {
	claims := tokentest.Claims(idp, map[string]any{"aud": "orders"})
	maps.Copy(claims, changes)
	maps.DeleteFunc(claims, func(_ string, value any) bool { return value == nil })
	return r.idp.Sign(nil, claims)
}

// params is a form; a value "" is left out, and names may be changed by more.
type params map[string]string

func exchangeForm(subject string, more params) params {
	form := params{
		"grant_type": sts.GrantTokenExchange, "subject_token": subject, "subject_token_type": sts.TypeAccessToken,
		"client_id": "orders", "client_secret": secret, "audience": billing,
	}
	maps.Copy(form, more)
	return form
}

func clientForm(more params) params {
	form := params{
		"grant_type": sts.GrantClientCredentials, "client_id": "orders", "client_secret": secret, "audience": billing,
	}
	maps.Copy(form, more)
	return form
}

func (p params) body() string {
	values := make(url.Values)
	for name, value := range p {
		if value != "" {
			values.Set(name, value)
		}
	}
	return values.Encode()
}

// request makes a request to the token endpoint.
func (r *rig) request(body string) *http.Request {
	request := httptest.NewRequestWithContext(r.t.Context(), http.MethodPost, endpoint, strings.NewReader(body))
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if r.certificate != nil {
		request.TLS.PeerCertificates = []*x509.Certificate{r.certificate}
		request.TLS.VerifiedChains = [][]*x509.Certificate{{r.certificate}}
	}
	return request
}

// ask expects an outcome, and returns the grant if it is good.
func (r *rig) ask(form params, want sts.Outcome) *sts.Grant {
	r.t.Helper()
	return r.send(r.request(form.body()), want)
}

func (r *rig) send(request *http.Request, want sts.Outcome) *sts.Grant {
	r.t.Helper()
	grant, _, refused := r.service.Token(request)
	got := sts.OutcomeOK
	if refused != nil {
		got = refused.Outcome
	}
	if got != want {
		r.t.Errorf("the outcome is %s (%v), want %s", got, refused, want)
	}
	return grant
}

// claims are those of a token that the service issued.
func (r *rig) claims(raw token.Raw) map[string]any {
	r.t.Helper()
	verified, _, err := r.verifyOwn.Verify(r.t.Context(), raw)
	r.must(err)
	claims := make(map[string]any)
	for _, name := range verified.Claims.Names() {
		claims[name], _ = verified.Claims.Get(name)
	}
	return claims
}

// assertion is one of the client keyed, with changes to header and claims.
func (r *rig) assertion(header, changes map[string]any) string {
	now := time.Now()
	claims := map[string]any{
		"iss": "keyed", "sub": "keyed", "aud": issuer, "jti": rand.Text(),
		"iat": now.Unix(), "exp": now.Add(time.Minute).Unix(),
	}
	maps.Copy(claims, changes)
	maps.DeleteFunc(claims, func(_ string, value any) bool { return value == nil })
	full := map[string]any{"typ": "client-authentication+jwt"}
	maps.Copy(full, header)
	return r.clientKey.Sign(full, claims)
}

func assertionForm(assertion string, more params) params {
	form := clientForm(params{
		"client_id": "", "client_secret": "", "client_assertion": assertion,
		"client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
	})
	maps.Copy(form, more)
	return form
}

// A holder has a key for DPoP proofs.
type holder struct{ signer *jose.Signer }

func newHolder(t *testing.T) holder {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := jose.NewSigner(private, jose.ES256, "")
	if err != nil {
		t.Fatal(err)
	}
	return holder{signer}
}

// jkt is the thumbprint of the key, as cnf has it.
func (h holder) jkt() string {
	thumb := h.signer.Public().Thumbprint()
	return base64.RawURLEncoding.EncodeToString(thumb[:])
}

// proved puts a proof on a request.
func (h holder) proved(t *testing.T, request *http.Request, target, nonce string) *http.Request {
	t.Helper()
	text, err := proof.Prove(h.signer, proof.Target{Method: http.MethodPost, URL: target, Nonce: nonce})
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("DPoP", text)
	return request
}

// mapOf reads JSON.
func mapOf(t *testing.T, text []byte) map[string]any {
	t.Helper()
	var members map[string]any
	if err := json.Unmarshal(text, &members); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return members
}

// A verifierFunc is a Verifier that is not there.
type verifierFunc func(context.Context, token.Raw) (*token.Token, *token.Issuer, error)

func (f verifierFunc) Verify(ctx context.Context, raw token.Raw) (*token.Token, *token.Issuer, error) {
	return f(ctx, raw)
}

// failing is a verifier whose issuer's keys have not come.
func failing(context.Context, token.Raw) (*token.Token, *token.Issuer, error) {
	return nil, nil, token.NoKeys
}
