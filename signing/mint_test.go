package signing_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-gatehouse/gatehouse/internal/tokentest"
	"github.com/caddy-gatehouse/gatehouse/jose"
	"github.com/caddy-gatehouse/gatehouse/signing"
	"github.com/caddy-gatehouse/gatehouse/token"
)

const own = "https://gateway.example"

// now has a part of a second, as clocks do.
var now = time.Unix(1_800_000_000, 700_000_000)

func clock() time.Time { return now }

func newSigner(tb testing.TB) *jose.Signer {
	tb.Helper()
	signer, err := jose.NewSigner(tokentest.NewKey(tb, "ES256", "").Private, jose.ES256, "k1")
	if err != nil {
		tb.Fatal(err)
	}
	return signer
}

func access() *signing.Claims {
	return &signing.Claims{
		Subject: "alice", Audience: "orders", Client: own, Scope: []string{"orders:read", "orders:write"}, Lifetime: 2 * time.Minute,
	}
}

func transaction() *signing.Claims {
	return &signing.Claims{
		Subject: "alice", Audience: "https://trust.example", Scope: []string{"orders:read"}, Transaction: "t1", Workload: own,
		Lifetime: time.Minute,
	}
}

// read returns header and claims of a token that the signer's key verifies.
func read(t *testing.T, signer *jose.Signer, raw token.Raw) (jose.Header, map[string]any) {
	t.Helper()
	jws, err := jose.ParseJWS(raw.Reveal())
	if err != nil {
		t.Fatal(err)
	}
	if err := jws.VerifyWith(signer.Public(), signer.Algorithm()); err != nil {
		t.Fatal(err)
	}
	claims, err := jose.ParseObject(jws.Payload)
	if err != nil {
		t.Fatalf("%v in %s", err, jws.Payload)
	}
	return jws.Header, claims
}

func number(n string) json.Number { return json.Number(n) }

