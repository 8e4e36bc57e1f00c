package jose

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

// Errors of ParseJWS. None of them quotes the text: nobody has verified it.
var (
	// ErrMalformed says that the text is not a compact JWS.
	ErrMalformed = errors.New("parsing JWS")
	// ErrEncrypted says that the text has the five parts of a JWE.
	ErrEncrypted = errors.New("parsing JWS: the token is encrypted (JWE)")
)

// maxKeyID bounds a kid. Real ones are thumbprints and UUIDs.
const maxKeyID = 512

// strictBase64 refuses trailing bits, so that one signature has one spelling.
var strictBase64 = base64.RawURLEncoding.Strict()

// A Header is what the gateway reads of a JOSE header (RFC 7515, section 4). The
// members that carry or point to keys (jwk, jku, x5c, x5u) are never read.
type Header struct {
	Algorithm string // alg as sent; it may be any text
	KeyID     string // kid, "" if absent
	Type      string // typ, "" if absent
}

// A JWS is a parsed compact JWS (RFC 7515, section 7.1) that nobody has
// verified yet.
type JWS struct {
	Header  Header
	Payload []byte

	signed    string
	signature []byte
}

// IsEncrypted tells whether a text has the five parts of a compact JWE (RFC 7516,
// section 7.1).
func IsEncrypted(compact string) bool { return strings.Count(compact, ".") == 4 } //nolint:mnd // dots between five parts

// ParseJWS splits and decodes a compact JWS. It accepts exactly three parts, in
// strict base64url, with a strict JSON header without extensions that must be
// understood (crit).
func ParseJWS(compact string) (*JWS, error) {
	head, rest, ok := strings.Cut(compact, ".")
	if !ok {
		return nil, fmt.Errorf("%w: not three parts", ErrMalformed)
	}
	body, tail, ok := strings.Cut(rest, ".")
	switch dots := strings.Count(tail, "."); {
	case !ok || (dots != 0 && dots != 2):
		return nil, fmt.Errorf("%w: not three parts", ErrMalformed)
	case dots == 2:
		return nil, ErrEncrypted
	}
	header, err := parseHeader(head)
	if err != nil {
		return nil, err
	}
	payload, err := decodePart(body)
	if err != nil {
		return nil, err
	}
	signature, err := decodePart(tail)
	if err != nil {
		return nil, err
	}
	signed := compact[:len(head)+1+len(body)]
	return &JWS{Header: header, Payload: payload, signed: signed, signature: signature}, nil
}

func decodePart(part string) ([]byte, error) {
	// The decoder skips line breaks, which compact serialization does not have.
	if part == "" || strings.Contains(part, "\n") || strings.Contains(part, "\r") {
		return nil, fmt.Errorf("%w: an empty or broken part", ErrMalformed)
	}
	data, err := strictBase64.DecodeString(part)
	if err != nil {
		return nil, fmt.Errorf("%w: a part is not base64url", ErrMalformed)
	}
	return data, nil
}

func parseHeader(part string) (Header, error) {
	data, err := decodePart(part)
	if err != nil {
		return Header{}, err
	}
	members, err := ReadObject(data)
	if err != nil {
		return Header{}, fmt.Errorf("%w: header: %w", ErrMalformed, err)
	}
	// RFC 7515, section 4.1.11: what must be understood and is not must be
	// refused. b64 (RFC 7797) and zip change what the parts mean.
	for _, name := range []string{"crit", "b64", "zip"} {
		if members.Has(name) {
			return Header{}, fmt.Errorf("%w: header has %s, which is not supported", ErrMalformed, name)
		}
	}
	return readHeader(members)
}

// ReadHeader reads the whole header of a compact JWS or JWE, for a person to look
// at: it may say anything, and nothing of it is to be believed.
func ReadHeader(compact string) (Object, error) {
	head, _, _ := strings.Cut(compact, ".")
	data, err := decodePart(head)
	if err != nil {
		return Object{}, err
	}
	return ReadObject(data)
}

func readHeader(members Object) (Header, error) {
	var header Header
	fields := []struct {
		name string
		to   *string
	}{{"alg", &header.Algorithm}, {"kid", &header.KeyID}, {"typ", &header.Type}}
	for _, field := range fields {
		var ok bool
		if *field.to, ok = members.Text(field.name); !ok && members.Has(field.name) {
			return Header{}, fmt.Errorf("%w: header member %s is not text", ErrMalformed, field.name)
		}
	}
	if header.Algorithm == "" {
		return Header{}, fmt.Errorf("%w: header has no alg", ErrMalformed)
	}
	if len(header.KeyID) > maxKeyID {
		return Header{}, fmt.Errorf("%w: kid is too long", ErrMalformed)
	}
	return header, nil
}

// VerifyWith checks the signature with one key and one algorithm. The header's
// own alg must be that algorithm as well.
func (j *JWS) VerifyWith(key *Key, alg Algorithm) error {
	if Algorithm(j.Header.Algorithm) != alg {
		return fmt.Errorf("%w: the header names another algorithm", ErrSignature)
	}
	return key.Verify(alg, []byte(j.signed), j.signature)
}
