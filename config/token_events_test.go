package config

import (
	"encoding/json"
	"slices"
	"testing"
)

// JSON gets the checks that a Caddyfile gets line by line, and an issuer with secrets
// those that need its file.
func TestCheckEventsJSON(t *testing.T) {
	const global = base + `
issuer legacy https://legacy.example.com {
	algorithms HS256
	jwks /etc/gatehouse/secrets.json
}
client legacy {
	issuer legacy
	client_id gateway
	secret s
}`
	const asymmetric = "issuer legacy (Testfile:13) signs with a shared secret, which whoever verifies could sign with as well: only asymmetric algorithms are accepted here"
	for name, tc := range map[string]struct{ config, want string }{
		"good":           {`{"backchannel_logout":["main"],"shared_signals":[{"transmitter":"https://t1.example.com","audience":"a"}]}`, ""},
		"nothing":        {`{}`, "token_events: nobody is listened to: write backchannel_logout <issuer...> or shared_signals <transmitter> <audience>"},
		"no transmitter": {`{"shared_signals":[{"audience":"a"}]}`, "token_events: shared_signals: a transmitter or its audience is missing: write shared_signals <transmitter> <audience>"},
		"no audience":    {`{"shared_signals":[{"transmitter":"main"}]}`, "token_events: shared_signals: a transmitter or its audience is missing: write shared_signals <transmitter> <audience>"},
		"twice":          {`{"shared_signals":[{"transmitter":"main","audience":"a"},{"transmitter":"main","audience":"b"}]}`, "token_events: shared_signals: main is written twice"},
		"logout twice":   {`{"backchannel_logout":["main","main"]}`, "token_events: backchannel_logout: main is written twice"},
		"secrets":        {`{"backchannel_logout":["legacy"]}`, "token_events: backchannel_logout: " + asymmetric},
		"secrets, too":   {`{"shared_signals":[{"transmitter":"legacy","audience":"a"}]}`, "token_events: shared_signals: " + asymmetric},
	} {
		t.Run(name, func(t *testing.T) {
			events := new(TokenEvents)
			if err := json.Unmarshal([]byte(tc.config), events); err != nil {
				t.Fatal(err)
			}
			err := events.Expand(variables(nil))
			if err == nil {
				err = events.Check(mustRead(t, global))
			}
			if tc.want == "" && err != nil || tc.want != "" && (err == nil || err.Error() != tc.want) {
				t.Errorf("got  %v\nwant %s", err, tc.want)
			}
		})
	}
}

func TestClientIDs(t *testing.T) {
	g := mustRead(t, base+`
client second {
	issuer https://idp.example.com
	client_id second
	secret s
}
client same {
	issuer main
	client_id gateway
	secret s
}
client elsewhere {
	issuer https://other.example.com
	client_id elsewhere
	secret s
}
client endpoint {
	token_endpoint https://idp.example.com/token
	client_id endpoint
	secret s
}`)
	for _, ref := range []string{"main", "https://idp.example.com"} {
		if got := g.ClientIDs(ref); !slices.Equal(got, []string{"gateway", "second"}) {
			t.Errorf("%s: %v", ref, got)
		}
	}
	if got := g.ClientIDs("tenants"); len(got) != 0 {
		t.Errorf("tenants: %v", got)
	}
}
