package config

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"

	"github.com/caddy-gatehouse/gatehouse/internal/metrics"
	"github.com/caddy-gatehouse/gatehouse/webhook"
)

func init() { caddy.RegisterModule((*EventsWebhook)(nil)) }

// EventsWebhook tells an HTTP endpoint of Caddy's events: a handler for the global
// option `events`. Each event is a POST of a CloudEvent in JSON. Whoever emits an event
// does not wait for it; what does not get through after a few attempts is dropped and
// logged.
type EventsWebhook struct {
	// Where events are sent: https, or http for a loopback host. What is written as a
	// placeholder, such as `{file./run/secrets/hook}`, is in no log. Required.
	URL string `json:"url,omitempty"`

	// The file with the secret that signs what is sent, in the form of Standard
	// Webhooks: the header `Webhook-Signature`. At least 16 octets; what begins with
	// `whsec_` is base64. It is read again for each event. Default: it is not signed.
	SecretFile string `json:"secret_file,omitempty"`

	// PEM files with the certificate authorities that the endpoint's TLS certificate
	// may come from; then only these. They are read when the configuration is loaded.
	// Default: those of the system.
	TrustCA []string `json:"trust_ca,omitempty"`

	// How long one attempt may take, from 100ms to 30s. Default: 5s.
	Timeout Duration `json:"timeout,omitempty"`

	// Where the Caddyfile has this handler, as file:line. The Caddyfile adapter
	// writes it. It serves messages only and changes nothing.
	Place string `json:"place,omitempty"`

	written string // the URL before its placeholders were filled; empty before that
	sender  *webhook.Sender
}

// CaddyModule returns the Caddy module information.
func (*EventsWebhook) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "events.handlers." + wordWebhook, New: func() caddy.Module { return new(EventsWebhook) }}
}

const wordWebhook = "gatehouse_webhook"

// UnmarshalCaddyfile reads the rest of the line and the block. Syntax:
//
//	gatehouse_webhook <url> {
//		secret_file <path>
//		trust_ca    <pem file...>
//		timeout     <duration>
//	}
func (w *EventsWebhook) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the module's name
	w.Place = place(d)
	if d.NextArg() {
		w.URL = d.Val()
	}
	return readBlock(d, wordWebhook, w)
}

func (w *EventsWebhook) options() []option {
	return []option{
		{word: "secret_file", read: readOne(&w.SecretFile)},
		{word: "trust_ca", read: readList(&w.TrustCA)},
		{word: "timeout", read: readOne(&w.Timeout)},
	}
}

func (w *EventsWebhook) settings() []setting {
	return slices.Concat(
		one("url", &w.URL, w.checkURL),
		one("secret_file", &w.SecretFile, checkText),
		list("trust_ca", w.TrustCA, checkText),
		one("timeout", (*string)(&w.Timeout), checkWebhookTimeout),
	)
}

func (w *EventsWebhook) checkURL(text string) error {
	if w.written == "" {
		return checkURL(text)
	}
	return checkURLIn(text, w.written)
}

// contradiction refuses authorities where none is asked: whoever names them believes
// that somebody vouches for the endpoint.
func (w *EventsWebhook) contradiction() error {
	if endpoint, err := url.Parse(w.URL); len(w.TrustCA) > 0 && err == nil && endpoint.Scheme == "http" {
		return errors.New("trust_ca: the URL is plain http, where no certificate is shown: write https, or leave trust_ca out")
	}
	return nil
}

func (w *EventsWebhook) missing() error {
	if w.URL == "" {
		return errors.New("the URL is missing: write gatehouse_webhook <url>")
	}
	return nil
}

// Bounds of timeout.
const (
	minWebhookTimeout = 100 * time.Millisecond
	maxWebhookTimeout = 30 * time.Second
)

func checkWebhookTimeout(text string) error {
	limit, err := caddy.ParseDuration(text)
	if err != nil || limit < minWebhookTimeout || limit > maxWebhookTimeout {
		return fmt.Errorf("%q is not a duration between %s and %s", text, minWebhookTimeout, maxWebhookTimeout)
	}
	return nil
}

// Provision implements caddy.Provisioner. It sends nothing.
func (w *EventsWebhook) Provision(ctx caddy.Context) error {
	label := at(wordWebhook, w.Place)
	// A copy: Caddy writes the handler itself into its log, and a URL may be a secret.
	filled := &EventsWebhook{URL: w.URL, SecretFile: w.SecretFile, TrustCA: slices.Clone(w.TrustCA), Timeout: w.Timeout, written: w.URL}
	if err := expandBlock(caddy.NewReplacer(), label, filled); err != nil {
		return err
	}
	if err := checkBlock(label, filled); err != nil {
		return err
	}
	if err := checkSecretFile(filled.SecretFile, w.SecretFile); err != nil {
		return fmt.Errorf("%s: secret_file: %w", label, err)
	}
	bundles, err := ReadBundles(filled.TrustCA)
	if err != nil {
		return fmt.Errorf("%s: trust_ca: %w", label, hidePath(err, filled.TrustCA, w.TrustCA))
	}
	counts, err := metrics.NewWebhooks(ctx.GetMetricsRegistry(), string(webhook.Delivered), string(webhook.Failed), string(webhook.Dropped))
	if err != nil {
		return fmt.Errorf("%s: %w", label, err)
	}
	sender, err := webhook.NewSender(webhook.Config{
		URL: filled.URL, SecretFile: filled.SecretFile, TrustCA: bundles, Timeout: filled.Timeout.Or(webhook.DefaultTimeout), Log: ctx.Slogger(),
		Observe: func(outcome webhook.Outcome) { counts.Count(string(outcome)) },
	})
	if err != nil {
		return fmt.Errorf("%s: %w", label, err)
	}
	w.sender = sender
	return nil
}

// checkSecretFile reads the secret.
func checkSecretFile(path, written string) error {
	if path == "" {
		return nil
	}
	_, err := webhook.ReadSecret(path)
	return hidePath(err, []string{path}, []string{written})
}

// hidePath takes a path that came out of a placeholder out of an error: whoever writes
// {file.*} has there what the file holds, which may be a secret. It shows what is
// written in that place.
func hidePath(err error, paths, written []string) error {
	failed, ok := errors.AsType[*fs.PathError](err)
	if !ok {
		return err
	}
	if i := slices.Index(paths, failed.Path); i >= 0 && paths[i] != written[i] {
		return fmt.Errorf("opening the file that %s names: %w", written[i], failed.Err)
	}
	return err
}

// Handle implements caddyevents.Handler. It returns at once.
func (w *EventsWebhook) Handle(_ context.Context, event caddy.Event) error {
	told := event.CloudEvent()
	body, err := json.Marshal(told)
	if err != nil {
		return fmt.Errorf("writing the event %s: %w", told.Type, err)
	}
	w.sender.Send(webhook.Message{ID: told.ID, Type: told.Type, Body: body})
	return nil
}

// Cleanup implements caddy.CleanerUpper. What waits is sent for a moment yet.
func (w *EventsWebhook) Cleanup() error {
	if w.sender != nil {
		w.sender.Close()
	}
	return nil
}

// Interface guards.
var (
	_ caddy.Provisioner     = (*EventsWebhook)(nil)
	_ caddy.CleanerUpper    = (*EventsWebhook)(nil)
	_ caddyfile.Unmarshaler = (*EventsWebhook)(nil)
	_ caddyevents.Handler   = (*EventsWebhook)(nil)
	_ block                 = (*EventsWebhook)(nil)
)
