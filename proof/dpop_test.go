package proof_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-gatehouse/gatehouse/internal/tokentest"
	"github.com/caddy-gatehouse/gatehouse/jose"
	"github.com/caddy-gatehouse/gatehouse/proof"
	"github.com/caddy-gatehouse/gatehouse/store"
	"github.com/caddy-gatehouse/gatehouse/token"
)

func TestDPoPAcceptsEachAlgorithm(t *testing.T) {
	checker := newDPoP(t, proof.DPoPConfig{})
	for _, alg := range []string{"ES256", "RS256", "PS256", "EdDSA"} {
		c := newClient(t, alg)
		proved, err := checker.Check(t.Context(), c.request(t, c.prove(nil, nil)))
		if err != nil || proved.Key != c.thumbprint(t) || proved.NextNonce != "" {
			t.Errorf("%s: %+v, %v", alg, proved, err)
		}
	}
}

func TestDPoPRefuses(t *testing.T) {
	checker := newDPoP(t, proof.DPoPConfig{Algorithms: []jose.Algorithm{jose.ES256}})
	c, thief := newClient(t, "ES256"), newClient(t, "ES256")
	header := func(name string, value any) string { return c.prove(map[string]any{name: value}, nil) }
	claim := func(name string, value any) string { return c.prove(nil, map[string]any{name: value}) }
	private := c.key.JWK()
	private["d"] = "870MB6gfuTJ4HtUnUvYMyJpr5eUZNP4Bk43bVdj3eAE"
	weak := map[string]any{"kty": "RSA", "e": "AQAB", "n": tokentest.Encode([]byte(strings.Repeat("\xff", 128)))}
	now := time.Now()
	good := c.prove(nil, nil)
	for name, test := range map[string]struct {
		proofs []string
		want   proof.Reason
	}{
		"none":                {nil, proof.MissingProof},
		"empty":               {[]string{""}, proof.BadProof},
		"two":                 {[]string{good, c.prove(nil, nil)}, proof.BadProof},
		"the same twice":      {[]string{good, good}, proof.BadProof},
		"joined":              {[]string{good + ", " + good}, proof.BadProof},
		"too long":            {[]string{claim("x", strings.Repeat("x", proof.MaxProof))}, proof.BadProof},
		"dots":                {[]string{strings.Repeat(".", proof.MaxProof)}, proof.BadProof},
		"encrypted":           {[]string{"a.b.c.d.e"}, proof.BadProof},
		"typ JWT":             {[]string{header("typ", "JWT")}, proof.BadProof},
		"typ of a token":      {[]string{header("typ", "at+jwt")}, proof.BadProof},
		"typ absent":          {[]string{header("typ", nil)}, proof.BadProof},
		"alg none":            {[]string{header("alg", "none")}, proof.BadProof},
		"alg HS256":           {[]string{header("alg", "HS256")}, proof.BadProof},
		"alg not accepted":    {[]string{newClient(t, "RS256").prove(nil, nil)}, proof.BadProof},
		"alg of another key":  {[]string{header("alg", "EdDSA")}, proof.BadProof},
		"crit":                {[]string{header("crit", []string{"x"})}, proof.BadProof},
		"jwk absent":          {[]string{header("jwk", nil)}, proof.BadProof},
		"jwk a text":          {[]string{header("jwk", "x")}, proof.BadProof},
		"jwk private":         {[]string{header("jwk", private)}, proof.BadProof},
		"jwk symmetric":       {[]string{header("jwk", map[string]any{"kty": "oct", "k": "c2VjcmV0"})}, proof.BadProof},
		"jwk weak":            {[]string{header("jwk", weak)}, proof.BadProof},
		"jwk for encryption":  {[]string{header("jwk", with(c.key.JWK(), "use", "enc"))}, proof.BadProof},
		"jwk other alg":       {[]string{header("jwk", with(c.key.JWK(), "alg", "ES384"))}, proof.BadProof},
		"jwk off its curve":   {[]string{header("jwk", with(c.key.JWK(), "y", tokentest.Encode(make([]byte, 32))))}, proof.BadProof},
		"jwk short":           {[]string{header("jwk", with(c.key.JWK(), "x", "AA"))}, proof.BadProof},
		"jwk unknown curve":   {[]string{header("jwk", with(c.key.JWK(), "crv", "secp256k1"))}, proof.BadProof},
		"jwk of a stranger":   {[]string{header("jwk", thief.key.JWK())}, proof.WrongKey},
		"another's proof":     {[]string{thief.prove(nil, map[string]any{"ath": nil})}, proof.BadProof},
		"another's with ath":  {[]string{thief.prove(nil, map[string]any{"ath": hashOf(c.raw)})}, proof.WrongKey},
		"signed by a thief":   {[]string{thief.prove(map[string]any{"jwk": c.key.JWK()}, map[string]any{"ath": hashOf(c.raw)})}, proof.BadProof},
		"htm another":         {[]string{claim("htm", "POST")}, proof.BadProof},
		"htm lower case":      {[]string{claim("htm", "get")}, proof.BadProof},
		"htm absent":          {[]string{claim("htm", nil)}, proof.BadProof},
		"htm a list":          {[]string{claim("htm", []string{"GET"})}, proof.BadProof},
		"htu another path":    {[]string{claim("htu", "https://api.example.com/orders/8")}, proof.BadProof},
		"htu another host":    {[]string{claim("htu", "https://api.example.org/orders/7")}, proof.BadProof},
		"htu plain http":      {[]string{claim("htu", "http://api.example.com/orders/7")}, proof.BadProof},
		"htu path alone":      {[]string{claim("htu", "/orders/7")}, proof.BadProof},
		"htu absent":          {[]string{claim("htu", nil)}, proof.BadProof},
		"iat long ago":        {[]string{claim("iat", now.Add(-61*time.Second).Unix())}, proof.BadProof},
		"iat in the future":   {[]string{claim("iat", now.Add(40*time.Second).Unix())}, proof.BadProof},
		"iat absent":          {[]string{claim("iat", nil)}, proof.BadProof},
		"iat a text":          {[]string{claim("iat", fmt.Sprint(now.Unix()))}, proof.BadProof},
		"iat overflows":       {[]string{claim("iat", 1e300)}, proof.BadProof},
		"iat negative":        {[]string{claim("iat", -1)}, proof.BadProof},
		"exp has passed":      {[]string{claim("exp", now.Add(-31*time.Second).Unix())}, proof.BadProof},
		"exp a text":          {[]string{claim("exp", "4102444800")}, proof.BadProof},
		"exp overflows":       {[]string{claim("exp", 1e300)}, proof.BadProof},
		"nbf in the future":   {[]string{claim("nbf", now.Add(40*time.Second).Unix())}, proof.BadProof},
		"jti absent":          {[]string{claim("jti", nil)}, proof.BadProof},
		"jti empty":           {[]string{claim("jti", "")}, proof.BadProof},
		"jti a number":        {[]string{claim("jti", 7)}, proof.BadProof},
		"jti long":            {[]string{claim("jti", strings.Repeat("j", 257))}, proof.BadProof},
		"ath of another":      {[]string{claim("ath", hashOf(token.NewRaw("x")))}, proof.BadProof},
		"ath absent":          {[]string{claim("ath", nil)}, proof.BadProof},
		"ath empty":           {[]string{claim("ath", "")}, proof.BadProof},
		"ath with padding":    {[]string{claim("ath", hashOf(c.raw)+"=")}, proof.BadProof},
		"nonce a number":      {[]string{claim("nonce", 1)}, proof.BadProof},
		"payload a list":      {[]string{c.key.SignRaw(tokentest.JSON(map[string]any{"alg": "ES256", "typ": "dpop+jwt", "jwk": c.key.JWK()}), []byte(`[]`))}, proof.BadProof},
		"tampered":            {[]string{tamper(good)}, proof.BadProof},
		"without a signature": {[]string{good[:strings.LastIndexByte(good, '.')+1]}, proof.BadProof},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := checker.Check(t.Context(), c.request(t, test.proofs...))
			if !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
			if err != nil && strings.Contains(err.Error(), "secp256k1") {
				t.Errorf("the error quotes the proof: %v", err)
			}
		})
	}
	if _, err := checker.Check(t.Context(), c.request(t, good)); err != nil {
		t.Errorf("the good proof was used up by the bad ones: %v", err)
	}
	bounded := c.prove(nil, map[string]any{"exp": now.Add(time.Minute).Unix(), "nbf": now.Unix()})
	if _, err := checker.Check(t.Context(), c.request(t, bounded)); err != nil {
		t.Errorf("a proof with dates of its own: %v", err)
	}
}

func TestDPoPWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		checker := newDPoP(t, proof.DPoPConfig{})
		c := newClient(t, "ES256")
		ahead := c.prove(nil, map[string]any{"iat": time.Now().Add(30 * time.Second).Unix()})
		old := c.prove(nil, nil)
		late := c.prove(nil, nil)
		<-time.After(time.Minute)
		if _, err := checker.Check(t.Context(), c.request(t, old)); err != nil {
			t.Errorf("a minute old: %v", err)
		}
		if _, err := checker.Check(t.Context(), c.request(t, ahead)); err != nil {
			t.Errorf("made by a clock that is ahead: %v", err)
		}
		// As long as a proof is good by its iat, its mark is there.
		for range 40 {
			if _, err := checker.Check(t.Context(), c.request(t, ahead)); !errors.Is(err, proof.Replayed) && !errors.Is(err, proof.BadProof) {
				t.Fatalf("again: %v", err)
			}
			<-time.After(time.Second)
		}
		if _, err := checker.Check(t.Context(), c.request(t, late)); !errors.Is(err, proof.BadProof) {
			t.Errorf("older than a minute: %v", err)
		}
	})
}

func TestDPoPMarksAreApart(t *testing.T) {
	checker := newDPoP(t, proof.DPoPConfig{})
	c, other := newClient(t, "ES256"), newClient(t, "ES256")
	id := map[string]any{"jti": "the same"}
	for name, request := range map[string]proof.Request{
		"one client":     c.request(t, c.prove(nil, id)),
		"another client": other.request(t, other.prove(nil, id)),
	} {
		if _, err := checker.Check(t.Context(), request); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	// A new proof does not make an old identifier fresh.
	if _, err := checker.Check(t.Context(), c.request(t, c.prove(nil, id))); !errors.Is(err, proof.Replayed) {
		t.Errorf("again: %v, want Replayed", err)
	}
}

func TestDPoPNonce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nonces, err := proof.NewNonces(time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		checker := newDPoP(t, proof.DPoPConfig{Nonces: nonces})
		c := newClient(t, "ES256")
		check := func(nonce any) (proof.Proved, error) {
			return checker.Check(t.Context(), c.request(t, c.prove(nil, map[string]any{"nonce": nonce})))
		}
		foreign, err := proof.NewNonces(time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		first := checker.Nonce()
		for name, nonce := range map[string]any{
			"absent": nil, "guessed": strings.Repeat("A", 32), "short": "x", "foreign": foreign.Offer(),
			"spelt otherwise": first + "=", "changed": first[:31] + string(first[31]^1),
		} {
			if _, err := check(nonce); !errors.Is(err, proof.NonceNeeded) {
				t.Errorf("%s: %v, want NonceNeeded", name, err)
			}
		}
		if proved, err := check(first); err != nil || proved.NextNonce != "" {
			t.Errorf("the nonce offered now: %+v, %v", proved, err)
		}
		<-time.After(time.Minute)
		second := checker.Nonce()
		if proved, err := check(first); err != nil || proved.NextNonce != second || first == second {
			t.Errorf("the one before: %+v, %v; want %s offered", proved, err, second)
		}
		<-time.After(time.Minute)
		if _, err := check(first); !errors.Is(err, proof.NonceNeeded) {
			t.Errorf("the one before that: %v, want NonceNeeded", err)
		}
	})
}

func TestNoncesOfOneKeyAreShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		old, fresh := []byte(strings.Repeat("o", 32)), []byte(strings.Repeat("f", 32))
		nonces := func(keys ...[]byte) *proof.Nonces {
			made, err := proof.NewNonces(time.Minute, keys...)
			if err != nil {
				t.Fatal(err)
			}
			return made
		}
		// Between the two stands a node that has both while the key rotates.
		before, between, after := nonces(old), nonces(fresh, old), nonces(fresh)
		for name, test := range map[string]struct {
			made, checks *proof.Nonces
			good         bool
		}{
			"one key":                 {before, nonces(old), true},
			"the old one, rotating":   {before, between, true},
			"the new one, rotating":   {after, between, true},
			"made while it rotates":   {between, after, true},
			"the old one, withdrawn":  {before, after, false},
			"one that is not there":   {between, before, false},
			"a process that is alone": {before, nonces(), false},
			"two that are alone":      {nonces(), nonces(), false},
		} {
			if good, current := test.checks.Check(test.made.Offer()); good != test.good || current != test.good {
				t.Errorf("%s: %t, %t", name, good, current)
			}
		}
		if _, err := proof.NewNonces(0, fresh, old[1:]); err == nil {
			t.Error("a short key is accepted")
		}
	})
}

