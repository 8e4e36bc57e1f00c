package harness

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// A Provider is what one identity provider does with a request: it refuses what
// the real one refuses, and answers as that one does.
type Provider struct {
	// Refuse returns status and error code, 0 if the request is good. callers are
	// the claims of the token that is to be exchanged, unverified.
	Refuse func(form url.Values, callers map[string]any) (status int, code string)
	// Answer changes the usual answer.
	Answer map[string]any
}

const (
	typePrefix  = "urn:ietf:params:oauth:token-type:"
	accessToken = typePrefix + "access_token"
)

// Providers are the identity providers of docs/providers.md.
var Providers = map[string]Provider{
	"keycloak": {Refuse: refuseKeycloak, Answer: map[string]any{
		"not-before-policy": 0, "session_state": "s", "refresh_expires_in": 0,
	}},
	"entra": {Refuse: refuseEntra, Answer: map[string]any{
		// Granted scopes have names of their own, and the token is nobody's but the
		// resource's.
		"scope": "api://orders/Orders.Read api://orders/Orders.Write", "ext_expires_in": 3599, "access_token": "opaque-to-the-gateway",
	}},
	"okta":    {Refuse: refuseOkta},
	"auth0":   {Refuse: refuseAuth0},
	"zitadel": {Refuse: refuseZitadel, Answer: map[string]any{"issued_token_type": typePrefix + "jwt"}},
	"dex":     {Refuse: refuseDex, Answer: map[string]any{"scope": nil}},
	"google": {Refuse: refuseGoogle, Answer: map[string]any{
		"scope": nil, "access_token": "ya29.d.opaque-to-the-gateway", "expires_in": 3599,
	}},
}

