package proof

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"net/url"
	"sync"

	"github.com/caddy-gatehouse/gatehouse/jose"
	"github.com/caddy-gatehouse/gatehouse/token"
)

// maxPlaces bounds the nonces that a Prover remembers: one a server.
const maxPlaces = 1024

// A Prover makes proofs with a key of its own, which never leaves the process. It
// remembers the last nonce of each server. It is safe for concurrent use.
type Prover struct {
	key func() (*jose.Signer, error)

	mu     sync.Mutex
	nonces map[string]string
}

// NewProver makes a prover. Its key is made when it is first needed.
func NewProver() *Prover {
	return &Prover{nonces: make(map[string]string), key: sync.OnceValues(func() (*jose.Signer, error) {
		private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return nil, err
		}
		return jose.NewSigner(private, jose.ES256, "")
	})}
}

// Thumbprint is the jkt of its key (RFC 9449, section 6.1).
func (p *Prover) Thumbprint() (token.Thumbprint, error) {
	signer, err := p.key()
	if err != nil {
		return token.Thumbprint{}, err
	}
	return token.Thumbprint(signer.Public().Thumbprint()), nil
}

// Prove makes a proof for one attempt. A target without a nonce gets the last one
// that its server offered.
func (p *Prover) Prove(target Target) (string, error) {
	signer, err := p.key()
	if err != nil {
		return "", err
	}
	if target.Nonce == "" {
		target.Nonce = p.nonce(place(target.URL, !target.Token.IsZero()))
	}
	return Prove(signer, target)
}

// Offered remembers the nonce of a server's DPoP-Nonce header (RFC 9449, sections 8
// and 9). withToken tells a resource server from a token endpoint at the same
// origin.
func (p *Prover) Offered(address, nonce string, withToken bool) {
	if nonce == "" || len(nonce) > maxNonce {
		return
	}
	key := place(address, withToken)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.nonces[key] == nonce {
		return
	}
	if len(p.nonces) >= maxPlaces {
		clear(p.nonces) // each costs its server one more answer
	}
	p.nonces[key] = nonce
}

func (p *Prover) nonce(key string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.nonces[key]
}

func place(address string, withToken bool) string {
	origin := "unknown"
	if u, err := url.Parse(address); err == nil {
		origin = u.Scheme + "://" + u.Host
	}
	if withToken {
		return "resource " + origin
	}
	return "token " + origin
}
