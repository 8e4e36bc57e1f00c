package demo

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// denials is how many requests of the steps were refused.
const denials = 4

func (t *tour) trail(ctx context.Context) error {
	t.Step("The audit trail of all that", "Who, where in the Caddyfile, why. Lines that read the same are counted.")
	refused, served := 0, 0
	err := await(ctx, "the audit lines", func(context.Context) bool {
		refused, served = 0, 0
		for _, d := range t.gateway.decisions(order) {
			switch {
			case d.Outcome == denied:
				refused++
			case d.Directive == "token_exchange":
				served++
			}
		}
		return refused >= denials && served >= t.served
	})
	if err != nil && !errors.Is(err, errNever) {
		return err
	}
	for _, g := range summarize(t.gateway.decisions(order)) {
		line := g.show(t.Page, g.place())
		if g.count > 1 {
			line += t.paint(dim, fmt.Sprintf(" ×%d", g.count))
		}
		t.Line(indent + line)
	}
	t.Check(refused == denials && served == t.served, fmt.Sprintf("one line for each of the %d refusals and each of the %d tokens handed out", denials, t.served),
		fmt.Sprintf("%d refusals, %d tokens", refused, served))
	t.Check(t.gateway.tokensLogged() == 0, "no token in them, nor in any other line of the log", fmt.Sprintf("%d lines with a token", t.gateway.tokensLogged()))
	return nil
}

// howTo is what can be pasted, in a shell. $FAULTS is the one secret: it is made
// at each start, and guards what only a provider for development has.
const howTo = `FAULTS='Authorization: Bearer %[1]s'
mint() { curl -s -H "$FAULTS" -d sub=alice -d client_id=web "$@" %[3]s/dev/token | cut -d'"' -f4; }
GOOD=$(mint -d scope='openid orders:read reports:read')
POOR=$(mint -d scope='openid profile')
OTHER=$(mint -d scope=orders:read -d audience=http://127.0.0.1:8081)
NEW=$(mint -d scope=orders:read)

curl -i -H "Authorization: Bearer $GOOD" %[2]s/orders/7
curl -i -H "Authorization: Bearer $GOOD" %[2]s/reports/1
curl -i -H "Authorization: Bearer $POOR" %[2]s/whoami

curl -H "$FAULTS" -d keys=rotate %[3]s/dev/faults
curl -H "$FAULTS" -d endpoint=token -d status=500 %[3]s/dev/faults
curl -H "$FAULTS" -X DELETE %[3]s/dev/faults

APP=$(curl -s -u app:app-secret -d grant_type=client_credentials -d scope=orders:read %[3]s/token | cut -d'"' -f4)
curl -i -H "Authorization: Bearer $APP" %[2]s/orders/7`

// play stays up until ctx ends and shows each decision as it is made.
func (t *tour) play(ctx context.Context) error {
	t.Line("")
	t.Line(t.paint(bold, fmt.Sprintf("%d checks passed, %d failed. It all stays up: paste into another terminal.", t.Passed(), t.Failed())))
	t.Line("What Gatehouse decides shows up here. Ctrl-C ends it.")
	t.Line("")
	for line := range strings.Lines(fmt.Sprintf(howTo, t.gateway.faultsToken(), apiURL, providerURL)) {
		t.Line(t.paint(cyan, strings.TrimRight(line, "\n")))
	}
	t.Line("")
	t.Line(t.paint(dim, "The dev provider is explained in dev/README.md; the gateway's log is "+t.gateway.log.Name()))
	t.Line("")
	t.gateway.followTrail(func(d Decision) { t.Line(indent + d.show(t.Page, d.asked())) })
	select {
	case <-ctx.Done():
	case <-t.gateway.exited:
		// Ctrl-C reaches the gateway too, and may do so first.
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
			return fmt.Errorf("%w; its log ends so:\n%s", errEnded, t.gateway.logTail())
		}
	}
	t.Line("")
	if t.gateway.keep {
		t.Line("Ended; only the log is left: " + t.gateway.log.Name())
		return nil
	}
	t.Line("Ended; nothing is left behind.")
	return nil
}

// String shows an answer that was not expected.
func (a Answer) String() string {
	return strings.TrimSpace(fmt.Sprintf("%d %s\n%s", a.Status, http.StatusText(a.Status), cut(a.Body, 400)))
}
