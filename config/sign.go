package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-gatehouse/gatehouse/jose"
)

// Defaults of the gateway's own keys.
const (
	// DefaultSignAlgorithm signs: every JWT library has it, and it is cheap.
	DefaultSignAlgorithm = jose.ES256
	// DefaultRotate is how long one key signs.
	DefaultRotate = 7 * 24 * time.Hour
	// DefaultOverlap is how long a key is published before and after it signs.
	DefaultOverlap = time.Hour

	// minOverlap leaves whole seconds for the max-age of the key set.
	minOverlap = 4 * time.Second
	// rotateFactor keeps at most one key waiting while another signs.
	rotateFactor = 2
)

// What the subject of the gateway's own tokens is made of.
const (
	// SubjectPlain is the subject as its issuer has it.
	SubjectPlain = "plain"
	// SubjectIssuerScoped is the subject with its issuer before it.
	SubjectIssuerScoped = "issuer_scoped"
	// SubjectPairwise is a hash of issuer, subject and audience.
	SubjectPairwise = "pairwise"
)

// The words of sign that messages name more than once.
const (
	wordRotate  = "rotate"
	wordOverlap = "overlap"
	wordPublish = "publish"
	wordSubject = "subject"
)

// Sign is how the gateway signs tokens of its own. Its keys are made when Caddy
// starts, lie in Caddy's storage, where all nodes share them, and are replaced
// without anybody's doing.
type Sign struct {
	// The issuer of the gateway's own tokens: the URL in their `iss` claim, https, or
	// http for a loopback host, without query and fragment. All nodes and regions that
	// are one issuer to the upstreams have the same. Required.
	Issuer string `json:"issuer,omitempty"`

	// What signs: `ES256`, `EdDSA`, `RS256` or `PS256`. The RSA ones cost twenty-five
	// times the time and are for upstreams that know no other. A change makes a new
	// key, which signs after `overlap`. Default: `ES256`.
	Algorithm string `json:"algorithm,omitempty"`

	// How long one key signs, at least twice `overlap`. Default: 7d.
	Rotate Duration `json:"rotate,omitempty"`

	// How long a key is published before it signs, and after it did, at least 4s.
	// Whoever verifies tokens may keep the key set for 5m, or half of this if that is
	// less. Default: 1h.
	Overlap Duration `json:"overlap,omitempty"`

	// What the `sub` claim of the gateway's own tokens is: `plain`, the caller's
	// subject, which is unique only within one issuer; `issuer_scoped`, the issuer's
	// URL, a `#` and the subject; or `pairwise`, a hash that is another one for each
	// audience, made with `seal`. Default: `plain` with one trusted
	// issuer. Required with more, since two callers could otherwise be one to an
	// upstream.
	Subject string `json:"subject,omitempty"`

	// The key sets of the same issuer in other regions, which have a storage of their
	// own: https URLs. Their public keys join the published set, so that each region's
	// tokens are good in all. Default: none.
	Publish []string `json:"publish,omitempty"`

	// Where the Caddyfile has this block, as file:line. The Caddyfile adapter
	// writes it. It serves messages only and changes nothing.
	Place string `json:"place,omitempty"`
}

// SignAlgorithm returns what signs.
func (s *Sign) SignAlgorithm() jose.Algorithm {
	if s.Algorithm == "" {
		return DefaultSignAlgorithm
	}
	return jose.Algorithm(s.Algorithm)
}

// SubjectForm returns what subjects are made of: one of the forms above.
func (s *Sign) SubjectForm() string {
	if s.Subject == "" {
		return SubjectPlain
	}
	return s.Subject
}

// The grammar of sign:
//
//	sign {
//		issuer    <url>
//		algorithm ES256 | EdDSA | RS256 | PS256
//		rotate    <duration>
//		overlap   <duration>
//		subject   plain | issuer_scoped | pairwise
//		publish   <peer jwks url...>
//	}
func (s *Sign) options() []option {
	return []option{
		{word: "issuer", read: readOne(&s.Issuer)},
		{word: "algorithm", read: readOne(&s.Algorithm)},
		{word: "rotate", read: readOne(&s.Rotate)},
		{word: "overlap", read: readOne(&s.Overlap)},
		{word: "subject", read: readOne(&s.Subject)},
		{word: "publish", read: readList(&s.Publish)},
	}
}