func TestDPoPFailsClosed(t *testing.T) {
	c := newClient(t, "ES256")
	for _, test := range []struct {
		err  error
		want proof.Reason
		is   proof.Class
	}{
		{store.ErrUnavailable, proof.Unchecked, proof.ClassUnavailable},
		{context.DeadlineExceeded, proof.Unchecked, proof.ClassUnavailable},
		{fmt.Errorf("marking: %w", store.ErrFull), proof.TooMany, proof.ClassTooMany},
		{nil, proof.Replayed, proof.ClassInvalidProof},
	} {
		checker := newDPoP(t, proof.DPoPConfig{Marks: marks{test.err}})
		_, err := checker.Check(t.Context(), c.request(t, c.prove(nil, nil)))
		if !errors.Is(err, test.want) || test.want.Class() != test.is {
			t.Errorf("%v: got %v, want %v", test.err, err, test.want)
		}
	}
}

func TestNewDPoPRefuses(t *testing.T) {
	some := store.NewMemory(0)
	for name, config := range map[string]proof.DPoPConfig{
		"no store":     {},
		"HS256":        {Marks: some, Algorithms: []jose.Algorithm{"HS256"}},
		"long window":  {Marks: some, Window: time.Hour},
		"short window": {Marks: some, Window: time.Millisecond},
		"long leeway":  {Marks: some, Leeway: time.Minute},
	} {
		if _, err := proof.NewDPoP(config); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func FuzzDPoP(f *testing.F) {
	checker := newDPoP(f, proof.DPoPConfig{})
	c, thief := newClient(f, "ES256"), newClient(f, "ES256")
	f.Add(c.prove(nil, nil))
	f.Add(c.prove(map[string]any{"jwk": map[string]any{"kty": "RSA", "n": "AQAB", "e": "AQAB"}}, nil))
	f.Add("eyJhbGciOiJFUzI1NiJ9.e30.AA")
	f.Fuzz(func(t *testing.T, text string) {
		// No text opens a token that is bound to a key which nobody used.
		request := c.request(t, text)
		request.Key = thief.thumbprint(t)
		if _, err := checker.Check(t.Context(), request); err == nil {
			t.Fatalf("accepted: %q", text)
		}
	})
}

func BenchmarkDPoP(b *testing.B) {
	for _, alg := range []string{"ES256", "EdDSA", "RS256"} {
		b.Run(alg, func(b *testing.B) {
			checker := newDPoP(b, proof.DPoPConfig{Marks: store.NewMemory(1 << 30)})
			c := newClient(b, alg)
			requests := make([]proof.Request, 0, 20_000)
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				if i == len(requests) {
					b.StopTimer()
					requests, i = requests[:0], 0
					for range cap(requests) / 40 {
						requests = append(requests, c.request(b, c.prove(nil, nil)))
					}
					b.StartTimer()
				}
				if _, err := checker.Check(b.Context(), requests[i]); err != nil {
					b.Fatal(err)
				}
				i++
			}
		})
	}
}
