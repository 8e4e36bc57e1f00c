package gatehouse

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/caddy-gatehouse/gatehouse/admin"
	"github.com/caddy-gatehouse/gatehouse/config"
	"github.com/caddy-gatehouse/gatehouse/internal/lease"
	"github.com/caddy-gatehouse/gatehouse/introspection"
	"github.com/caddy-gatehouse/gatehouse/jose"
	"github.com/caddy-gatehouse/gatehouse/keys"
	"github.com/caddy-gatehouse/gatehouse/proof"
	"github.com/caddy-gatehouse/gatehouse/revocation"
	"github.com/caddy-gatehouse/gatehouse/signing"
	"github.com/caddy-gatehouse/gatehouse/sts"
	"github.com/caddy-gatehouse/gatehouse/token"
)

// crowds bounds what the secrets of clients cost, over all configurations; see
// lease.Pool.
var crowds = lease.NewPool[*sts.Crowd]()

// holdings bound how many references one client has, and how many tokens it has
// revoked, over all configurations.
var holdings = lease.NewPool[*sts.Holdings]()

// TokenService implements handlers.Services.
func (a *App) TokenService(directive *config.TokenService) (*sts.Service, error) {
	label := directive.Label()
	checked := proof.DPoPConfig{Marks: a.store, Shares: a.shares()}
	if directive.DPoPNonce {
		var err error
		if checked.Nonces, err = a.nonces(); err != nil {
			return nil, fmt.Errorf("%s: dpop_nonce: %w", label, err)
		}
	}
	dpop, err := proof.NewDPoP(checked)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", label, err)
	}
	subjects, err := a.Subjects()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", label, err)
	}
	naming := func(subject *token.Token, audience string) (string, signing.SubjectID) {
		return subjects.Name(subject, a.Sign.Issuer, audience)
	}
	crowd := crowds.Acquire(lease.KeyOf("crowd"), sts.NewCrowd, nil)
	held := holdings.Acquire(lease.KeyOf("references"), func() *sts.Holdings { return sts.NewHoldings(0, 0) }, nil)
	gone := holdings.Acquire(lease.KeyOf("revocations"), sts.NewRevocations, nil)
	a.releases = append(a.releases, crowd.Release, held.Release, gone.Release)
	own := token.NewVerifier(token.VerifierConfig{Issuers: []*token.Issuer{a.own(0)}, Bindings: true, Cache: a.cache.Value})
	settings := sts.Config{
		Issuer: a.Sign.Issuer, TokenEndpoint: directive.Address(a.Sign.Issuer, config.EndpointToken),
		Minter: a.Minter(), Keys: a.ring, Naming: naming,
		Own: a.guarded(own), Revoker: ownRevoker{a.revoked, a.Sign.Issuer}, Origin: a.originOf(),
		Marks: a.store, Values: a.store, DPoP: dpop, Crowd: crowd.Value, Holdings: held.Value, Revoked: gone.Value,
	}
	for _, id := range slices.Sorted(maps.Keys(directive.Clients)) {
		client, err := a.serviceClient(id, directive.Clients[id])
		if err != nil {
			return nil, fmt.Errorf("%s: %s: %w", label, at("client "+id, directive.Clients[id].Place), err)
		}
		settings.Clients = append(settings.Clients, client)
	}
	service, err := sts.New(settings)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", label, err)
	}
	return service, nil
}

// own is the gateway itself as an issuer: strict, and by its keys alone, without
// asking any address.
func (a *App) own(leeway time.Duration) *token.Issuer {
	return &token.Issuer{
		URL: a.Sign.Issuer, Keys: a.ring.Verification(signing.AccessTokens), Types: []string{token.TypeAccessToken},
		Algorithms: jose.Asymmetric(), Audience: token.Audience{Any: true}, Leeway: leeway,
	}
}

// An ownRevoker revokes tokens of the gateway's own.
type ownRevoker struct {
	list   *revocation.State
	issuer string
}

