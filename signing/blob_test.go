package signing

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/caddy-gatehouse/gatehouse/jose"
)

const (
	oldSecret = "the old secret, long enough to seal with"
	newSecret = "the new secret, long enough to seal with"
)

func testCodec(tb testing.TB, open bool, secrets ...string) *codec {
	tb.Helper()
	made, err := newSealer(secrets)
	if err != nil {
		tb.Fatal(err)
	}
	return &codec{place: Place(testIssuer), sealer: made, open: open}
}

// testSet is a set with an active and a retired key.
func testSet(tb testing.TB, alg jose.Algorithm) *set {
	tb.Helper()
	now := time.Now().Truncate(time.Millisecond)
	var made []*key
	for range 2 {
		k, err := generate(AccessTokens, alg)
		if err != nil {
			tb.Fatal(err)
		}
		made = append(made, k.starting(now, 0))
	}
	made[0] = made[0].erased(now.Add(time.Hour))
	return newSet(7, made)
}

func encoded(tb testing.TB, c *codec, s *set) []byte {
	tb.Helper()
	raw, err := c.encode(s)
	if err != nil {
		tb.Fatal(err)
	}
	return raw
}

func TestBlobKeepsKeys(t *testing.T) {
	for _, alg := range []jose.Algorithm{jose.ES256, jose.EdDSA, jose.RS256, jose.PS256} {
		for name, c := range map[string]*codec{"sealed": testCodec(t, false, oldSecret), "open": testCodec(t, true)} {
			t.Run(string(alg)+" "+name, func(t *testing.T) {
				written := testSet(t, alg)
				read, current, err := c.decode(encoded(t, c, written))
				if err != nil || !current || read.serial != 7 || len(read.keys) != 2 {
					t.Fatalf("read %+v, %t, %v", read, current, err)
				}
				for _, was := range written.keys {
					is := read.find(was.id)
					if is == nil || !is.public.Equal(was.public) || !is.created.Equal(was.created) || !is.from.Equal(was.from) || !is.gone.Equal(was.gone) {
						t.Fatalf("%+v became %+v", was, is)
					}
					if (is.signer == nil) != (was.signer == nil) {
						t.Errorf("signer of %s: %v became %v", was.id, was.signer, is.signer)
					}
				}
				signer := read.newest(AccessTokens).signer
				token, err := signer.Sign(nil, []byte("{}"))
				if err != nil {
					t.Fatal(err)
				}
				parts := strings.Split(token, ".")
				if signer.Public().ID() != written.newest(AccessTokens).id || len(parts) != 3 {
					t.Errorf("signed by %s: %s", signer.Public().ID(), token)
				}
			})
		}
	}
}

// The private part is in no sealed document, in no encoding that is used.
func TestSealHidesPrivateParts(t *testing.T) {
	c, s := testCodec(t, false, oldSecret), testSet(t, jose.ES256)
	raw := encoded(t, c, s)
	private, err := json.Marshal(s.newest(AccessTokens).private)
	if err != nil || len(private) < 100 {
		t.Fatalf("%d bytes, %v", len(private), err)
	}
	if bytes.Contains(raw, private[1:40]) || bytes.Contains(raw, s.newest(AccessTokens).private) {
		t.Error("the private part can be read")
	}
	if open := encoded(t, testCodec(t, true), s); !bytes.Contains(open, private[1:40]) {
		t.Error("this test looks for the wrong thing")
	}
	if again := encoded(t, c, s); bytes.Equal(raw, again) {
		t.Error("two seals of one key are the same: the nonce is not random")
	}
}

func TestSealsRotate(t *testing.T) {
	s := testSet(t, jose.ES256)
	first, both, swapped, last := testCodec(t, false, oldSecret), testCodec(t, false, oldSecret, newSecret),
		testCodec(t, false, newSecret, oldSecret), testCodec(t, false, newSecret)
	for name, step := range map[string]struct {
		by, with *codec
		current  bool
		err      error
	}{
		"the second opens":            {swapped, both, false, nil},
		"the first is current":        {first, both, true, nil},
		"the old one is not current":  {first, swapped, false, nil},
		"the old one is gone":         {first, last, false, errUnseal},
		"no seal any more":            {first, testCodec(t, true), false, errNoSeal},
		"sealed at last":              {testCodec(t, true), testCodec(t, true, newSecret), false, nil},
		"open where it may not be so": {testCodec(t, true), last, false, errOpen},
	} {
		_, current, err := step.with.decode(encoded(t, step.by, s))
		if current != step.current || !errors.Is(err, step.err) {
			t.Errorf("%s: current %t, %v", name, current, err)
		}
	}
}