// BeLike makes the token endpoint behave as that provider.
func (s *AuthServer) BeLike(name string) {
	provider := Providers[name]
	s.Answer(func(form url.Values, w http.ResponseWriter) {
		if status, code := provider.Refuse(form, callersClaims(form)); status != 0 {
			refuse(w, status, code)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(s.Issued(form, provider.Answer))
	})
}

func callersClaims(form url.Values) map[string]any {
	parts := strings.Split(form.Get("subject_token")+form.Get("assertion"), ".")
	claims := map[string]any{}
	if len(parts) == 3 { //nolint:mnd // a JWS has three parts
		payload, _ := base64.RawURLEncoding.DecodeString(parts[1])
		_ = json.Unmarshal(payload, &claims)
	}
	return claims
}

func holds(claims map[string]any, name, value string) bool {
	switch claim := claims[name].(type) {
	case string:
		return claim == value
	case []any:
		return slices.Contains(claim, any(value))
	default:
		return false
	}
}

func only(form url.Values, names ...string) bool {
	for name := range form {
		if !slices.Contains(names, name) && name != "client_id" && name != "client_secret" {
			return false
		}
	}
	return true
}

// refuseKeycloak is the standard token exchange (version 2) as 26.7.3 answers;
// dev/interop/keycloak runs the real one. Like that, it looks at neither resource
// nor actor_token.
func refuseKeycloak(form url.Values, callers map[string]any) (int, string) {
	requested := strings.TrimPrefix(form.Get("requested_token_type"), typePrefix)
	switch {
	case form.Get("grant_type") != tokenExchange:
		return http.StatusBadRequest, "unsupported_grant_type"
	case !only(form, "grant_type", "subject_token", "subject_token_type", "audience", "scope", "requested_token_type",
		"resource", "actor_token", "actor_token_type"),
		form.Get("subject_token_type") != accessToken, !slices.Contains([]string{"", "access_token", "id_token"}, requested):
		return http.StatusBadRequest, "invalid_request"
	case !holds(callers, "aud", ClientID) && !holds(callers, "azp", ClientID):
		return http.StatusForbidden, "access_denied"
	case form.Get("audience") == "stock":
		return http.StatusBadRequest, "invalid_request" // "Requested audience not available"
	case form.Get("audience") != "orders":
		return http.StatusBadRequest, "invalid_client" // "Audience not found"
	}
	return 0, ""
}

// refuseEntra is the on-behalf-of flow.
func refuseEntra(form url.Values, callers map[string]any) (int, string) {
	switch {
	case form.Get("grant_type") != jwtBearer:
		return http.StatusBadRequest, "unsupported_grant_type"
	case !only(form, "grant_type", "assertion", "scope", "requested_token_use"), form.Get("requested_token_use") != "on_behalf_of",
		form.Get("scope") == "", !form.Has("client_id"):
		return http.StatusBadRequest, "invalid_request"
	case !holds(callers, "aud", "api://gateway"):
		return http.StatusBadRequest, "invalid_grant" // the assertion is for another application
	}
	return 0, ""
}

// refuseOkta is on-behalf-of at a custom authorization server.
func refuseOkta(form url.Values, _ map[string]any) (int, string) {
	scopes := strings.Fields(form.Get("scope"))
	switch {
	case form.Get("grant_type") != tokenExchange:
		return http.StatusBadRequest, "unsupported_grant_type"
	case !only(form, "grant_type", "subject_token", "subject_token_type", "audience", "scope"),
		form.Get("subject_token_type") != accessToken, form.Get("audience") != "api://orders":
		return http.StatusBadRequest, "invalid_request"
	case len(scopes) == 0 || slices.Contains(scopes, "openid") || slices.Contains(scopes, "offline_access"):
		return http.StatusBadRequest, "invalid_scope"
	}
	return 0, ""
}

// refuseAuth0 is on-behalf-of for access tokens and custom token exchange for any
// other type.
func refuseAuth0(form url.Values, _ map[string]any) (int, string) {
	kind := form.Get("subject_token_type")
	reserved := slices.ContainsFunc([]string{"urn:ietf", "urn:auth0", "urn:okta", "https://auth0.com", "https://okta.com"},
		func(prefix string) bool { return strings.HasPrefix(kind, prefix) })
	switch {
	case form.Get("grant_type") != tokenExchange:
		return http.StatusBadRequest, "unsupported_grant_type"
	case form.Get("audience") == "" || len(form["audience"]) > 1, kind != accessToken && reserved,
		kind != accessToken && form.Has("requested_token_type"), form.Has("resource"):
		return http.StatusBadRequest, "invalid_request"
	}
	return 0, ""
}

func refuseZitadel(form url.Values, callers map[string]any) (int, string) {
	kind := form.Get("requested_token_type")
	switch {
	case form.Get("grant_type") != tokenExchange:
		return http.StatusBadRequest, "unsupported_grant_type"
	case form.Get("subject_token_type") == typePrefix+"refresh_token", kind != typePrefix+"jwt", form.Has("resource"), callers["act"] != nil:
		return http.StatusBadRequest, "invalid_request"
	}
	return 0, ""
}

// refuseDex wants to know by which connector the token can be checked.
func refuseDex(form url.Values, _ map[string]any) (int, string) {
	switch {
	case form.Get("grant_type") != tokenExchange:
		return http.StatusBadRequest, "unsupported_grant_type"
	case !only(form, "grant_type", "subject_token", "subject_token_type", "requested_token_type", "connector_id", "scope"),
		form.Get("connector_id") != "corp", form.Get("scope") == "":
		return http.StatusBadRequest, "invalid_request"
	}
	return 0, ""
}

// refuseGoogle is the Security Token Service of workload identity federation.
func refuseGoogle(form url.Values, _ map[string]any) (int, string) {
	kind := strings.TrimPrefix(form.Get("subject_token_type"), typePrefix)
	switch {
	case form.Get("grant_type") != tokenExchange:
		return http.StatusBadRequest, "unsupported_grant_type"
	case !only(form, "grant_type", "subject_token", "subject_token_type", "requested_token_type", "audience", "scope", "options"),
		form.Has("client_secret"), form.Get("requested_token_type") != accessToken, kind != "jwt" && kind != "id_token",
		form.Get("scope") == "", len(form["audience"]) != 1:
		return http.StatusBadRequest, "invalid_request"
	case !strings.HasPrefix(form.Get("audience"), "//iam.googleapis.com/projects/"):
		return http.StatusBadRequest, "invalid_target"
	}
	return 0, ""
}

// ByNobody lets in who proves nothing, and refuses an Authorization header.
func ByNobody(r *http.Request) bool {
	return r.Header.Get("Authorization") == "" && !r.PostForm.Has("client_assertion")
}
