package config

import (
	"context"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
)

// What comes out of a placeholder may be a secret, and stands in no message.
func TestWebhookNeverShowsPlaceholders(t *testing.T) {
	const canary = "CANARYHOOK"
	for value, want := range map[string]string{
		"http://10.1.1.1/" + canary:                "url: the URL in {env.GATEHOUSE_TEST_HOOK} is plain http: write https, or use a loopback host",
		"http://" + canary:                         "url: the URL in {env.GATEHOUSE_TEST_HOOK} is plain http: write https, or use a loopback host",
		"https://a.example.com/" + canary + "#x":   "url: the URL in {env.GATEHOUSE_TEST_HOOK} holds a fragment: leave out what begins with #",
		"https:///" + canary:                       "url: the URL in {env.GATEHOUSE_TEST_HOOK} has no host: write https://…",
		"ftp://a.example.com/" + canary:            "url: the value of {env.GATEHOUSE_TEST_HOOK} is not an https URL: write https://…",
		canary:                                     "url: the value of {env.GATEHOUSE_TEST_HOOK} is not an https URL: write https://…",
		"https://a.example.com/%zz" + canary:       "url: the value is not a URL: write https://…",
		"https://a.example.com/ " + canary:         "url: the value is not a URL: write https://…",
		"https://me:" + canary + "@a.example.com/": "url: the URL holds a user name or a password: leave them out",
		"https://a.example.com:" + canary:          "url: the value is not a URL: write https://…",
	} {
		t.Setenv("GATEHOUSE_TEST_HOOK", value)
		refusesWebhook(t, &EventsWebhook{URL: "{env.GATEHOUSE_TEST_HOOK}"}, canary, want)
	}
	t.Setenv("GATEHOUSE_TEST_HOOK", canary)
	refusesWebhook(t, &EventsWebhook{URL: "http://a.example.com/{env.GATEHOUSE_TEST_HOOK}"}, canary,
		"url: the URL in http://a.example.com/{env.GATEHOUSE_TEST_HOOK} is plain http: write https, or use a loopback host")
	refusesWebhook(t, &EventsWebhook{URL: "https://a.example.com", SecretFile: "{env.GATEHOUSE_TEST_HOOK}"}, canary,
		"secret_file: opening the file that {env.GATEHOUSE_TEST_HOOK} names: no such file or directory")
	refusesWebhook(t, &EventsWebhook{URL: "https://a.example.com", TrustCA: []string{"/dev/null", "{env.GATEHOUSE_TEST_HOOK}"}}, canary,
		"trust_ca: opening the file that {env.GATEHOUSE_TEST_HOOK} names: no such file or directory")
	t.Setenv("GATEHOUSE_TEST_HOOK", "http://localhost/"+canary)
	refusesWebhook(t, &EventsWebhook{URL: "{env.GATEHOUSE_TEST_HOOK}", TrustCA: []string{"/dev/null"}}, canary,
		"trust_ca: the URL is plain http, where no certificate is shown: write https, or leave trust_ca out")
}

func refusesWebhook(t *testing.T, hook *EventsWebhook, canary, want string) {
	t.Helper()
	ctx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
	defer cancel()
	err := hook.Provision(ctx)
	switch {
	case err == nil:
		t.Errorf("%+v: accepted", hook)
	case strings.Contains(err.Error(), canary):
		t.Errorf("the message shows the value: %v", err)
	case err.Error() != "gatehouse_webhook: "+want:
		t.Errorf("got  %v\nwant gatehouse_webhook: %s", err, want)
	}
}
