package provider

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
)

// errParameter is wrapped by every complaint about a request to /dev.
var errParameter = errors.New("bad parameter")

// serveFaults is /dev/faults: POST adds a fault or works on the keys, GET shows
// what is in force, DELETE clears it all.
func (p *Provider) serveFaults(w http.ResponseWriter, r *http.Request) {
	switch r.Method {
	case http.MethodGet:
	case http.MethodDelete:
		p.state.faults.clear()
		p.state.keys.hide(false)
	case http.MethodPost:
		if err := p.addFault(r); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
	default:
		refuseMethod(w, "GET, POST, DELETE")
		return
	}
	signing, published := p.state.keys.ids()
	writeJSON(w, http.StatusOK, map[string]any{
		"faults": p.state.faults.list(),
		"keys":   map[string]any{"signing": signing, "published": published},
	})
}

func (p *Provider) addFault(r *http.Request) error {
	fields, err := readFields(r)
	if err != nil {
		return err
	}
	if fields.Has("keys") {
		return p.workOnKeys(fields.Get("keys"))
	}
	fault, err := parseFault(fields)
	if err != nil {
		return err
	}
	p.state.faults.add(fault)
	return nil
}

func (p *Provider) workOnKeys(action string) error {
	switch action {
	case "rotate":
		return p.state.keys.rotate(true)
	case "replace":
		return p.state.keys.rotate(false)
	case "hide":
		p.state.keys.hide(true)
	case "show":
		p.state.keys.hide(false)
	default:
		return fmt.Errorf("%w: keys %q is not known; use rotate, replace, hide or show", errParameter, action)
	}
	return nil
}

// serveDevToken is /dev/token: it mints any token, for a test that needs one.
func (p *Provider) serveDevToken(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		refuseMethod(w, "POST")
		return
	}
	fields, err := readFields(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	override, err := parseOverride(fields)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	token, lifetime, err := p.accessToken(withOverride(r.Context(), override), p.devGrant(fields))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{
		"access_token": token, "token_type": "Bearer", "expires_in": int64(lifetime.Seconds()),
	})
}

// devGrant reads whose token is wanted. An audience that is not named is the
// client's default; a client that does not exist has none.
func (p *Provider) devGrant(fields url.Values) grant {
	g := grant{
		subject: fields.Get("sub"), clientID: fields.Get("client_id"),
		audience: split(fields["audience"]), scope: split(fields["scope"]),
	}
	if client, ok := p.clients[g.clientID]; ok && len(g.audience) == 0 {
		g.audience = client.defaultAudience()
	}
	return g
}

// serveStats is /dev/stats: GET shows the counters, DELETE resets them.
func (p *Provider) serveStats(w http.ResponseWriter, r *http.Request) {
	switch r.Method {
	case http.MethodGet:
	case http.MethodDelete:
		p.state.stats.reset()
	default:
		refuseMethod(w, "GET, DELETE")
		return
	}
	writeJSON(w, http.StatusOK, p.state.stats.snapshot())
}

func refuseMethod(w http.ResponseWriter, allowed string) {
	w.Header().Set("Allow", allowed)
	http.Error(w, "use "+allowed, http.StatusMethodNotAllowed)
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	text, err := json.Marshal(body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(append(text, '\n')) // the client may be gone; nothing to be done
}
