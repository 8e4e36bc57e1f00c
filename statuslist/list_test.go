package statuslist_test

import (
	"encoding/hex"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-gatehouse/gatehouse/internal/tokentest"
	"github.com/caddy-gatehouse/gatehouse/statuslist"
	"github.com/caddy-gatehouse/gatehouse/token"
)

// The examples of section 4.1 and of the appendix on test vectors.
func TestVectors(t *testing.T) {
	long := func(bits int, set map[int]byte) []byte {
		packed := make([]byte, 1<<20*bits/8)
		for index, status := range set {
			packed[index*bits/8] |= status << (index * bits % 8)
		}
		return packed
	}
	two := map[int]byte{0: 1, 1993: 2, 25460: 1, 159495: 3, 495669: 1, 554353: 1, 645645: 2, 723232: 1, 854545: 1, 934534: 2, 1000345: 3}
	tests := map[string]struct {
		list map[string]any
		want map[int]byte
		size uint64
	}{
		"1 bit": {
			map[string]any{"bits": 1, "lst": compressed(t, "78dadbb918000217015d")},
			map[int]byte{0: 1, 1: 0, 2: 0, 3: 1, 4: 1, 5: 1, 6: 0, 7: 1, 8: 1, 9: 1, 10: 0, 11: 0, 12: 0, 13: 1, 14: 0, 15: 1},
			16,
		},
		"2 bits": {
			map[string]any{"bits": 2, "lst": compressed(t, "78da3be9f2130003df0207")},
			map[int]byte{0: 1, 1: 2, 2: 0, 3: 3, 4: 0, 5: 1, 6: 0, 7: 1, 8: 1, 9: 2, 10: 3, 11: 3},
			12,
		},
		"a million of 2 bits": {tokentest.StatusList(2, long(2, two)), two, 1 << 20},
		"a million of 4 bits": {tokentest.StatusList(4, long(4, two)), two, 1 << 20},
		"a million of 8 bits": {tokentest.StatusList(8, long(8, map[int]byte{5: 255, 6: 2})), map[int]byte{4: 0, 5: 255, 6: 2}, 1 << 20},
		"nobody":              {tokentest.StatusList(1, nil), nil, 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.changes = map[string]any{"status_list": test.list}
			for index, status := range test.want {
				switch err := r.Check(t.Context(), token.Status{URI: listURL, Index: uint64(index)}); {
				case status == 0 && err != nil, status != 0 && !errors.Is(err, token.StatusInvalid):
					t.Errorf("entry %d, of status %d: %v", index, status, err)
				case status == 2 && !strings.HasSuffix(err.Error(), "suspended"):
					t.Errorf("entry %d: %v", index, err)
				}
			}
			r.check(t, test.size, token.WrongStatusList)
			if info := r.Snapshot()[0]; info.Entries != test.size {
				t.Errorf("%+v", info)
			}
		})
	}
}

func compressed(t *testing.T, text string) string {
	t.Helper()
	raw, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return tokentest.Encode(raw)
}