func TestMintAccessToken(t *testing.T) {
	signer := newSigner(t)
	claims := access()
	claims.SubjectID = signing.SubjectID{Issuer: "https://idp.example", Subject: "al\"ice\n"}
	claims.Act = map[string]any{"sub": own, "act": map[string]any{"sub": "agent"}}
	claims.AuthTime, claims.ACR, claims.AMR = time.Unix(1_799_999_000, 0), "silver", []string{"pwd", "otp"}
	claims.Confirmation = token.Confirmation{Key: token.Thumbprint{1}, Certificate: token.Thumbprint{2}}
	claims.Transaction = "t1"
	claims.Extra = map[string]any{"tenant": "acme", "limits": []any{number("1"), true}}
	minted, err := signing.NewMinter(signing.Fixed(signer), own, clock).Mint(signing.AccessTokens, claims)
	if err != nil {
		t.Fatal(err)
	}
	header, got := read(t, signer, minted.Token)
	if want := (jose.Header{Algorithm: "ES256", KeyID: "k1", Type: "at+jwt"}); !cmp.Equal(header, want) {
		t.Errorf("header %+v", header)
	}
	zeros := func(first string) string { return first + strings.Repeat("A", 41) }
	want := map[string]any{
		"iss": own, "sub": "alice", "aud": "orders", "client_id": own, "scope": "orders:read orders:write",
		"iat": number("1799999995"), "exp": number("1800000120"), "jti": minted.ID, "txn": "t1",
		"auth_time": number("1799999000"), "acr": "silver", "amr": []any{"pwd", "otp"},
		"sub_id": map[string]any{"format": "iss_sub", "iss": "https://idp.example", "sub": "al\"ice\n"},
		"act":    map[string]any{"sub": own, "act": map[string]any{"sub": "agent"}},
		"cnf":    map[string]any{"jkt": zeros("AQ"), "x5t#S256": zeros("Ag")},
		"tenant": "acme", "limits": []any{number("1"), true},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if minted.KeyID != "k1" || !minted.Expiry.Equal(time.Unix(1_800_000_120, 0)) || len(minted.ID) != 22 {
		t.Errorf("told %+v", minted)
	}
}

func TestMintTransactionToken(t *testing.T) {
	signer := newSigner(t)
	claims := transaction()
	claims.Context, claims.Requester = map[string]any{"order": "42"}, map[string]any{"acr": "silver"}
	claims.Client = "never said" // a transaction token is no access token of a client's
	minted, err := signing.NewMinter(signing.Fixed(signer), own, clock).Mint(signing.TransactionTokens, claims)
	if err != nil {
		t.Fatal(err)
	}
	header, got := read(t, signer, minted.Token)
	if header.Type != "txntoken+jwt" {
		t.Errorf("typ %q", header.Type)
	}
	want := map[string]any{
		"iss": own, "sub": "alice", "aud": "https://trust.example", "scope": "orders:read", "txn": "t1", "req_wl": own,
		"iat": number("1799999995"), "exp": number("1800000060"), "jti": minted.ID,
		"tctx": map[string]any{"order": "42"}, "rctx": map[string]any{"acr": "silver"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// Two tokens never have one jti, and none outlives what it is derived from.
func TestMintBounds(t *testing.T) {
	minter := signing.NewMinter(signing.Fixed(newSigner(t)), own, clock)
	one, err := minter.Mint(signing.AccessTokens, access())
	if err != nil {
		t.Fatal(err)
	}
	bounded := access()
	bounded.NotAfter = now.Add(30 * time.Second)
	two, err := minter.Mint(signing.AccessTokens, bounded)
	if err != nil || one.ID == two.ID || two.Expiry.After(bounded.NotAfter) || two.Expiry.Before(now.Add(29*time.Second)) {
		t.Errorf("%v: jti %s and %s, expiry %v", err, one.ID, two.ID, two.Expiry)
	}
	for name, end := range map[string]time.Time{"past": now.Add(-time.Second), "within the second": now.Add(200 * time.Millisecond)} {
		ended := access()
		ended.NotAfter = end
		if minted, err := minter.Mint(signing.AccessTokens, ended); !errors.Is(err, signing.ErrEnded) {
			t.Errorf("%s: got %v, %v", name, minted, err)
		}
	}
}

func TestMintRefuses(t *testing.T) {
	minter := signing.NewMinter(signing.Fixed(newSigner(t)), own, clock)
	for name, test := range map[string]struct {
		purpose signing.Purpose
		claims  *signing.Claims
		spoil   func(*signing.Claims)
		want    string
	}{
		"purpose":     {"other", access(), func(*signing.Claims) {}, "unknown purpose"},
		"sub":         {signing.AccessTokens, access(), func(c *signing.Claims) { c.Subject = "" }, "sub is missing"},
		"aud":         {signing.AccessTokens, access(), func(c *signing.Claims) { c.Audience = "" }, "aud is missing"},
		"client":      {signing.AccessTokens, access(), func(c *signing.Claims) { c.Client = "" }, "client_id is missing"},
		"lifetime":    {signing.AccessTokens, access(), func(c *signing.Claims) { c.Lifetime = 0 }, "lifetime is missing"},
		"no txn":      {signing.TransactionTokens, transaction(), func(c *signing.Claims) { c.Transaction = "" }, "txn is missing"},
		"no req_wl":   {signing.TransactionTokens, transaction(), func(c *signing.Claims) { c.Workload = "" }, "req_wl is missing"},
		"no scope":    {signing.TransactionTokens, transaction(), func(c *signing.Claims) { c.Scope = nil }, "scope is missing"},
		"iss over":    {signing.AccessTokens, access(), func(c *signing.Claims) { c.Extra = map[string]any{"iss": "x"} }, "iss is not"},
		"exp over":    {signing.AccessTokens, access(), func(c *signing.Claims) { c.Extra = map[string]any{"exp": 1e12} }, "exp is not"},
		"ID token":    {signing.AccessTokens, access(), func(c *signing.Claims) { c.Extra = map[string]any{"nonce": "n"} }, "nonce is not"},
		"not JSON":    {signing.AccessTokens, access(), func(c *signing.Claims) { c.Extra = map[string]any{"f": func() {}} }, "as JSON"},
		"not unicode": {signing.AccessTokens, access(), func(c *signing.Claims) { c.Subject = "\xff" }, "as JSON"},
	} {
		t.Run(name, func(t *testing.T) {
			test.spoil(test.claims)
			minted, err := minter.Mint(test.purpose, test.claims)
			if !errors.Is(err, signing.ErrClaims) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, %v", minted, err)
			}
		})
	}
	if _, err := signing.NewMinter(signing.Fixed(nil), own, nil).Mint(signing.AccessTokens, access()); !errors.Is(err, signing.ErrNoKey) {
		t.Errorf("without a key: %v", err)
	}
}

// Every claim that the minter writes is one that extras cannot write again: a
// duplicate member means one thing here and another there.
func TestReserved(t *testing.T) {
	signer := newSigner(t)
	minter := signing.NewMinter(signing.Fixed(signer), own, clock)
	full := access()
	full.SubjectID, full.Act, full.Transaction = signing.SubjectID{Issuer: "i", Subject: "s"}, map[string]any{"sub": "a"}, "t"
	full.AuthTime, full.ACR, full.AMR, full.Confirmation.Key = now, "a", []string{"m"}, token.Thumbprint{1}
	txn := transaction()
	txn.Context, txn.Requester = map[string]any{"a": 1}, map[string]any{"b": 1}
	for purpose, claims := range map[signing.Purpose]*signing.Claims{signing.AccessTokens: full, signing.TransactionTokens: txn} {
		minted, err := minter.Mint(purpose, claims)
		if err != nil {
			t.Fatal(err)
		}
		_, got := read(t, signer, minted.Token)
		for name := range got {
			if !signing.Reserved(name) {
				t.Errorf("%s is not reserved", name)
			}
		}
	}
	for _, name := range []string{"email", "roles", "tenant", "name", "groups"} {
		if signing.Reserved(name) {
			t.Errorf("%s is reserved: no upstream could be told it", name)
		}
	}
}

func BenchmarkMint(b *testing.B) {
	minter := signing.NewMinter(signing.Fixed(newSigner(b)), own, nil)
	claims := access()
	claims.Act = map[string]any{"sub": own}
	for b.Loop() {
		if _, err := minter.Mint(signing.AccessTokens, claims); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSignatureAlone(b *testing.B) {
	signer := newSigner(b)
	for b.Loop() {
		if _, err := signer.Sign(nil, []byte("payload")); err != nil {
			b.Fatal(err)
		}
	}
}
