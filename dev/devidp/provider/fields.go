package provider

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

func parseFault(fields url.Values) (Fault, error) {
	f := Fault{
		Endpoint: fields.Get("endpoint"), Grant: fields.Get("grant"), Error: fields.Get("error"),
		Body: fields.Get("body"), Redirect: fields.Get("redirect"), Omit: split(fields["omit"]),
	}
	if _, known := grantTypes[f.Grant]; f.Grant != "" && !known {
		return f, fmt.Errorf("%w: grant %q is not known", errParameter, f.Grant)
	}
	if !slices.Contains(endpointNames(), f.Endpoint) {
		return f, fmt.Errorf("%w: endpoint %q is not one of %v", errParameter, f.Endpoint, endpointNames())
	}
	if f.Body != "" && !slices.Contains([]string{bodyHTML, bodyEmpty, bodyTruncated, bodyOversize, bodyAbort}, f.Body) {
		return f, fmt.Errorf("%w: body %q is not known; use html, empty, truncated, oversize or abort", errParameter, f.Body)
	}
	// A redirected POST takes the client's secret along, so it stays here.
	if target, err := url.Parse(f.Redirect); f.Redirect != "" && (err != nil || !IsLoopbackName(target.Host)) {
		return f, fmt.Errorf("%w: redirect must be a loopback URL", errParameter)
	}
	var err error
	if f.Token, err = parseFaultToken(fields); err != nil {
		return f, err
	}
	err = errors.Join(
		parseInt(fields, "times", &f.Times, 0, 1<<30), parseInt(fields, "status", &f.Status, 200, 599),
		parseDuration(fields, "delay", &f.Delay),
		parseJSON(fields, "set", &f.Set), parseJSON(fields, "headers", &f.Headers),
	)
	return f, err
}

func parseFaultToken(fields url.Values) (*Override, error) {
	if !slices.ContainsFunc([]string{"typ", "alg", "key", "kid", "lifetime", "claims"}, fields.Has) {
		return nil, nil //nolint:nilnil // no override is not a fault
	}
	return parseOverride(fields)
}

func parseOverride(fields url.Values) (*Override, error) {
	o := &Override{
		Type: fields.Get("typ"), Algorithm: fields.Get("alg"), Key: fields.Get("key"), KeyID: fields.Get("kid"),
	}
	if o.Algorithm != "" && o.Algorithm != "none" {
		return nil, fmt.Errorf("%w: alg can only be none", errParameter)
	}
	if o.Key != "" && !slices.Contains([]string{keyCurrent, keyRetired, keyForeign}, o.Key) {
		return nil, fmt.Errorf("%w: key %q is not known; use current, retired or foreign", errParameter, o.Key)
	}
	if fields.Has("lifetime") {
		o.Lifetime = new(duration)
	}
	err := errors.Join(parseDuration(fields, "lifetime", o.Lifetime), parseJSON(fields, "claims", &o.Claims))
	return o, err
}

func endpointNames() []string {
	return []string{
		endpointDiscovery, endpointJWKS, endpointAuthorize, endpointToken,
		endpointIntrospect, endpointRevoke, endpointUserinfo,
	}
}

// readFields reads a form, or a JSON object as if it were one: an array is a
// repeated field, an object the text of itself.
func readFields(r *http.Request) (url.Values, error) {
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if kind != "application/json" {
		if err := r.ParseForm(); err != nil {
			return nil, fmt.Errorf("%w: unreadable form", errParameter)
		}
		return r.PostForm, nil
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, fmt.Errorf("%w: unreadable body", errParameter)
	}
	members := make(map[string]json.RawMessage)
	if err := json.Unmarshal(body, &members); err != nil {
		return nil, fmt.Errorf("%w: the body is not a JSON object", errParameter)
	}
	fields := make(url.Values)
	for name, raw := range members {
		fields[name] = texts(raw)
	}
	return fields, nil
}

func texts(raw json.RawMessage) []string {
	var one string
	var many []string
	switch {
	case json.Unmarshal(raw, &one) == nil:
		return []string{one}
	case json.Unmarshal(raw, &many) == nil:
		return many
	default:
		return []string{string(raw)}
	}
}

func split(values []string) []string {
	return strings.Fields(strings.Join(values, " "))
}

func parseInt(fields url.Values, name string, into *int, least, most int) error {
	if !fields.Has(name) {
		return nil
	}
	n, err := strconv.Atoi(fields.Get(name))
	if err != nil || n < least || n > most {
		return fmt.Errorf("%w: %s must be a number from %d to %d", errParameter, name, least, most)
	}
	*into = n
	return nil
}

func parseDuration(fields url.Values, name string, into *duration) error {
	if !fields.Has(name) {
		return nil
	}
	d, err := time.ParseDuration(fields.Get(name))
	if err != nil {
		return fmt.Errorf("%w: %s must be a duration such as 250ms", errParameter, name)
	}
	*into = duration(d)
	return nil
}

func parseJSON(fields url.Values, name string, into any) error {
	if !fields.Has(name) {
		return nil
	}
	if err := json.Unmarshal([]byte(fields.Get(name)), into); err != nil {
		return fmt.Errorf("%w: %s must be a JSON object", errParameter, name)
	}
	return nil
}
