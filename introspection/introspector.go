package introspection

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/caddy-gatehouse/gatehouse/authserver"
	"github.com/caddy-gatehouse/gatehouse/jose"
	"github.com/caddy-gatehouse/gatehouse/token"
)

const (
	// DefaultCacheTTL is how long an answer is believed unless configured. It is
	// how long a token may outlive its revocation.
	DefaultCacheTTL = 30 * time.Second
	// deniedTTL bounds how long a token that is not good is remembered as such.
	deniedTTL = 10 * time.Second
)

// A Requester posts forms to one authorization server as one client; see
// authserver.Client, which is one.
type Requester interface {
	// Post posts a form; see authserver.Client.Post.
	Post(ctx context.Context, endpoint authserver.Endpoint, form url.Values, accept string) (*authserver.Answer, error)
	// SignsIntrospection tells whether the server offers signed answers.
	SignsIntrospection(ctx context.Context) bool
	// ID is the client_id.
	ID() string
	// Identity lists what tells this client from another.
	Identity() []string
	// Timeout bounds one request.
	Timeout() time.Duration
}

// Keys finds the keys of the issuer; see keys.Source, which does.
type Keys interface {
	Find(ctx context.Context, kid string, alg jose.Algorithm) ([]*jose.Key, error)
}

// Config says whom to ask and what to believe.
type Config struct {
	// Issuer is the issuer of the tokens, and of signed answers.
	Issuer string
	// Client asks the issuer.
	Client Requester
	// Endpoint is the introspection endpoint. Default: found by discovery.
	Endpoint string
	// Keys verify signed answers (RFC 9701). Default: none are asked for.
	Keys Keys
	// Algorithms may sign answers. Default: jose.Asymmetric.
	Algorithms []jose.Algorithm
	// Claims are where the issuer puts things.
	Claims token.ClaimPaths
	// State is shared with earlier and later configurations that say the same.
	State *State
	// CacheTTL is how long an answer is believed, 0 for not at all.
	CacheTTL time.Duration
	// Now is the clock. Default: time.Now.
	Now func() time.Time
	// Observe, if set, is called when a request to the server begins. It may link
	// a span to the first caller's context and return another one for the call;
	// end is called when the call is over. The first caller may be gone by then.
	Observe func(caller, call context.Context) (observed context.Context, end func(error))
}

// An Introspector asks one server about its tokens. It is immutable and safe for
// concurrent use.
type Introspector struct {
	config Config
	// shape tells its answers from those of another server or another client: a
	// token that one server calls good says nothing at the next.
	shape [sha256.Size]byte
}

