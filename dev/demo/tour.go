package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// order is what every caller asks for.
const order = "/orders/7"

// A tour is one walk through the main job.
type tour struct {
	*Page

	client  *client
	gateway *gateway
	// upstream is Caddy's name for the upstream's server.
	upstream string
	// served counts the requests that were answered 200: those, and no other,
	// must have reached the upstream.
	served int
	// good is a token of alice's that does all.
	good JWT
}

// walk goes all the steps. A check that fails does not end it; what keeps it from
// going on is the error.
func (t *tour) walk(ctx context.Context) error {
	t.title()
	if err := t.prepare(ctx); err != nil {
		return err
	}
	for _, step := range []func(context.Context) error{
		t.noToken, t.wrongAudience, t.missingScope, t.goodToken, t.rotation, t.outage, t.trail,
	} {
		if err := step(ctx); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return nil
}

func (t *tour) title() {
	t.Line(t.paint(bold, "Gatehouse: the main job, on this machine alone"))
	t.Line("")
	caller, other := t.paint(yellow, "──── alice's token ───▶"), t.paint(green, "─── another token ──▶")
	t.Line(indent + "caller " + caller + " Gatehouse :8080 " + other + " upstream :9001")
	t.Line(indent + t.paint(dim, strings.Repeat(" ", 37)+"╰─── keys, exchange ─▶ identity provider :9000"))
	t.Line("")
	t.Line("gatehouse-dev runs examples/quickstart/Caddyfile; each request below is a real one.")
}

// prepare waits until the gateway has the provider's keys, and begins to count.
// It asks for another path than the steps do, so that their audit lines stay
// theirs.
func (t *tour) prepare(ctx context.Context) error {
	if err := t.client.countRequests(ctx); err != nil {
		return err
	}
	var err error
	if t.upstream, err = t.client.upstreamServer(ctx); err != nil {
		return err
	}
	token, err := t.client.mint(ctx, "profile", "")
	if err != nil {
		return err
	}
	return await(ctx, "an answer of the API to a good token", func(ctx context.Context) bool {
		a, err := t.client.call(ctx, "/whoami", token.Raw)
		return err == nil && a.Status == http.StatusOK
	})
}

// ask shows a request with the token in a shell variable, and makes it.
func (t *tour) ask(ctx context.Context, variable string, token JWT) (Answer, error) {
	command := "curl -i " + apiURL + order
	if variable != "" {
		command = fmt.Sprintf(`curl -i -H "Authorization: Bearer $%s" %s%s`, variable, apiURL, order)
	}
	t.Command(command)
	return t.client.call(ctx, order, token.Raw)
}

// refusal checks an answer that is no 200 and must not be one.
func (t *tour) refusal(a Answer, status int, statement string, parts ...string) {
	challenge := a.Header.Get("WWW-Authenticate")
	held := a.Status == status
	for _, part := range parts {
		held = held && strings.Contains(challenge, part)
	}
	t.Check(held, statement, fmt.Sprintf("%d %s", a.Status, challenge))
}

const challenge = "WWW-Authenticate"

func (t *tour) noToken(ctx context.Context) error {
	t.Step("No token", "The caller learns what is asked for, and nothing else.")
	a, err := t.ask(ctx, "", JWT{})
	if err != nil {
		return err
	}
	t.Answer(a, challenge)
	t.Check(a.Status == http.StatusUnauthorized && a.Header.Get(challenge) == `Bearer realm="gatehouse"`,
		"401 and a bare challenge: who sent nothing has made no error", a)
	return nil
}

func (t *tour) wrongAudience(ctx context.Context) error {
	t.Step("Wrong audience", "A genuine token of alice's, but made for the API on port 8081.")
	token, err := t.client.mint(ctx, "orders:read", "http://127.0.0.1:8081")
	if err != nil {
		return err
	}
	a, err := t.ask(ctx, "OTHER", token)
	if err != nil {
		return err
	}
	t.Answer(a, challenge)
	t.refusal(a, http.StatusUnauthorized, "401 invalid_token: who is sent a token cannot use it elsewhere", `error="invalid_token"`)
	return nil
}

func (t *tour) missingScope(ctx context.Context) error {
	t.Step("Missing scope", "Alice's token is good, but does not reach as far as the orders.")
	token, err := t.client.mint(ctx, "openid profile", "")
	if err != nil {
		return err
	}
	a, err := t.ask(ctx, "POOR", token)
	if err != nil {
		return err
	}
	t.Answer(a, challenge)
	t.refusal(a, http.StatusForbidden, "403 insufficient_scope, and it names the scope to ask for: orders:read",
		`error="insufficient_scope"`, `scope="orders:read"`)
	return nil
}

func (t *tour) goodToken(ctx context.Context) (err error) {
	t.Step("A good token", "The upstream gets another one: narrower, and made for it alone.")
	if t.good, err = t.client.mint(ctx, "openid orders:read reports:read", ""); err != nil {
		return err
	}
	a, err := t.ask(ctx, "GOOD", t.good)
	if err != nil {
		return err
	}
	t.Answer(a)
	upstreams, err := receivedToken(a)
	if err != nil {
		return err
	}
	t.Compare("alice's token", "the upstream's token", sideBySide(t.good, upstreams))
	t.Check(narrowed(t.good, upstreams), "another token: for orders only, orders:read only, living no longer", sideBySide(t.good, upstreams))
	t.Check(!strings.Contains(a.Body, t.good.Signature()), "alice's token is nowhere in what the upstream received", "it is there")
	return t.askAgain(ctx)
}

// askAgain shows that the exchanged token is reused, and that all the requests
// before the first good one ended at the gateway.
func (t *tour) askAgain(ctx context.Context) error {
	again, err := t.client.call(ctx, order, t.good.Raw)
	if err != nil {
		return err
	}
	asked, err := t.client.asked(ctx)
	if err != nil {
		return err
	}
	t.Check(again.Status == http.StatusOK && asked.exchanges() == 1, "asked again: 200, without another call to the provider",
		fmt.Sprintf("%d after %d exchanges", again.Status, asked.exchanges()))
	t.served += 2
	return t.checkReached(ctx, "the upstream has seen these 2 requests, and none of the 3 refused ones")
}

// errNoBearer is returned when the upstream received no single bearer token.
var errNoBearer = errors.New("the upstream received no single bearer token")

// receivedToken reads the token out of the echo of what the upstream received.
func receivedToken(a Answer) (JWT, error) {
	if a.Status != http.StatusOK {
		return JWT{}, fmt.Errorf("%w: %v", errNoBearer, a)
	}
	var echo struct {
		Headers http.Header `json:"headers"`
	}
	if err := json.Unmarshal([]byte(a.Body), &echo); err != nil {
		return JWT{}, fmt.Errorf("reading the upstream's echo: %w", err)
	}
	values := echo.Headers.Values("Authorization")
	if len(values) != 1 || !strings.HasPrefix(values[0], "Bearer ") {
		return JWT{}, errNoBearer
	}
	return DecodeJWT(strings.TrimPrefix(values[0], "Bearer "))
}

// checkReached compares what the upstream's server counted with what was served.
// Caddy counts after it has answered, so the number may take a moment.
func (t *tour) checkReached(ctx context.Context, statement string) error {
	var count int
	err := await(ctx, statement, func(ctx context.Context) bool {
		var err error
		count, err = t.client.reached(ctx, t.upstream)
		return err == nil && count >= t.served
	})
	if err != nil && !errors.Is(err, errNever) {
		return err
	}
	t.Check(count == t.served, statement, fmt.Sprintf("it counted %d, expected %d", count, t.served))
	return nil
}
