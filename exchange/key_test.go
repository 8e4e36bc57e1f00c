package exchange

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-gatehouse/gatehouse/token"
)

// Two exchangers whose settings differ in one place only, each place in turn:
// all keys differ (attack rows 18 and 19).
func TestKeysDiffer(t *testing.T) {
	base := Config{Leg: Leg{Client: &slowServer{}, SubjectType: TypeAccessToken}}
	variants := map[string]Config{}
	for name, change := range map[string]func(*Config){
		"base":                         func(*Config) {},
		"audience a|b":                 func(c *Config) { c.Audience = []string{"a|b"} },
		"audiences a, b":               func(c *Config) { c.Audience = []string{"a", "b"} },
		"audience ab":                  func(c *Config) { c.Audience = []string{"ab"} },
		"audience a":                   func(c *Config) { c.Audience = []string{"a"} },
		"resource a":                   func(c *Config) { c.Resource = []string{"a"} },
		"audience a, resource b":       func(c *Config) { c.Audience, c.Resource = []string{"a"}, []string{"b"} },
		"resources a, b":               func(c *Config) { c.Resource = []string{"a", "b"} },
		"requested type":               func(c *Config) { c.RequestedType = "a" },
		"subject type":                 func(c *Config) { c.SubjectType = "a" },
		"param a=b":                    func(c *Config) { c.Params = []Param{{"a", "b"}} },
		"param ab=":                    func(c *Config) { c.Params = []Param{{"ab", ""}} },
		"params a=b, c=d":              func(c *Config) { c.Params = []Param{{"a", "b"}, {"c", "d"}} },
		"params a=d, c=b":              func(c *Config) { c.Params = []Param{{"a", "d"}, {"c", "b"}} },
		"audience with a length in it": func(c *Config) { c.Audience = []string{"\x00\x00\x00\x01a"} },
		"issued types":                 func(c *Config) { c.Accept.Issued = []string{"a"} },
		"client":                       func(c *Config) { c.Client = &slowServer{id: "a"} },
		"max_ttl":                      func(c *Config) { c.MaxTTL = 1 },
		"scheme":                       func(c *Config) { c.Scheme = "DPoP" },
	} {
		config := base
		change(&config)
		variants[name] = config
	}
	maker := newKeyMaker()
	digest := token.NewRaw("t").Digest()
	other := token.NewRaw("u").Digest()
	seen := map[cacheKey]string{}
	note := func(name string, key cacheKey) {
		if before, ok := seen[key]; ok {
			t.Errorf("%s and %s have one key", before, name)
		}
		seen[key] = name
	}
	for name, config := range variants {
		settings := settingsOf(config)
		note(name, maker.key(&settings, &digest, nil, nil))
		note(name+" for another token", maker.key(&settings, &other, nil, nil))
		for _, lists := range [][2][]string{
			{{"a"}, nil}, {{"b"}, nil}, {{"a", "b"}, nil}, {{"a b"}, nil}, {nil, {"a"}}, {nil, {"a", "b"}}, {{"a"}, {"b"}}, {{""}, nil},
		} {
			note(fmt.Sprintf("%s, scopes %q", name, lists), maker.key(&settings, &digest, lists[0], lists[1]))
		}
	}
}

// What means the same has one key.
func TestKeysAgree(t *testing.T) {
	maker := newKeyMaker()
	digest := token.NewRaw("t").Digest()
	one := Config{Leg: Leg{Client: &slowServer{}, Audience: []string{"a", "b"}, Resource: []string{"c", "d"}, Params: []Param{{"e", "f"}, {"g", "h"}}}}
	two := Config{Leg: Leg{Client: &slowServer{}, Audience: []string{"b", "a", "b"}, Resource: []string{"d", "c"}, Params: []Param{{"g", "h"}, {"e", "f"}}}}
	first, second := settingsOf(one), settingsOf(two)
	if maker.key(&first, &digest, nil, nil) != maker.key(&second, &digest, nil, nil) {
		t.Error("order or repetition makes another key")
	}
	if targetOf(first, []string{"a", "b"}) != targetOf(second, []string{"b", "a"}) {
		t.Error("order makes another target")
	}
}

// A key dies with its process: another one makes other keys.
func TestKeysAreSecret(t *testing.T) {
	config := Config{Leg: Leg{Client: &slowServer{}}}
	settings := settingsOf(config)
	digest := token.NewRaw("t").Digest()
	one, two := newKeyMaker(), newKeyMaker()
	if one.key(&settings, &digest, nil, nil) == two.key(&settings, &digest, nil, nil) {
		t.Error("two makers make one key")
	}
}

func TestKeysConcurrently(t *testing.T) {
	config := Config{Leg: Leg{Client: &slowServer{}}}
	settings := settingsOf(config)
	maker := newKeyMaker()
	digest := token.NewRaw("t").Digest()
	want := maker.key(&settings, &digest, []string{"a"}, nil)
	var workers sync.WaitGroup
	for i := range 8 {
		workers.Go(func() {
			for range 100 {
				if got := maker.key(&settings, &digest, []string{"a"}, nil); got != want {
					t.Errorf("worker %d: another key", i)
				}
				maker.key(&settings, &digest, []string{fmt.Sprint(i)}, nil)
			}
		})
	}
	workers.Wait()
}

func TestSortedLeavesItsArgument(t *testing.T) {
	texts := []string{"b", "a", "b"}
	if diff := cmp.Diff([]string{"a", "b"}, sorted(texts)); diff != "" {
		t.Error(diff)
	}
	if !slices.Equal(texts, []string{"b", "a", "b"}) {
		t.Error("the argument was sorted in place")
	}
}

// FuzzKeyFields: two different lists of lists never make the same bytes.
func FuzzKeyFields(f *testing.F) {
	f.Add("a", "b", "ab", "")
	f.Add("a|b", "c", "a", "b|c")
	f.Add("\x00\x00\x00\x01a", "", "a", "\x00")
	f.Fuzz(func(t *testing.T, a, b, c, d string) {
		splits := [][2][]string{{{a, b}, {c, d}}, {{c, d}, {a, b}}, {{a}, {b, c, d}}, {{a, b, c}, {d}}, {{a + b}, {c, d}}, {nil, {a, b, c, d}}}
		for i, one := range splits {
			for _, two := range splits[i+1:] {
				same := slices.Equal(one[0], two[0]) && slices.Equal(one[1], two[1])
				first := string(appendList(appendList(nil, one[0]), one[1]))
				second := string(appendList(appendList(nil, two[0]), two[1]))
				if same != (first == second) {
					t.Errorf("%q and %q", one, two)
				}
			}
		}
	})
}
