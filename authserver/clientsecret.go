package authserver

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"
)

// retrySecret is how long nothing else is tried after the server has refused all
// secrets: some servers say invalid_client when they mean the audience, and each
// such answer would cost a second call.
const retrySecret = 10 * time.Second

var errNoSecret = errors.New("the secret is empty")

// A SecretSource is a client's secret: a Secret, or a SecretFile.
type SecretSource interface {
	current() Secret
	reread()
}

func (s Secret) current() Secret { return s }
func (Secret) reread()           {}

// A SecretFile is a secret in a file, read again when the file changes.
type SecretFile struct{ file *watched[Secret] }

// NewSecretFile reads a secret from a file; one line break at its end is not part
// of it. It fails if the file cannot be read or holds no secret. log is told when
// it cannot be read later on.
func NewSecretFile(path string, log *slog.Logger) (*SecretFile, error) {
	file, err := watch(path, log, parseSecret)
	if err != nil {
		return nil, err
	}
	return &SecretFile{file}, nil
}

func (s *SecretFile) current() Secret { return s.file.get() }
func (s *SecretFile) reread()         { s.file.reread() }

func parseSecret(content []byte) (Secret, error) {
	content = bytes.TrimSuffix(bytes.TrimSuffix(content, []byte("\n")), []byte("\r"))
	if len(content) == 0 {
		return Secret{}, errNoSecret
	}
	return NewSecret(string(content)), nil
}

// secretAuth proves the client by a secret that the server knows too.
type secretAuth struct {
	method  string
	sources []SecretSource
	prove   func(attempt *attempt, secret string) error
	// least is how many bytes a secret must have.
	least int
	// where, if set, refuses options that the method cannot work with.
	where func(options ClientOptions) error

	mu      sync.Mutex
	works   int // the source that is tried first
	nothing time.Time
}

func (a *secretAuth) authenticate(_ context.Context, attempt *attempt) error {
	index, secret := a.choose(attempt.avoid)
	attempt.proof = proof{index: index, content: secret.Reveal()}
	return a.prove(attempt, secret.Reveal())
}

// choose returns the secret that worked last, or another than the one to avoid:
// the same source if its content has changed.
func (a *secretAuth) choose(avoid *proof) (int, Secret) {
	a.mu.Lock()
	first := a.works
	a.mu.Unlock()
	if avoid == nil {
		return first, a.sources[first].current()
	}
	for i := range a.sources {
		index := (avoid.index + i) % len(a.sources)
		if secret := a.sources[index].current(); secret.Reveal() != avoid.content {
			return index, secret
		}
	}
	return avoid.index, a.sources[avoid.index].current()
}

func (a *secretAuth) keyID() string { return a.method }

func (a *secretAuth) check(options ClientOptions) error {
	if len(a.sources) == 0 {
		return errNoSecret
	}
	for _, source := range a.sources {
		secret := source.current()
		switch {
		case secret.IsZero():
			return errNoSecret
		case len(secret.Reveal()) < a.least:
			return errShortSecret
		}
	}
	if a.where != nil {
		return a.where(options)
	}
	return nil
}

func (a *secretAuth) refused(attempt *attempt) bool {
	for _, source := range a.sources {
		source.reread()
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if attempt.avoid != nil {
		a.nothing = attempt.now
		return false
	}
	changed := a.sources[attempt.proof.index].current().Reveal() != attempt.proof.content
	if !changed && attempt.now.Sub(a.nothing) < retrySecret {
		return false
	}
	for _, source := range a.sources {
		if source.current().Reveal() != attempt.proof.content {
			return true
		}
	}
	return false
}

func (a *secretAuth) accepted(attempt *attempt) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.works = attempt.proof.index
}
