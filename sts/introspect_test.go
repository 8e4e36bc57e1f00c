package sts_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-gatehouse/gatehouse/internal/tokentest"
	"github.com/caddy-gatehouse/gatehouse/sts"
	"github.com/caddy-gatehouse/gatehouse/token"
)

// about asks about a token as a client.
func (r *rig) about(client, text, accept string) *sts.Answer {
	r.t.Helper()
	request := r.request(params{"client_id": client, "client_secret": secret, "token": text}.body())
	request.Header.Set("Accept", accept)
	answer, _, refused := r.service.Introspect(request)
	if refused != nil {
		r.t.Fatal(refused)
	}
	return answer
}

func (r *rig) active(client, text string) bool {
	r.t.Helper()
	answer := r.about(client, text, "application/json")
	if said := mapOf(r.t, answer.Body)["active"]; said != answer.Active {
		r.t.Errorf("active is %v and %v", said, answer.Active)
	}
	if !answer.Active && string(answer.Body) != `{"active":false}` {
		r.t.Errorf("an inactive token is told about: %s", answer.Body)
	}
	return answer.Active
}

func TestIntrospection(t *testing.T) {
	r := newRig(t, nil)
	grant := r.ask(exchangeForm(r.subject(claimSet{"sub": "alice"}), params{"scope": "orders:read"}), sts.OutcomeOK)
	got := mapOf(t, r.about(billing, grant.AccessToken.Reveal(), "").Body)
	want := claimSet{
		"active": true, "iss": issuer, "sub": "alice", "aud": billing, "scope": "orders:read", "client_id": "orders", "token_type": "Bearer",
	}
	for name, value := range want {
		if got[name] != value {
			t.Errorf("%s is %v, want %v", name, got[name], value)
		}
	}
	if act, _ := got["act"].(map[string]any); act["sub"] != "client:orders" {
		t.Errorf("act is %v", got["act"])
	}
}

// A client sees the tokens that name it as audience, and its own; of every other
// text it hears the same.
func TestIntrospectionIsForTheAudience(t *testing.T) {
	r := newRig(t, nil)
	text := r.ask(clientForm(nil), sts.OutcomeOK).AccessToken.Reveal()
	opaque := r.ask(clientForm(params{"client_id": "phantom"}), sts.OutcomeOK).AccessToken.Reveal()
	for _, tt := range []struct {
		client, text string
		want         bool
	}{
		{billing, text, true},
		{"orders", text, true},
		{"plain", text, false},
		{"phantom", text, false},
		{billing, opaque, true},
		{"phantom", opaque, true},
		{"orders", opaque, false},
		{billing, text + "x", false},
		{billing, opaque + "x", false},
		{billing, strings.ToUpper(opaque), false},
		{billing, sts.ReferencePrefix, false},
		{billing, "x", false},
		{billing, strings.Repeat("x", 20_000), false},
		{billing, r.subject(claimSet{"aud": billing}), false}, // another issuer's
		{billing, r.idp.Sign(nil, tokentest.Claims(issuer, claimSet{"aud": billing})), false},
	} {
		if got := r.active(tt.client, tt.text); got != tt.want {
			t.Errorf("%s asks about %.20s…: active %t, want %t", tt.client, tt.text, got, tt.want)
		}
	}
	request := r.request(params{"client_id": billing, "token": text}.body())
	if _, _, refused := r.service.Introspect(request); refused == nil || refused.Status() != http.StatusUnauthorized {
		t.Errorf("without a secret: %v", refused)
	}
}

// The reference is what is outside, the JWT what is inside.
func TestPhantomTokens(t *testing.T) {
	r := newRig(t, nil)
	text := r.ask(clientForm(params{"client_id": "phantom"}), sts.OutcomeOK).AccessToken.Reveal()
	if len(text) != len(sts.ReferencePrefix)+43 || strings.Contains(text, ".") {
		t.Errorf("the reference is %q", text)
	}
	inside := r.about(billing, text, "text/html, application/jwt;q=1")
	if inside.MediaType != "application/jwt" || r.claims(token.NewRaw(string(inside.Body)))["aud"] != billing {
		t.Errorf("inside: %s %s", inside.MediaType, inside.Body)
	}
	if nothing := r.about("plain", text, "application/jwt"); nothing.Active || nothing.MediaType != "" || len(nothing.Body) > 0 {
		t.Errorf("another client gets %v", nothing)
	}
	for _, accept := range []string{"application/jwt;q=0", "application/jwt ; Q=0.000, */*", "application/token-introspection+jwt;q=0.0"} {
		if answer := r.about(billing, text, accept); answer.MediaType != "application/json" || !answer.Active {
			t.Errorf("%s: %s", accept, answer.MediaType)
		}
	}
	signed := r.about(billing, text, "application/token-introspection+jwt")
	parts := strings.Split(string(signed.Body), ".")
	header, payload := mapOf(t, tokentest.Decode(t, parts[0])), mapOf(t, tokentest.Decode(t, parts[1]))
	about, _ := payload["token_introspection"].(map[string]any)
	if header["typ"] != "token-introspection+jwt" || payload["iss"] != issuer || payload["aud"] != billing ||
		about["active"] != true || about["sub"] != "client:phantom" || slices.Contains(keysOf(payload), "exp") {
		t.Errorf("a signed answer: %v %v", header, payload)
	}
	// It is no access token of anybody's.
	r.ask(exchangeForm(string(signed.Body), nil), sts.OutcomeSubject)
}