// New makes an introspector. Nothing is fetched.
func New(config Config) (*Introspector, error) {
	switch {
	case config.Issuer == "":
		return nil, errors.New("the issuer is missing")
	case config.Client == nil:
		return nil, errors.New("the client is missing")
	case config.State == nil:
		return nil, errors.New("the state is missing")
	case config.CacheTTL < 0:
		return nil, errors.New("cache_ttl is negative")
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	if config.Algorithms == nil {
		config.Algorithms = jose.Asymmetric()
	}
	return &Introspector{config: config, shape: fingerprint(config)}, nil
}

// fingerprint hashes what shapes an answer, each part behind its length: parts
// that were merely joined could be parted in another way.
func fingerprint(config Config) (sum [sha256.Size]byte) {
	hash := sha256.New()
	paths := fmt.Sprintf("%q", config.Claims)
	for _, part := range append([]string{"introspection", config.Issuer, config.Endpoint, paths}, config.Client.Identity()...) {
		_ = binary.Write(hash, binary.BigEndian, uint64(len(part)))
		_, _ = hash.Write([]byte(part))
	}
	hash.Sum(sum[:0])
	return sum
}

// Issuer is whose tokens it asks about.
func (i *Introspector) Issuer() string { return i.config.Issuer }

// Introspect returns what the issuer says about a token, now or a moment ago. It
// has an Issuer, which is the configured one, and an Expiry; whether it is for
// this API and still good is for the caller to judge, on every request.
//
// jwt is the token as far as it could be read, nil if it is opaque: what the
// answer does not say is taken from there.
//
// Errors are an *Error, or one that wraps ctx's own error if that came first.
func (i *Introspector) Introspect(ctx context.Context, raw token.Raw, jwt *token.Token) (*token.Token, error) {
	if !presentable(raw.Reveal()) {
		return nil, newError(token.Inactive, errText)
	}
	key := cacheKey{shape: i.shape, digest: raw.Digest(), jwt: jwt != nil}
	now := i.config.Now()
	if found, denied := i.config.State.get(key, now, i.config.CacheTTL); found != nil {
		return found, nil
	} else if denied != "" {
		return nil, newError(denied, errRemembered)
	}
	return i.share(ctx, key, question{raw: raw, jwt: jwt})
}

var (
	errText       = errors.New("the credential holds characters that no token has")
	errRemembered = errors.New("the issuer was asked a moment ago")
)

// presentable tells whether a text can be a token at all (RFC 6750, section 2.1,
// and the VSCHAR of RFC 6749, appendix A.12, but for the blank).
func presentable(text string) bool {
	for _, c := range []byte(text) {
		if c <= ' ' || c >= 0x7f {
			return false
		}
	}
	return text != ""
}

// A question is the token that is asked about, and what of it is known already.
type question struct {
	raw token.Raw
	jwt *token.Token // nil if it is opaque
}

// share waits for the one call that is made for this token at a time. A flight
// that began before an eviction is not joined after it: what it brings may be
// older than the reason for the eviction.
func (i *Introspector) share(ctx context.Context, key cacheKey, about question) (*token.Token, error) {
	state := i.config.State
	flightKey := flightKey{cacheKey: key, generation: state.generation.Load()}
	found, err := state.flights.Do(ctx, flightKey, i.config.Client.Timeout(), func(call context.Context) (*token.Token, error) {
		// Another flight may have landed between the look and this one's start.
		if found, _ := state.get(key, i.config.Now(), i.config.CacheTTL); found != nil {
			return found, nil
		}
		return i.observed(ctx, call, flightKey, about)
	})
	var failure *Error
	switch {
	case err == nil:
		return found, nil
	case errors.As(err, &failure):
		return nil, failure
	case ctx.Err() != nil:
		return nil, fmt.Errorf("waiting for the introspection: %w", ctx.Err())
	default:
		return nil, newError(token.IntrospectionUnavailable, err)
	}
}

func (i *Introspector) observed(first, call context.Context, key flightKey, about question) (*token.Token, error) {
	end := func(error) {}
	if i.config.Observe != nil {
		call, end = i.config.Observe(first, call)
	}
	found, err := i.ask(call, key, about)
	end(err)
	return found, err
}

// ask asks the server, judges its answer and remembers it.
func (i *Introspector) ask(ctx context.Context, key flightKey, about question) (*token.Token, error) {
	accept := "application/json"
	// Where the endpoint is written by hand there may be no metadata, and looking
	// for it at every question would only keep the caller waiting.
	if i.config.Endpoint == "" && i.config.Keys != nil && i.config.Client.SignsIntrospection(ctx) {
		accept = mediaSigned + ", application/json"
	}
	endpoint := authserver.Endpoint{Name: authserver.EndpointIntrospection, URL: i.config.Endpoint}
	form := url.Values{"token": {about.raw.Reveal()}, "token_type_hint": {"access_token"}}
	answer, err := i.config.Client.Post(ctx, endpoint, form, accept)
	if err != nil {
		return nil, i.failed(err)
	}
	found, err := i.read(ctx, answer, about)
	now := i.config.Now()
	if failure, ok := errors.AsType[*Error](err); ok && failure.refuses() {
		until := answer.SentAt.Add(min(deniedTTL, i.config.CacheTTL))
		i.config.State.deny(key, denial{reason: failure.Reason, until: until}, now)
	}
	if err != nil {
		return nil, err
	}
	i.config.State.put(key, &entry{token: found, asked: answer.SentAt}, i.config.CacheTTL, now)
	return found, nil
}
