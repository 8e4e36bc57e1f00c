package config

import (
	"encoding/json"
	"testing"
)

// JSON may have the kind alone; what it does not know it refuses, as Caddy does.
func TestBindJSON(t *testing.T) {
	for text, want := range map[string]Bind{
		`"dpop"`:          {Kind: BindDPoP},
		`{"kind":"mtls"}`: {Kind: BindMTLS},
		`{"kind":"mtls","certificate":"c","key":"k"}`: {Kind: BindMTLS, Certificate: "c", Key: "k"},
	} {
		var got Bind
		if err := json.Unmarshal([]byte(text), &got); err != nil || got != want {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{`{"kind":"mtls","file":"c"}`, `["mtls"]`, `true`} {
		if err := json.Unmarshal([]byte(text), new(Bind)); err == nil {
			t.Errorf("%s is accepted", text)
		}
	}
}