func (g *Gatehouse) readSign(d *caddyfile.Dispenser) error {
	if g.Sign != nil {
		return fmt.Errorf("it is written already at %s: keep one block", g.Sign.Place)
	}
	sign := &Sign{Place: place(d)}
	if err := readBlock(d, "sign", sign); err != nil {
		return err
	}
	g.Sign = sign
	return nil
}

func (s *Sign) settings() []setting {
	return slices.Concat(
		one("issuer", &s.Issuer, checkIssuerURL),
		one("algorithm", &s.Algorithm, checkSignAlgorithm),
		one(wordRotate, (*string)(&s.Rotate), checkPositive),
		one(wordOverlap, (*string)(&s.Overlap), checkOverlap),
		one(wordSubject, &s.Subject, checkOneOf("form", SubjectPlain, SubjectIssuerScoped, SubjectPairwise)),
		list(wordPublish, s.Publish, checkURL),
	)
}

func (s *Sign) contradiction() error {
	for n, url := range s.Publish {
		if slices.Contains(s.Publish[:n], url) {
			return fmt.Errorf("publish: the URL %s is written twice", url)
		}
	}
	if strings.Contains(string(s.Rotate+s.Overlap), "{") || s.Rotate == "" && s.Overlap == "" {
		return nil // a placeholder still
	}
	return s.times()
}

// times refuses keys that would have to be replaced before they sign. While only
// one of the two is written, the other may follow.
func (s *Sign) times() error {
	if s.Rotate == "" || s.Overlap == "" {
		return nil
	}
	return s.rotateFits()
}

func (s *Sign) rotateFits() error {
	rotate, overlap := s.Rotate.Or(DefaultRotate), s.Overlap.Or(DefaultOverlap)
	if rotate < rotateFactor*overlap {
		return fmt.Errorf("rotate %s is less than twice overlap %s: a key would be replaced before it signs", written(s.Rotate, "7d"), written(s.Overlap, "1h"))
	}
	return nil
}

// written is a value as messages show it.
func written(value Duration, byDefault string) string {
	if value == "" {
		return byDefault + " (the default)"
	}
	return string(value)
}

func (s *Sign) missing() error {
	if s.Issuer == "" {
		return errors.New("issuer is missing: write issuer <url>, the iss claim of the gateway's own tokens")
	}
	if strings.Contains(string(s.Rotate+s.Overlap), "{") {
		return nil // a placeholder still
	}
	return s.rotateFits()
}

// links asks for the form of subjects as soon as two issuers could have the same,
// and for the secret of pairwise ones, whoever signs: an exchange or the token
// service. Issuers that only a token_auth names are not known yet.
func (s *Sign) links(g *Gatehouse) error {
	if s.SubjectForm() == SubjectPairwise && g.Seal == nil {
		return errors.New("subject pairwise needs a secret that makes the subjects: write seal <secret> in the global option gatehouse")
	}
	count := 0
	for _, name := range g.trusted() {
		count += len(g.Issuers[name].URLs)
	}
	return s.Distinguishes(count)
}

// Distinguishes refuses to leave the form of subjects open where that many issuer
// URLs are trusted: user 42 of the one would be user 42 of the other.
func (s *Sign) Distinguishes(issuers int) error {
	if s == nil || s.Subject != "" || issuers <= 1 {
		return nil
	}
	return errors.New("subject is missing: more than one issuer is trusted, and two may use one subject for two callers; " +
		"write subject issuer_scoped or pairwise, or plain if the issuers' subjects never meet")
}

// signAlgorithms are the algorithms that the gateway signs with.
var signAlgorithms = []string{string(jose.ES256), string(jose.EdDSA), string(jose.RS256), string(jose.PS256)}

func checkSignAlgorithm(text string) error {
	if slices.Contains(signAlgorithms, text) {
		return nil
	}
	return unknown("algorithm", text, signAlgorithms)
}

func checkOverlap(text string) error {
	value, err := parseDuration(text)
	if err == nil && value < minOverlap {
		err = fmt.Errorf("%s is too short: write at least 4s", text)
	}
	return err
}
