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
	url       string
	key       *ecdsa.PrivateKey
	signer    jose.Signer
	exchanges atomic.Int64
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
	return &authServer{url: url, key: key, signer: signer}, nil
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
}

// callerToken is the token of one caller.
func (s *authServer) callerToken(caller int) (string, error) {
	return s.sign(fmt.Sprintf("user-%06d", caller), apiAudience, "openid profile orders:read orders:write")
}

func (s *authServer) sign(subject, audience, scope string) (string, error) {
	now := time.Now()
	payload, err := json.Marshal(claims{
		Issuer: s.url, Subject: subject, Audience: audience, Client: "shop-frontend",
		Scope: scope, ID: rand.Text(), IssuedAt: now.Unix(), AuthTime: now.Unix(),
		Expiry: now.Add(tokenLife).Unix(), ACR: "urn:example:loa:2", Email: subject + "@example.com",
		Roles: []string{"customer", "reviewer"},
	})
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
		s.answer(w, map[string]string{"issuer": s.url, "jwks_uri": s.url + "/jwks", "token_endpoint": s.url + "/token"})
	case "/jwks":
		s.answer(w, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{
			{Key: s.key.Public(), KeyID: keyID, Algorithm: "ES256", Use: "sig"},
		}})
	case "/token":
		s.exchange(w, r)
	default:
		http.NotFound(w, r)
	}
}

func (s *authServer) exchange(w http.ResponseWriter, r *http.Request) {
	token, err := s.sign("user", r.FormValue("audience"), r.FormValue("scope"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	s.exchanges.Add(1)
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
