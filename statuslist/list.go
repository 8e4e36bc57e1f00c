package statuslist

import (
	"bytes"
	"compress/zlib"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"time"

	"github.com/caddy-gatehouse/gatehouse/jose"
	"github.com/caddy-gatehouse/gatehouse/token"
)

// maxListBytes bounds a list once it is decompressed: 134 million tokens of one bit. A
// server can compress a thousand times as much as it sends.
const maxListBytes = 16 << 20

// The statuses with a name (section 7.1).
const (
	statusValid     = 0
	statusInvalid   = 1
	statusSuspended = 2
)

// A List is one Status List Token that was verified. It is immutable.
type List struct {
	bits    uint64 // of one entry: 1, 2, 4 or 8
	entries uint64
	packed  []byte

	issued, expires time.Time     // expires is zero if it has no exp
	ttl             time.Duration // 0 if it has none
	key             *jose.Key     // made the signature
}

// At returns an entry of the list; ok is false if it has no such one. Entries lie in a
// byte from the least significant bit on (section 4.1).
func (l *List) At(index uint64) (status byte, ok bool) {
	if index >= l.entries {
		return 0, false
	}
	perByte := 8 / l.bits
	shift := index % perByte * l.bits
	return l.packed[index/perByte] >> shift & byte(1<<l.bits-1), true
}

// judge says what the list says of a token.
func (l *List) judge(index uint64) error {
	status, ok := l.At(index)
	switch {
	case !ok:
		// No statement can be made of the token (section 8.3).
		return fmt.Errorf("%w: the list has no such entry", token.WrongStatusList)
	case status == statusValid:
		return nil
	case status == statusInvalid:
		return fmt.Errorf("%w: it is invalid", token.StatusInvalid)
	case status == statusSuspended:
		return fmt.Errorf("%w: it is suspended", token.StatusInvalid)
	default:
		// What another status means only its issuer knows.
		return fmt.Errorf("%w: its status is %d", token.StatusInvalid, status)
	}
}

// What is wrong with a list, for the operator. None of it quotes the list.
var (
	errSubject = errors.New("sub is not the address of the list")
	errIssuer  = errors.New("iss is another issuer")
	errIssued  = errors.New("iat is absent, not a date, or lies in the future")
	errExpired = errors.New("exp is not a date, or has passed")
	errEarly   = errors.New("nbf is not a date, or lies in the future")
	errTTL     = errors.New("ttl is not a positive number")
	errBody    = errors.New("status_list is not an object with bits and lst")
	errBits    = errors.New("bits is not 1, 2, 4 or 8")
	errPacked  = errors.New("lst is not a list that was compressed with zlib, in base64url")
	errLarge   = fmt.Errorf("the list is larger than %d bytes", maxListBytes)
)

// expectation is what a list must say of itself.
type expectation struct {
	uri, issuer string
	leeway      time.Duration
	now         time.Time
}

// parseList reads the payload of a Status List Token whose signature is good (sections
// 5.1 and 8.3).
func parseList(payload []byte, want expectation) (*List, error) {
	claims, err := jose.ReadObject(payload)
	if err != nil {
		return nil, err
	}
	if subject, _ := claims.Text("sub"); subject != want.uri {
		return nil, errSubject
	}
	if issuer, _ := claims.Text("iss"); claims.Has("iss") && issuer != want.issuer {
		return nil, errIssuer
	}
	list := new(List)
	if err := list.readTimes(claims, want); err != nil {
		return nil, err
	}
	body, _ := claims.Get("status_list")
	members, ok := body.(map[string]any)
	if !ok {
		return nil, errBody
	}
	if err := list.unpack(members); err != nil {
		return nil, err
	}
	return list, nil
}

func (l *List) readTimes(claims jose.Object, want expectation) (err error) {
	var found bool
	if l.issued, found, err = dateOf(claims, "iat"); err != nil || !found || l.issued.After(want.now.Add(want.leeway)) {
		return errIssued
	}
	if l.expires, found, err = dateOf(claims, "exp"); err != nil || (found && !want.now.Before(l.expires.Add(want.leeway))) {
		return errExpired
	}
	if early, _, err := dateOf(claims, "nbf"); err != nil || early.After(want.now.Add(want.leeway)) {
		return errEarly
	}
	if !claims.Has("ttl") {
		return nil
	}
	seconds, err := numberOf(claims, "ttl")
	if err != nil || seconds <= 0 || seconds > farFuture {
		return errTTL
	}
	l.ttl = time.Duration(min(seconds, maxLife.Seconds()) * float64(time.Second))
	return nil
}

// farFuture is the end of year 9999.
const farFuture = 253402300799

func dateOf(claims jose.Object, name string) (at time.Time, found bool, err error) {
	if !claims.Has(name) {
		return time.Time{}, false, nil
	}
	seconds, err := numberOf(claims, name)
	if err != nil || seconds < 0 || seconds > farFuture {
		return time.Time{}, true, errors.New("not a date")
	}
	return time.Unix(int64(seconds), 0), true, nil
}

func numberOf(claims jose.Object, name string) (float64, error) {
	value, _ := claims.Get(name)
	number, _ := value.(json.Number)
	seconds, err := number.Float64()
	if err == nil && math.IsNaN(seconds) {
		err = errors.New("not a number")
	}
	return seconds, err
}

// unpack reads the array itself (sections 4.1 and 4.2).
func (l *List) unpack(members map[string]any) error {
	bits, _ := members["bits"].(json.Number)
	switch bits {
	case "1", "2", "4", "8":
		l.bits = uint64(bits[0] - '0')
	default:
		return errBits
	}
	text, ok := members["lst"].(string)
	if !ok {
		return errBody
	}
	var err error
	if l.packed, err = inflate(text); err != nil {
		return err
	}
	l.entries = uint64(len(l.packed)) * 8 / l.bits
	return nil
}

// inflate decompresses as far as a list may be large, and no further: what a bomb
// would grow to is never made. What lies behind the compressed bytes is refused, so
// that one list has one spelling.
func inflate(text string) ([]byte, error) {
	// The decoder skips line breaks.
	compressed, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || strings.ContainsAny(text, "\r\n") {
		return nil, errPacked
	}
	// Twice: it is measured before it gets its room, so that a bomb gets none, and a
	// list no more than it has.
	source := bytes.NewReader(compressed)
	reader, err := zlib.NewReader(source)
	if err != nil {
		return nil, errPacked
	}
	size, err := io.Copy(io.Discard, io.LimitReader(reader, maxListBytes+1))
	switch {
	case size > maxListBytes:
		return nil, errLarge
	case err != nil || source.Len() > 0:
		return nil, errPacked
	}
	if reader, err = zlib.NewReader(bytes.NewReader(compressed)); err != nil {
		return nil, errPacked
	}
	packed := make([]byte, size)
	if _, err = io.ReadFull(reader, packed); err != nil {
		return nil, errPacked
	}
	return packed, nil
}
