package config

import (
	"encoding/json"
	"testing"
)

// JSON gets the checks that a Caddyfile gets line by line, and what Caddy's matchers
// would take away there.
func TestCheckLimitJSON(t *testing.T) {
	for name, tt := range map[string]struct{ config, want string }{
		"good":         {`{"key":"a","events":1,"window":"1s","when":[{"path":"p","value":"v","events":"2","window":1000000000}]}`, ""},
		"nothing":      {`{}`, "token_limit: a value is missing: write token_limit <key> <events> <window>"},
		"no window":    {`{"key":"a","events":1}`, "token_limit: a value is missing: write token_limit <key> <events> <window>"},
		"path as key":  {`{"key":"/a","events":1,"window":"1s"}`, `token_limit: key: "/a" is not a key: a key begins neither with / nor with @, as matchers do`},
		"name as key":  {`{"key":"@a","events":1,"window":"1s"}`, `token_limit: key: "@a" is not a key: a key begins neither with / nor with @, as matchers do`},
		"no events":    {`{"key":"a","events":0,"window":"1s"}`, `token_limit: events: "0" is not a number from 1 to 1000000`},
		"minus events": {`{"key":"a","events":-1,"window":"1s"}`, `token_limit: events: "-1" is not a number from 1 to 1000000`},
		"short window": {`{"key":"a","events":1,"window":1000000}`, "token_limit: window: 1ms is not between 1s and 366d"},
		"empty when":   {`{"key":"a","events":1,"window":"1s","when":[{}]}`, "token_limit: when lacks a value: it needs path, value, events and window"},
		"half a when":  {`{"key":"a","events":1,"window":"1s","when":[{"path":"p","events":1,"window":"1s"}]}`, "token_limit: when lacks a value: it needs path, value, events and window"},
		"when, twice": {
			`{"key":"a","events":1,"window":"1s","when":[{"path":"p","value":"v","events":1,"window":"1s"},{"path":"p","value":"v","events":1,"window":"1s"}]}`,
			"token_limit: when p v is written twice, and the first counts: keep one line",
		},
		"window of a when": {
			`{"key":"a","events":1,"window":"1s","when":[{"path":"p","value":"v","events":1,"window":"1y"}]}`,
			`token_limit: when: window: "1y" is not a duration such as 30s or 2m`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			limit := new(TokenLimit)
			if err := json.Unmarshal([]byte(tt.config), limit); err != nil {
				t.Fatal(err)
			}
			err := limit.Expand(variables(nil))
			if err == nil {
				err = limit.Check(nil)
			}
			if (err != nil) != (tt.want != "") || err != nil && err.Error() != tt.want {
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
		})
	}
}
