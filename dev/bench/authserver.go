package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// tokenLife outlasts every run: nothing expires while it is measured.
const tokenLife = 4 * time.Hour

const keyID = "2026-01-first"

// An authServer signs the callers' tokens and exchanges them, with nothing but
// what the measurement needs. It checks nobody.
type authServer struct {
	url    string
	key    *ecdsa.PrivateKey
	signer jose.Signer
	// asked counts the calls for a token or about one.
	asked atomic.Int64
	// before runs ahead of each answer with a token, nil: nothing does.
	before func()
	// opaque are the tokens that only this server can tell about. They are all made
	// before it is asked.
	opaque map[string]claims
}

func newAuthServer(url string) (*authServer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making a key: %w", err)
	}
	signer, err := jose.NewSigner(
		jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: key, KeyID: keyID}},
		new(jose.SignerOptions).WithType("at+jwt"))
	if err != nil {
		return nil, fmt.Errorf("making a signer: %w", err)
	}
	return &authServer{url: url, key: key, signer: signer, opaque: make(map[string]claims)}, nil
}

// claims are those of a token of usual size: about 700 bytes once signed.
type claims struct {
	Issuer   string   `json:"iss"`
	Subject  string   `json:"sub"`
	Audience string   `json:"aud"`
	Client   string   `json:"client_id"`
	Scope    string   `json:"scope"`
	ID       string   `json:"jti"`
	IssuedAt int64    `json:"iat"`
	Expiry   int64    `json:"exp"`
	AuthTime int64    `json:"auth_time"`
	ACR      string   `json:"acr"`
	Email    string   `json:"email"`
	Roles    []string `json:"roles"`

	// Confirmation is the key that the token is bound to (RFC 7800).
	Confirmation map[string]string `json:"cnf,omitempty"`
	Active       bool              `json:"active,omitempty"`
}

func (s *authServer) claims(subject, audience, scope string) claims {
	now := time.Now()
	return claims{
		Issuer: s.url, Subject: subject, Audience: audience, Client: "shop-frontend",
		Scope: scope, ID: rand.Text(), IssuedAt: now.Unix(), AuthTime: now.Unix(),
		Expiry: now.Add(tokenLife).Unix(), ACR: "urn:example:loa:2", Email: subject + "@example.com",
		Roles: []string{"customer", "reviewer"},
	}
}

func (s *authServer) callerClaims(caller int) claims {
	return s.claims(fmt.Sprintf("user-%06d", caller), apiAudience, "openid profile orders:read orders:write")
}

// callerToken is the token of one caller, bound to a key unless binding is nil.
func (s *authServer) callerToken(caller int, binding map[string]string) (string, error) {
	made := s.callerClaims(caller)
	made.Confirmation = binding
	return s.sign(made)
}

// opaqueToken is one that says nothing by itself.
func (s *authServer) opaqueToken(caller int) string {
	token := "opaque-" + rand.Text() + rand.Text()
	known := s.callerClaims(caller)
	known.Active = true
	s.opaque[token] = known
	return token
}

func (s *authServer) sign(made claims) (string, error) {
	payload, err := json.Marshal(made)
	if err != nil {
		return "", fmt.Errorf("writing claims: %w", err)
	}
	signed, err := s.signer.Sign(payload)
	if err != nil {
		return "", fmt.Errorf("signing a token: %w", err)
	}
	return signed.CompactSerialize()
}

// ServeHTTP implements http.Handler.
func (s *authServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/.well-known/openid-configuration", "/.well-known/oauth-authorization-server":
		s.answer(w, map[string]string{
			"issuer": s.url, "jwks_uri": s.url + "/jwks", "token_endpoint": s.url + "/token",
			"introspection_endpoint": s.url + "/introspect",
		})
	case "/jwks":
		s.answer(w, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{
			{Key: s.key.Public(), KeyID: keyID, Algorithm: "ES256", Use: "sig"},
		}})
	case "/token":
		s.exchange(w, r)
	case "/introspect":
		s.asked.Add(1)
		s.answer(w, s.opaque[r.FormValue("token")])
	default:
		http.NotFound(w, r)
	}
}

func (s *authServer) exchange(w http.ResponseWriter, r *http.Request) {
	if s.before != nil {
		s.before()
	}
	token, err := s.sign(s.claims("user", r.FormValue("audience"), r.FormValue("scope")))
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	s.asked.Add(1)
	//nolint:gosec // names of members, not credentials
	s.answer(w, map[string]any{
		"access_token": token, "token_type": "Bearer", "expires_in": int(tokenLife.Seconds()),
		"issued_token_type": "urn:ietf:params:oauth:token-type:access_token", "scope": r.FormValue("scope"),
	})
}

func (*authServer) answer(w http.ResponseWriter, value any) {
	text, err := json.Marshal(value)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(text)
}
