package token

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
)

// maxStatusURI bounds the address of a status list. It is kept with the token, and
// names the list in a table of those that are known.
const maxStatusURI = 2048

// A Status is where a token's issuer says whether it still stands by it: one entry of a
// Token Status List (draft-ietf-oauth-status-list, section 6.2). The zero value names
// none.
type Status struct {
	// URI is the address of the list, and its name; "" if the token names none.
	URI string
	// Index is the token's entry in it.
	Index uint64
}

// IsZero tells whether the token names no list.
func (s Status) IsZero() bool { return s.URI == "" }

// A StatusSource knows the status lists of one issuer; see statuslist.Lists.
type StatusSource interface {
	// Check tells whether the entry says that the token is good. It asks no network for
	// a list that is known. Errors wrap StatusInvalid, WrongStatusList or StatusUnknown,
	// or are the context's.
	Check(ctx context.Context, status Status) error
}

// readStatus reads the claim of a JWT that says where its status is. A claim that
// names other ways alone is refused: the issuer wants somebody asked, and nobody here
// knows how (section 8.3: no statement can be made, so the token is to be rejected).
func readStatus(claims Claims) (Status, error) {
	value, ok := claims.Get("status")
	if !ok {
		return Status{}, nil
	}
	ways, ok := value.(map[string]any)
	if !ok {
		return Status{}, fmt.Errorf("%w: status is not an object", BadClaim)
	}
	entry, ok := ways["status_list"].(map[string]any)
	if !ok {
		return Status{}, fmt.Errorf("%w: status has no object status_list, and other ways to ask are not known", BadClaim)
	}
	uri, ok := entry["uri"].(string)
	if !ok || uri == "" || len(uri) > maxStatusURI {
		return Status{}, fmt.Errorf("%w: status.status_list.uri is not a text of 1 to %d bytes", BadClaim, maxStatusURI)
	}
	number, _ := entry["idx"].(json.Number)
	// 63 bits, so that arithmetic with bits cannot run over; no fraction, no exponent.
	index, err := strconv.ParseUint(number.String(), 10, 63)
	if err != nil {
		return Status{}, fmt.Errorf("%w: status.status_list.idx is not an integer from 0 on", BadClaim)
	}
	return Status{URI: uri, Index: index}, nil
}

// checkStatus asks the issuer's list about a token whose signature is good. Before that
// nothing may be asked: whoever can write an address could have it called (section 8.3).
func checkStatus(ctx context.Context, t *Token, issuer *Issuer) error {
	switch {
	case t.Status.IsZero():
		return nil
	case issuer.Statuses == nil:
		return fmt.Errorf("%w: this issuer has no status lists here", WrongStatusList)
	default:
		return issuer.Statuses.Check(ctx, t.Status)
	}
}

// readJWT makes a token of a JWT's claims; see read. What an issuer says of an opaque
// token has no status: to ask the issuer is to know it.
func readJWT(digest Digest, typ string, claims Claims, paths ClaimPaths) (*Token, error) {
	parsed, err := read(digest, typ, claims, paths)
	if err != nil {
		return parsed, err
	}
	parsed.Status, err = readStatus(claims)
	return parsed, err
}
