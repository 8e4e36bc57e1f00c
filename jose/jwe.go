package jose

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ErrDecryption is every error of Decrypt, always with the same text. Whether the
// key, the wrapping or the content was wrong is what an attacker asks, who sends
// changed texts and listens (RFC 7516, section 11.5).
var ErrDecryption = errors.New("decrypting JWE")

// Bounds of an encrypted token. A header that carries a token's worth of text is an
// attack: the largest member that is read is the point of epk.
const (
	maxJWE       = 64 << 10
	maxJWEHeader = 4 << 10
	maxParty     = 512 // characters of apu and apv
)

// A KeyManagement is how a JWE's content key reaches the recipient: an alg of
// RFC 7518, section 4.1.
type KeyManagement string

// The ways that are accepted. RSA1_5 and RSA-OAEP with SHA-1 are not, nor is
// anything with a password (PBES2), whose cost the sender would choose, nor a shared
// key (dir, A128KW), which the gateway does not have.
const (
	RSAOAEP256   KeyManagement = "RSA-OAEP-256"
	ECDHES       KeyManagement = "ECDH-ES"
	ECDHESA128KW KeyManagement = "ECDH-ES+A128KW"
	ECDHESA192KW KeyManagement = "ECDH-ES+A192KW"
	ECDHESA256KW KeyManagement = "ECDH-ES+A256KW"
)

// wrapSizes are the octets of the key that wraps the content key; 0 where the agreed
// key is the content key.
var wrapSizes = map[KeyManagement]int{ECDHES: 0, ECDHESA128KW: 16, ECDHESA192KW: 24, ECDHESA256KW: 32}

// contentSizes are the octets of the content key of each enc that is accepted
// (RFC 7518, section 5.3).
var contentSizes = map[string]int{"A128GCM": 16, "A192GCM": 24, "A256GCM": 32}

// KeyManagements returns every way that is accepted, in a fixed order.
func KeyManagements() []KeyManagement {
	return []KeyManagement{RSAOAEP256, ECDHES, ECDHESA128KW, ECDHESA192KW, ECDHESA256KW}
}

// ParseKeyManagement returns the way of that registered name.
func ParseKeyManagement(name string) (KeyManagement, error) {
	for _, way := range KeyManagements() {
		if string(way) == name {
			return way, nil
		}
	}
	return "", fmt.Errorf("key management algorithm %q is not accepted; accepted are %v", name, KeyManagements())
}

// A Decrypter opens encrypted tokens. It is immutable and safe for concurrent use.
type Decrypter struct {
	keys []*DecryptionKey
	id   string
}

// maxDecryptionKeys bounds what a token without kid makes the gateway try: two keys
// while they rotate are usual.
const maxDecryptionKeys = 16

// NewDecrypter makes a decrypter of at least one key. It fails if two of them have
// the same kid.
func NewDecrypter(keys ...*DecryptionKey) (*Decrypter, error) {
	if len(keys) == 0 || len(keys) > maxDecryptionKeys {
		return nil, fmt.Errorf("%d keys for decryption; between 1 and %d are accepted", len(keys), maxDecryptionKeys)
	}
	seen := make(map[string]bool)
	for _, key := range keys {
		if key.id != "" && seen[key.id] {
			return nil, fmt.Errorf("two keys for decryption have the kid %q", key.id)
		}
		seen[key.id] = true
	}
	return &Decrypter{keys: slices.Clone(keys), id: nameOf(keys)}, nil
}

// ID is the same for the same keys that may be used in the same ways. It tells
// nothing of the keys.
func (d *Decrypter) ID() string { return d.id }

func nameOf(keys []*DecryptionKey) string {
	var parts strings.Builder
	for _, key := range keys {
		fmt.Fprintf(&parts, "%q %x %q\n", key.id, key.public(), key.ways)
	}
	sum := sha256.Sum256([]byte(parts.String()))
	return string(sum[:])
}

// Decrypt opens a compact JWE (RFC 7516, section 7.1) and returns the compact JWS in
// it (RFC 7519, section 5.2), which nobody has verified: everyone can encrypt to a
// public key. Nothing else is accepted as content, an unsigned claims set least of
// all.
//
// The header is checked before any key is touched, so that what it asks for costs
// nothing that the gateway does not do anyway.
func (d *Decrypter) Decrypt(compact string) (string, error) {
	envelope, err := parseJWE(compact)
	if err != nil {
		return "", err
	}
	for _, key := range d.keys {
		if !key.fits(envelope) {
			continue
		}
		plain, ok := envelope.open(key)
		if !ok {
			continue
		}
		if inner := string(plain); strings.Count(inner, ".") == 2 {
			return inner, nil
		}
		return "", ErrDecryption
	}
	return "", ErrDecryption
}