// Nothing of these is believed, whoever asks and for whom.
func TestRefusedLists(t *testing.T) {
	thief := tokentest.NewKey(t, "ES256", "k1")
	other := tokentest.NewKey(t, "ES256", "k9")
	now := func() int64 { return time.Now().Unix() }
	lst := func(value any) map[string]any {
		return map[string]any{"status_list": map[string]any{"bits": 1, "lst": value}}
	}
	good := tokentest.Encode(tokentest.Zlib([]byte{0, 0}))
	tests := map[string]func(r *rig){
		"another typ":       func(r *rig) { r.header = map[string]any{"typ": "JWT"} },
		"an access token's": func(r *rig) { r.header = map[string]any{"typ": "at+jwt"} },
		"no typ":            func(r *rig) { r.header = map[string]any{"typ": nil} },
		"a thief's":         func(r *rig) { r.key = thief },
		"another key's":     func(r *rig) { r.key = other },
		"another alg":       func(r *rig) { r.header = map[string]any{"alg": "RS256"} },
		"none":              func(r *rig) { r.header = map[string]any{"alg": "none"} },
		"HS256":             func(r *rig) { r.header = map[string]any{"alg": "HS256"} },
		"crit":              func(r *rig) { r.header = map[string]any{"crit": []string{"x"}, "x": 1} },
		"another sub":       func(r *rig) { r.changes = map[string]any{"sub": listURL + "/"} },
		"no sub":            func(r *rig) { r.changes = map[string]any{"sub": nil} },
		"another issuer":    func(r *rig) { r.changes = map[string]any{"iss": issuerURL + "/"} },
		"iss of a number":   func(r *rig) { r.changes = map[string]any{"iss": 1} },
		"no iat":            func(r *rig) { r.changes = map[string]any{"iat": nil} },
		"iat of tomorrow":   func(r *rig) { r.changes = map[string]any{"iat": now() + 86400} },
		"iat of a text":     func(r *rig) { r.changes = map[string]any{"iat": "1"} },
		"expired":           func(r *rig) { r.changes = map[string]any{"exp": now() - 60} },
		"exp of a text":     func(r *rig) { r.changes = map[string]any{"exp": "9999999999"} },
		"exp without end":   func(r *rig) { r.changes = map[string]any{"exp": 1e300} },
		"not yet":           func(r *rig) { r.changes = map[string]any{"nbf": now() + 60} },
		"ttl of nothing":    func(r *rig) { r.changes = map[string]any{"ttl": 0} },
		"ttl of the past":   func(r *rig) { r.changes = map[string]any{"ttl": -60} },
		"ttl of a text":     func(r *rig) { r.changes = map[string]any{"ttl": "60"} },
		"no list":           func(r *rig) { r.changes = map[string]any{"status_list": nil} },
		"a list of lists":   func(r *rig) { r.changes = map[string]any{"status_list": []any{}} },
		"3 bits":            func(r *rig) { r.changes = map[string]any{"status_list": map[string]any{"bits": 3, "lst": good}} },
		"bits of a text":    func(r *rig) { r.changes = map[string]any{"status_list": map[string]any{"bits": "1", "lst": good}} },
		"no bits":           func(r *rig) { r.changes = map[string]any{"status_list": map[string]any{"lst": good}} },
		"no lst":            func(r *rig) { r.changes = lst(nil) },
		"lst of a number":   func(r *rig) { r.changes = lst(1) },
		"padding":           func(r *rig) { r.changes = lst(good + "=") },
		"a line break":      func(r *rig) { r.changes = lst(good[:4] + "\n" + good[4:]) },
		"plain bytes":       func(r *rig) { r.changes = lst(tokentest.Encode([]byte{0, 0})) },
		"bare deflate":      func(r *rig) { r.changes = lst(tokentest.Encode([]byte(tokentest.CompressedZeros(t, 1<<20)))) },
		"cut off":           func(r *rig) { r.changes = lst(tokentest.Encode(tokentest.Zlib(make([]byte, 99))[:9])) },
		"a wrong checksum": func(r *rig) {
			broken := tokentest.Zlib([]byte{0, 0})
			broken[len(broken)-1]++
			r.changes = lst(tokentest.Encode(broken))
		},
		"something behind": func(r *rig) { r.changes = lst(tokentest.Encode(append(tokentest.Zlib([]byte{0, 0}), 0))) },
		"no JWT":           func(r *rig) { r.text = func(string) string { return "<html>" } },
		"nothing":          func(r *rig) { r.text = func(string) string { return "" } },
		"members twice": func(r *rig) {
			payload := fmt.Sprintf(`{"sub":%q,"sub":%q,"iat":1,"status_list":{"bits":1,"lst":%q}}`, listURL, listURL, good)
			r.text = func(string) string {
				return r.key.SignRaw([]byte(`{"alg":"ES256","kid":"k1","typ":"statuslist+jwt"}`), []byte(payload))
			}
		},
	}
	for name, spoil := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				spoil(r)
				r.check(t, 0, token.StatusUnknown)
				if r.fetches() != 1 || r.seen()[statuslist.OutcomeInvalid] != 1 {
					t.Errorf("%d fetches, %v, %+v", r.fetches(), r.seen(), r.Snapshot())
				}
			})
		})
	}
}

