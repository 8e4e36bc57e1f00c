package exchange

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/caddy-gatehouse/gatehouse/authserver"
	"github.com/caddy-gatehouse/gatehouse/token"
)

// maxActorFile bounds a token in a file. It goes into a form.
const maxActorFile = 64 << 10

// An Actor says who acts for the caller: with one the server issues a token that
// names both (delegation), without one a token of the caller's alone
// (impersonation; RFC 8693, section 1.1). It is one or the other of its fields.
type Actor struct {
	// Self is the client itself, by an access token of its own from the same
	// server (client_credentials).
	Self bool
	// File holds a token of the gateway's, such as a workload identity. It is read
	// again when it changes.
	File string
	// Type is the URI of what the file holds. Default: TypeJWT.
	Type string

	file *actorFile
}

// NewSelfActor makes the actor that is the client itself.
func NewSelfActor() *Actor { return &Actor{Self: true, Type: TypeAccessToken} }

// NewFileActor makes an actor by a token in a file, of that type, TypeJWT if it is
// "". Nothing is read.
func NewFileActor(path, kind string) *Actor {
	if kind == "" {
		kind = TypeJWT
	}
	return &Actor{File: path, Type: kind, file: &actorFile{path: path}}
}

// Check reads the file, if there is one: what is not there at load is seen then, and
// not by the first caller.
func (a *Actor) Check() error {
	if a == nil || a.file == nil {
		return nil
	}
	_, err := a.file.read()
	return err
}

// name lists what tells an actor from another for keys. Its token is not in it:
// that is a new one every few minutes, and the actor is the same.
func (a *Actor) name() []string {
	switch {
	case a == nil:
		return nil
	case a.Self:
		return []string{"self"}
	default:
		return []string{"file", a.File, a.Type}
	}
}

// identity tells who the actor is on this node: the same path may hold another
// workload's token on another one. It is the issuer's name for it, or else the token.
func (a *Actor) identity() ([]string, error) {
	if a == nil || a.file == nil {
		return nil, nil
	}
	raw, err := a.file.read()
	if err != nil {
		return nil, err
	}
	members, _ := readIdentity(raw.Reveal())
	issuer, _ := members["iss"].(string)
	subject, _ := members["sub"].(string)
	if issuer == "" || subject == "" {
		digest := raw.Digest()
		return []string{string(digest[:])}, nil
	}
	return []string{issuer, subject}, nil
}

// An actorToken is an actor in one request.
type actorToken struct {
	raw    token.Raw
	kind   string
	expiry time.Time // zero if nobody says
	// claims are who it is: what its token says, which the gateway got for itself
	// or was given by its operator.
	claims map[string]any
}

var errActor = errors.New("no actor token")

// actor gets the actor's token for a leg, nil if there is no actor.
func (x *Exchanger) actor(ctx context.Context, l *leg) (*actorToken, error) {
	switch {
	case l.Actor == nil:
		return nil, nil //nolint:nilnil // no actor is no fault
	case l.Actor.Self:
		return x.selfActor(ctx, l)
	}
	raw, err := l.Actor.file.read()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errActor, err)
	}
	members, claims := readIdentity(raw.Reveal())
	return &actorToken{raw: raw, kind: l.Actor.Type, expiry: claims.expiry, claims: members}, nil
}

// selfActor is the client's own access token, kept as long as it is good.
func (x *Exchanger) selfActor(ctx context.Context, l *leg) (*actorToken, error) {
	// Derived, so that no exchange with whatever scopes has this key: the upstream
	// would be given the gateway's own token.
	key := x.state.keys.key(&l.settings, &noDigest, nil, nil).derive("actor", noDigest)
	kept := x.state.fresh(key, x.config.Now())
	if kept == nil {
		var err error
		if kept, err = x.fetchActor(ctx, l, key); err != nil {
			return nil, err
		}
	}
	members, _ := readIdentity(kept.Token.Reveal())
	if members == nil {
		members = clientIdentity(l.Client) // opaque to the gateway, but it knows whose it is
	}
	return &actorToken{raw: kept.Token, kind: TypeAccessToken, expiry: kept.Expiry, claims: members}, nil
}

func clientIdentity(client Requester) map[string]any {
	members := map[string]any{"iss": client.Issuer()}
	if named, ok := client.(interface{ ID() string }); ok {
		members["sub"], members["client_id"] = named.ID(), named.ID()
	}
	return members
}

func (x *Exchanger) fetchActor(ctx context.Context, l *leg, key cacheKey) (*Issued, error) {
	generation := x.state.begin()
	form := map[string][]string{"grant_type": {grantTypes[GrantClientCredentials]}}
	plain := *l
	// A binding protects a token from those it is shown to (RFC 9449, section 1).
	// This one is shown to the server that made it alone, and servers that know no
	// bound actor_token would refuse it.
	plain.prover = nil
	answer, err := x.post(ctx, &plain, form, true)
	if err != nil {
		return nil, actorFailure(err)
	}
	text := answer.AccessToken.Reveal()
	if !strings.EqualFold(answer.TokenType, "Bearer") || !visible(text) || len(text) > maxIssued {
		return nil, fmt.Errorf("getting the gateway's own token: %w: not a bearer token", authserver.ErrBadAnswer)
	}
	ends := []time.Time{readClaims(text).expiry}
	if answer.HasExpiresIn {
		ends = append(ends, answer.SentAt.Add(answer.ExpiresIn))
	}
	life := newLifetime(answer.SentAt, ends, []time.Time{answer.SentAt.Add(x.config.MaxTTL)})
	issued := &Issued{Expiry: life.expiry}
	issued.Token, issued.Credential = token.NewRaw(text).Behind("")
	x.state.keep(key, issued, life, x.config.Now(), Origin{}, generation)
	return issued, nil
}

// actorFailure says what it means that the gateway got no token for itself: a
// refusal is never about the caller.
func actorFailure(err error) error {
	err = fmt.Errorf("getting the gateway's own token: %w", err)
	refused, ok := errors.AsType[*authserver.Refusal](err)
	if !ok || wantsPause(refused) || refused.Status >= http.StatusInternalServerError {
		return err
	}
	failure := newError(OutcomeConfig, err)
	failure.ASStatus, failure.ASCode = refused.Status, refused.Code
	return failure
}

// An actorFile is a file with a token, read again when it changes.
type actorFile struct {
	path string

	mu       sync.Mutex
	raw      token.Raw
	modified time.Time
	size     int64
}

func (f *actorFile) read() (token.Raw, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	// Stat follows links, which is how Kubernetes swaps a token.
	info, err := os.Stat(f.path)
	switch {
	case err != nil:
		return token.Raw{}, fmt.Errorf("actor file: %w", err)
	case !f.raw.IsZero() && info.ModTime().Equal(f.modified) && info.Size() == f.size:
		return f.raw, nil
	case info.Size() > maxActorFile:
		return token.Raw{}, fmt.Errorf("actor file %s is larger than 64 KiB", f.path)
	}
	content, err := os.ReadFile(f.path)
	if err != nil {
		return token.Raw{}, fmt.Errorf("actor file: %w", err)
	}
	text := strings.TrimSpace(string(content))
	if text == "" || !visible(text) {
		return token.Raw{}, fmt.Errorf("actor file %s does not hold one token", f.path)
	}
	f.raw, f.modified, f.size = token.NewRaw(text), info.ModTime(), info.Size()
	return f.raw, nil
}