// An envelope is a parsed JWE whose header asks for nothing but what is accepted.
type envelope struct {
	way        KeyManagement
	id         string
	size       int // octets of the content key
	encryption string
	ephemeral  Object // epk, for ECDH-ES
	partyU     []byte
	partyV     []byte

	protected  []byte // as the authentication tag covers it
	wrapped    []byte
	nonce      []byte
	ciphertext []byte // with the tag behind it
}

func parseJWE(compact string) (*envelope, error) {
	if len(compact) > maxJWE || strings.Count(compact, ".") != 4 {
		return nil, ErrDecryption
	}
	parts := strings.Split(compact, ".")
	if len(parts[0]) > maxJWEHeader {
		return nil, ErrDecryption
	}
	envelope, err := readJWEHeader(parts[0])
	if err != nil {
		return nil, ErrDecryption
	}
	// Only an agreed key comes without a wrapped one (RFC 7518, section 4.6).
	if (parts[1] == "") != (envelope.way == ECDHES) {
		return nil, ErrDecryption
	}
	if parts[1] != "" {
		if envelope.wrapped, err = decodePart(parts[1]); err != nil {
			return nil, ErrDecryption
		}
	}
	nonce, err := decodePart(parts[2])
	if err != nil || len(nonce) != 12 {
		return nil, ErrDecryption
	}
	ciphertext, err := decodePart(parts[3])
	if err != nil {
		return nil, ErrDecryption
	}
	tag, err := decodePart(parts[4])
	if err != nil || len(tag) != 16 { // a shorter tag is one that can be guessed
		return nil, ErrDecryption
	}
	envelope.protected, envelope.nonce, envelope.ciphertext = []byte(parts[0]), nonce, slices.Concat(ciphertext, tag)
	return envelope, nil
}

// readJWEHeader accepts what RFC 7516, section 4, defines and the gateway does.
func readJWEHeader(part string) (*envelope, error) {
	data, err := decodePart(part)
	if err != nil {
		return nil, err
	}
	members, err := ReadObject(data)
	if err != nil {
		return nil, err
	}
	// zip is a bomb, crit asks for what is not known, p2s and p2c belong to PBES2; iv
	// and tag belong to AES-GCM key wrapping.
	if slices.ContainsFunc([]string{"zip", "crit", "b64", "p2s", "p2c", "iv", "tag"}, members.Has) {
		return nil, ErrDecryption
	}
	header, err := readHeader(members)
	if err != nil {
		return nil, err
	}
	way, err := ParseKeyManagement(header.Algorithm)
	if err != nil {
		return nil, err
	}
	encryption, _ := members.Text("enc")
	size, ok := contentSizes[encryption]
	if content, _ := members.Text("cty"); !ok || (members.Has("cty") && !isJWT(content)) {
		return nil, ErrDecryption
	}
	read := &envelope{way: way, id: header.KeyID, size: size, encryption: encryption}
	if err := read.readAgreement(members); err != nil {
		return nil, err
	}
	return read, nil
}

// isJWT knows the cty of a nested token (RFC 7519, section 5.2); other names of the
// same thing are common.
func isJWT(content string) bool {
	content = strings.ToLower(content)
	content = strings.TrimPrefix(content, "application/")
	return content == "jwt" || content == "at+jwt"
}

// readAgreement reads the members of RFC 7518, section 4.6.1.
func (e *envelope) readAgreement(members Object) error {
	if e.way == RSAOAEP256 {
		return nil
	}
	text, ok := members.find("epk")
	if !ok {
		return ErrDecryption
	}
	var err error
	if e.ephemeral, err = ReadObject([]byte(text)); err != nil {
		return err
	}
	for name, to := range map[string]*[]byte{"apu": &e.partyU, "apv": &e.partyV} {
		text, ok := members.Text(name)
		if !members.Has(name) || text == "" && ok {
			continue
		}
		if !ok || len(text) > maxParty {
			return ErrDecryption
		}
		if *to, err = decodePart(text); err != nil {
			return err
		}
	}
	return nil
}

// open decrypts with one key. It takes the same way whichever part is wrong.
func (e *envelope) open(key *DecryptionKey) ([]byte, bool) {
	content, ok := key.contentKey(e)
	if !ok {
		return nil, false
	}
	block, err := aes.NewCipher(content)
	if err != nil {
		return nil, false
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		return nil, false
	}
	plain, err := gcm.Open(nil, e.nonce, e.ciphertext, e.protected)
	return plain, err == nil
}