// What is good in other spellings is good.
func TestAcceptedLists(t *testing.T) {
	tests := map[string]func(r *rig){
		"application/":     func(r *rig) { r.header = map[string]any{"typ": "application/statuslist+jwt"} },
		"iss":              func(r *rig) { r.changes = map[string]any{"iss": issuerURL} },
		"a blank behind":   func(r *rig) { text := r.signed(listURL); r.text = func(string) string { return text + "\r\n" } },
		"exp within reach": func(r *rig) { r.changes = map[string]any{"exp": time.Now().Unix() - 5} },
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				change(r)
				r.check(t, 0, nil)
			})
		})
	}
}

// A gigabyte of zeros is a megabyte as it comes. It is read as far as a list may be.
func TestBomb(t *testing.T) {
	bomb := []byte(tokentest.CompressedZeros(t, 1<<30))
	list := tokentest.Encode(append([]byte{0x78, 0xda}, bomb...))
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.changes = map[string]any{"status_list": map[string]any{"bits": 1, "lst": list}}
		text := r.signed(listURL)
		r.text = func(string) string { return text }
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		r.check(t, 0, token.StatusUnknown)
		runtime.ReadMemStats(&after)
		if grown := after.TotalAlloc - before.TotalAlloc; grown > 150<<20 {
			t.Errorf("%d MiB were allocated for a list of %d bytes", grown>>20, len(text))
		}
	})
}

// No payload and no list makes the reader fail otherwise than by refusing it, and what
// is accepted answers for each entry that it has, and for no other.
func FuzzList(f *testing.F) {
	r := newRig(f)
	f.Add(tokentest.JSON(tokentest.StatusListClaims(listURL, tokentest.StatusList(1, []byte{1, 2}), nil)), []byte(nil))
	f.Add([]byte(nil), tokentest.Zlib([]byte{1, 2, 3}))
	f.Add([]byte(nil), make([]byte, 100))
	f.Fuzz(func(t *testing.T, payload, packed []byte) {
		if len(packed) > 0 {
			list := map[string]any{"bits": 1 << (len(packed) % 4), "lst": tokentest.Encode(packed)}
			payload = tokentest.JSON(tokentest.StatusListClaims(listURL, list, nil))
		}
		header := []byte(`{"alg":"ES256","kid":"k1","typ":"statuslist+jwt"}`)
		text := r.key.SignRaw(header, payload)
		fresh := r.config
		fresh.State, fresh.Fetcher = statuslist.NewState(statuslist.NewWatches()), &rig{text: func(string) string { return text }}
		lists := statuslist.New(fresh)
		err := lists.Check(t.Context(), token.Status{URI: listURL})
		for _, info := range lists.Snapshot() {
			if info.Fetched.IsZero() != errors.Is(err, token.StatusUnknown) {
				t.Fatalf("%v, and %+v", err, info)
			}
			if info.Entries == 0 {
				continue
			}
			if err := lists.Check(t.Context(), token.Status{URI: listURL, Index: info.Entries - 1}); errors.Is(err, token.WrongStatusList) {
				t.Fatal(err)
			}
			if err := lists.Check(t.Context(), token.Status{URI: listURL, Index: info.Entries}); !errors.Is(err, token.WrongStatusList) {
				t.Fatal(err)
			}
		}
	})
}

// BenchmarkCheck is what a request pays for a token that carries a status.
func BenchmarkCheck(b *testing.B) {
	r := newRig(b)
	r.packed = make([]byte, 1<<17) // a million tokens
	status := token.Status{URI: listURL, Index: 123_456}
	if err := r.Check(b.Context(), status); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := r.Check(b.Context(), status); err != nil {
				b.Error(err)
			}
		}
	})
}