// Whoever can write to the storage, but has no secret, can add no key, change none
// and carry none elsewhere.
func TestForgedBlobsAreRefused(t *testing.T) {
	c, s := testCodec(t, false, oldSecret), testSet(t, jose.ES256)
	raw := encoded(t, c, s)
	forger := testSet(t, jose.ES256)
	var whole blob
	if err := json.Unmarshal(raw, &whole); err != nil {
		t.Fatal(err)
	}
	remake := func(change func(*blob, *blobSet)) []byte {
		forged := whole
		var document blobSet
		if err := json.Unmarshal(whole.Set, &document); err != nil {
			t.Fatal(err)
		}
		change(&forged, &document)
		forged.Set, _ = json.Marshal(document)
		made, err := json.Marshal(forged)
		if err != nil {
			t.Fatal(err)
		}
		return made
	}
	elsewhere := *c
	elsewhere.place = Place("https://other.example.com")
	for name, forged := range map[string][]byte{
		"a key more": remake(func(_ *blob, document *blobSet) {
			document.Keys = append(document.Keys, blobKey{
				Kid: forger.keys[0].id, Purpose: AccessTokens, Alg: jose.ES256, Public: forger.keys[0].public.PublicJWK(),
			})
		}),
		"another time":    remake(func(_ *blob, document *blobSet) { document.Keys[0].Gone = time.Now().Add(time.Hour * 9999) }),
		"an old serial":   remake(func(_ *blob, document *blobSet) { document.Serial = 1 }),
		"no seal":         remake(func(forged *blob, _ *blobSet) { forged.Seal, forged.MAC = "", nil }),
		"no mac":          remake(func(forged *blob, document *blobSet) { forged.MAC, document.Serial = nil, 99 }),
		"from elsewhere":  encoded(t, &elsewhere, s),
		"another version": remake(func(forged *blob, _ *blobSet) { forged.Version = 2 }),
	} {
		if _, _, err := c.decode(forged); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, _, err := c.decode(remake(func(*blob, *blobSet) {})); err != nil {
		t.Errorf("nothing changed: %v", err)
	}
}

// A private part belongs to its key and its place: exchanged between keys by
// somebody who can write the document, it does not open.
func TestPrivatePartsAreBound(t *testing.T) {
	c := testCodec(t, false, oldSecret)
	sealed := c.sealer.first().close([]byte("private"), c.place, "kid")
	for name, open := range map[string]func() ([]byte, error){
		"another kid":   func() ([]byte, error) { return c.sealer.first().open(sealed, c.place, "other") },
		"another place": func() ([]byte, error) { return c.sealer.first().open(sealed, "elsewhere", "kid") },
		"cut":           func() ([]byte, error) { return c.sealer.first().open(sealed[:len(sealed)-1], c.place, "kid") },
		"short":         func() ([]byte, error) { return c.sealer.first().open(sealed[:5], c.place, "kid") },
	} {
		if private, err := open(); !errors.Is(err, errOpening) {
			t.Errorf("%s: %q, %v", name, private, err)
		}
	}
	if private, err := c.sealer.first().open(sealed, c.place, "kid"); err != nil || string(private) != "private" {
		t.Errorf("%q, %v", private, err)
	}
}

// In the open too, a key stands under its own name alone and has its own private
// part.
func TestInconsistentBlobsAreRefused(t *testing.T) {
	c := testCodec(t, true)
	a, b := testSet(t, jose.ES256), testSet(t, jose.ES256)
	for name, change := range map[string]func(*blobKey){
		"foreign kid":       func(k *blobKey) { k.Kid = b.keys[0].id },
		"foreign private":   func(k *blobKey) { k.Private = b.newest(AccessTokens).private },
		"unknown purpose":   func(k *blobKey) { k.Purpose = "id" },
		"foreign algorithm": func(k *blobKey) { k.Alg = jose.RS256 },
		"none":              func(k *blobKey) { k.Alg = "none" },
		"no public part":    func(k *blobKey) { k.Public = nil },
	} {
		var whole blob
		var document blobSet
		if err := errors.Join(json.Unmarshal(encoded(t, c, a), &whole), json.Unmarshal(whole.Set, &document)); err != nil {
			t.Fatal(err)
		}
		for i := range document.Keys {
			change(&document.Keys[i])
		}
		whole.Set, _ = json.Marshal(document)
		raw, _ := json.Marshal(whole)
		if _, _, err := c.decode(raw); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := c.encode(&set{keys: make([]*key, maxKeys+1)}); err == nil {
		t.Error("a document without bounds is written")
	}
}

func FuzzBlob(f *testing.F) {
	sealed, open := testCodec(f, false, oldSecret), testCodec(f, true)
	s := testSet(f, jose.EdDSA)
	f.Add(encoded(f, sealed, s))
	f.Add(encoded(f, open, s))
	f.Add([]byte(`{"version":1,"set":{"serial":1,"keys":[{"kid":"a","purpose":"at","alg":"ES256","public":{"kty":"EC"}}]}}`))
	f.Add([]byte(`{"version":1,"seal":"0000000000000000","mac":"AA==","set":null}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		for _, c := range []*codec{sealed, open} {
			read, _, err := c.decode(raw)
			if err != nil {
				continue
			}
			// What is believed can be written, and is then the same.
			again, _, err := c.decode(encoded(t, c, read))
			if err != nil || again.serial != read.serial || len(again.keys) != len(read.keys) {
				t.Errorf("written and read again: %v", err)
			}
			for _, k := range read.keys {
				if kidOf(k.public) != k.id {
					t.Errorf("a key under the name %q of another", k.id)
				}
			}
		}
	})
}