func keysOf(members map[string]any) []string {
	names := make([]string, 0, len(members))
	for name := range members {
		names = append(names, name)
	}
	return names
}

// revoke revokes as a client, and expects an outcome.
func (r *rig) revoke(client, text string, want sts.Outcome) {
	r.t.Helper()
	_, refused := r.service.Revoke(r.request(params{"client_id": client, "client_secret": secret, "token": text}.body()))
	got := sts.OutcomeOK
	if refused != nil {
		got = refused.Outcome
	}
	if got != want {
		r.t.Errorf("%s revokes: %s (%v), want %s", client, got, refused, want)
	}
}

func TestRevocation(t *testing.T) {
	for _, client := range []string{"orders", "phantom"} {
		t.Run(client, func(t *testing.T) {
			r := newRig(t, func(r *rig) {
				for _, client := range r.settings.Clients {
					client.Audience = append(client.Audience, client.ID)
				}
			})
			form := clientForm(params{"client_id": client, "audience": client, "scope": "orders:read"})
			text := r.ask(form, sts.OutcomeOK).AccessToken.Reveal()
			other := r.ask(form, sts.OutcomeOK).AccessToken.Reveal()
			r.revoke(billing, text, sts.OutcomeForeign)
			r.revoke(client, "x", sts.OutcomeOK)
			r.revoke(client, r.subject(nil), sts.OutcomeOK)
			if !r.active(client, text) {
				t.Error("it is not active before it was revoked")
			}
			r.revoke(client, text, sts.OutcomeOK)
			r.revoke(client, text, sts.OutcomeOK)
			if r.active(client, text) || !r.active(client, other) {
				t.Error("the wrong token was revoked")
			}
			// Nor is it exchanged any more.
			r.ask(exchangeForm(text, params{"client_id": client}), sts.OutcomeSubject)
		})
	}
}

func TestRevokedReferenceTakesItsTokenAlong(t *testing.T) {
	r := newRig(t, nil)
	text := r.ask(clientForm(params{"client_id": "phantom"}), sts.OutcomeOK).AccessToken.Reveal()
	inside := string(r.about(billing, text, "application/jwt").Body)
	r.revoke("phantom", text, sts.OutcomeOK)
	if r.active(billing, inside) {
		t.Error("the token behind a revoked reference is active")
	}
}

// A client that asks for anything but its own hears nothing that it did not know.
func TestMetadataIsHonest(t *testing.T) {
	r := newRig(t, nil)
	all, err := r.service.Metadata(sts.Endpoints{KeySet: "k", Token: "t", Introspection: "i", Revocation: "r"}, "ES256")
	r.must(err)
	keysOnly, err := r.service.Metadata(sts.Endpoints{KeySet: "k"}, "ES256")
	r.must(err)
	bare := claimSet{"issuer": issuer, "jwks_uri": "k", "response_types_supported": []any{}, "grant_types_supported": []any{}}
	if diff := cmp.Diff(bare, mapOf(t, keysOnly)); diff != "" {
		t.Errorf("keys only (-want +got):\n%s", diff)
	}
	got := mapOf(t, all)
	methods := []any{"client_secret_basic", "client_secret_post", "private_key_jwt", "tls_client_auth"}
	members := claimSet{
		"token_endpoint": "t", "introspection_endpoint": "i", "revocation_endpoint": "r",
		"grant_types_supported":                 []any{"client_credentials", sts.GrantTokenExchange},
		"token_endpoint_auth_methods_supported": methods, "introspection_endpoint_auth_methods_supported": methods,
		"introspection_signing_alg_values_supported": []any{"ES256"}, "tls_client_certificate_bound_access_tokens": true,
	}
	for name, want := range members {
		if diff := cmp.Diff(want, got[name]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	for path, want := range map[string]string{
		"https://a.example.com": "", "https://a.example.com/": "", "https://a.example.com/sts": "/sts", "https://a.example.com/a/b/": "/a/b",
	} {
		if got, err := sts.MetadataPath(path); err != nil || got != sts.WellKnown+want {
			t.Errorf("%s: %s, %v", path, got, err)
		}
	}
}