// Revoke implements sts.Revoker. The event outlasts whoever takes the token for as
// long after its end as any configuration may.
func (r ownRevoker) Revoke(ctx context.Context, id string, expiry time.Time) error {
	_, err := r.list.Revoke(ctx, revocation.Event{
		Kind: revocation.KindID, Issuer: r.issuer, Value: revocation.ValueOf(id), Until: expiry.Add(config.MaxLeeway), By: "token_service",
	})
	return err
}

// grants are the grant types by the words of the configuration.
var grants = map[string]string{
	config.ServiceClientCredentials: sts.GrantClientCredentials,
	config.ServiceTokenExchange:     sts.GrantTokenExchange,
}

// serviceClient makes one client of a token service.
func (a *App) serviceClient(id string, block *config.ServiceClient) (*sts.Client, error) {
	client := &sts.Client{
		ID: id, Audience: block.Audience, Scope: block.Scope, Actors: block.Actor,
		Lifetime: block.Lifetime.Or(sts.DefaultLifetime), Opaque: block.Opaque,
	}
	for _, word := range block.Grants {
		client.Grants = append(client.Grants, grants[word])
	}
	if len(block.SubjectType) > 0 {
		client.SubjectTypes = []string{sts.TypeAccessToken}
	}
	var err error
	if client.Auth, err = a.serviceAuth(id, block.Auth); err != nil {
		return nil, fmt.Errorf("auth: %w", err)
	}
	if len(block.SubjectIssuer) > 0 {
		if client.Subjects, err = a.subjects(block.SubjectIssuer); err != nil {
			return nil, fmt.Errorf("subject_issuer: %w", err)
		}
	}
	return client, nil
}

func (a *App) serviceAuth(id string, block *config.ServiceAuth) (auth sts.Auth, err error) {
	switch block.Method {
	case config.AuthSecretHash:
		auth.Secret, err = sts.ParseSecretHash(block.Value)
	case config.AuthTLS:
		auth.Name = block.Value
	default:
		auth.Keys, err = a.clientKeys(id, block.Value)
	}
	return auth, err
}

// clientKeys are the keys of a client's assertions: from a file that is read now, or
// from a URL that is asked once the app has started.
func (a *App) clientKeys(id, from string) (*keys.Source, error) {
	if !isURL(from) {
		return a.fileKeys("client "+id, from, new(config.Issuer))
	}
	source, err := a.keySource(from, &config.Issuer{JWKS: from})
	if err != nil {
		return nil, err
	}
	a.sources = append(a.sources, source)
	a.observed.sources = append(a.observed.sources, observedSource{name: id, url: from, role: admin.RoleClient, source: source})
	return source, nil
}

// ownSubject is the gateway itself as the issuer of tokens that a client may exchange:
// by its keys, and by the rules of the block that trusts it, where there is one. The
// service looks to aud itself.
func (a *App) ownSubject() *token.Issuer {
	block := a.blockOf(a.Sign.Issuer)
	trusted := a.own(block.Leeway.Or(config.DefaultLeeway))
	trusted.Algorithms, trusted.Claims = block.AcceptedAlgorithms(), block.ClaimPaths()
	trusted.MaxAge, trusted.Require = block.MaxTokenAge.Or(0), block.RequireClaims
	// The default of a block is for servers that do not know RFC 9068, which the gateway does.
	if types := block.AcceptedTypes(); len(types) > 0 {
		trusted.Types = types
	}
	return trusted
}

// subjects verifies the tokens that a client may exchange, and those of actors: each by
// the rules of its issuer's block, those of the gateway's own by the keys it has itself.
func (a *App) subjects(refs []string) (sts.Verifier, error) {
	var trusted []*token.Issuer
	var urls []string
	for _, url := range a.issuerURLs(refs) {
		if url == a.Sign.Issuer {
			trusted = append(trusted, a.ownSubject())
			continue
		}
		trusted, urls = append(trusted, a.issuers[url].trusted), append(urls, url)
	}
	verifier := token.NewVerifier(token.VerifierConfig{
		Issuers: trusted, Audience: token.Audience{Any: true}, Bindings: true, Cache: a.cache.Value,
	})
	gate, err := a.gate(verifier, urls)
	if err != nil {
		return nil, err
	}
	return a.guarded(gate), nil
}

var _ sts.Verifier = (*introspection.Gate)(nil)
