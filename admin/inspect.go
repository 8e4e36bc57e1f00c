package admin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	"github.com/caddy-gatehouse/gatehouse/introspection"
	"github.com/caddy-gatehouse/gatehouse/proof"
	"github.com/caddy-gatehouse/gatehouse/token"
)

// Exit statuses of inspect beside Caddy's own 0 and 1.
const (
	exitRefused     = 2
	exitUncheckable = 3
)

// maxTokenFile bounds what is read as a token: its own bound, and room for line
// breaks around it.
const maxTokenFile = token.MaxLength + 1024

// A Door is one token_auth of a configuration: whose tokens it accepts.
type Door struct {
	// Place is where the Caddyfile has it, as file:line; "" in JSON.
	Place string
	// Issuers are the URLs of the issuers it accepts.
	Issuers []string
	// Gate is what it asks.
	Gate *introspection.Gate
	// Bound are the ways of which tokens must be bound in one, zero for none.
	Bound proof.Kinds
}

func (d Door) String() string {
	if d.Place == "" {
		return "token_auth"
	}
	return "token_auth " + d.Place
}

// Gate is what inspect needs of the app.
type Gate interface {
	// Doors are the token_auths of the configuration.
	Doors() []Door
}

// inspect is `caddy gatehouse inspect`.
func inspect(flags caddycmd.Flags) (int, error) {
	raw, err := readToken(flags.Arg(0), os.Stdin)
	if err != nil {
		return caddy.ExitCodeFailedStartup, err
	}
	app, err := load(flags.String("config"), flags.String("adapter"))
	if err != nil {
		return caddy.ExitCodeFailedStartup, err
	}
	gate, ok := app.(Gate)
	if !ok {
		return caddy.ExitCodeFailedStartup, fmt.Errorf("app %s is a %T, not Gatehouse's", appName, app)
	}
	doors, err := toAsk(gate.Doors(), flags.String("at"))
	if err != nil {
		return caddy.ExitCodeFailedStartup, err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	return examine(ctx, os.Stdout, raw, doors, time.Now())
}

// readToken reads a token from a file or, for "" and "-", from standard input.
// Blanks and a scheme around it are what people copy along.
func readToken(file string, stdin io.Reader) (token.Raw, error) {
	source := stdin
	if file != "" && file != "-" {
		opened, err := os.Open(file)
		if err != nil {
			// Whoever writes the token itself must not find it in a log.
			return token.Raw{}, errors.New("reading the token: no such file can be read; the argument is a file, never the token itself")
		}
		defer func() { _ = opened.Close() }()
		source = opened
	}
	content, err := io.ReadAll(io.LimitReader(source, maxTokenFile+1))
	if err != nil {
		return token.Raw{}, errors.New("reading the token: the input cannot be read")
	}
	text := strings.TrimSpace(string(content))
	if scheme, rest, ok := strings.Cut(text, " "); ok && (strings.EqualFold(scheme, "Bearer") || strings.EqualFold(scheme, "DPoP")) {
		text = strings.TrimSpace(rest)
	}
	switch {
	case text == "":
		return token.Raw{}, errors.New("reading the token: the input is empty")
	case len(content) > maxTokenFile || len(text) > token.MaxLength:
		return token.Raw{}, fmt.Errorf("reading the token: it is longer than the %d bytes that token_auth takes", token.MaxLength)
	}
	return token.NewRaw(text), nil
}

// toAsk are the doors that --at chooses. Whoever misses them all is told where they are.
func toAsk(all []Door, text string) ([]Door, error) {
	if len(all) == 0 {
		return nil, errors.New("no token_auth to ask: the configuration has none")
	}
	doors := chosen(all, text)
	if len(doors) > 0 {
		return doors, nil
	}
	var places []string
	for _, door := range chosen(all, "") {
		places = append(places, door.Place)
	}
	return nil, fmt.Errorf("no token_auth to ask: --at %s fits none of %s, nor an issuer of them", text, strings.Join(places, ", "))
}

// chosen are the doors whose place or issuer holds the text, in the order of the
// Caddyfile: Caddy provisions servers in any order.
func chosen(doors []Door, text string) []Door {
	var found []Door
	for _, door := range doors {
		if strings.Contains(door.Place+"\n"+strings.Join(door.Issuers, "\n"), text) {
			found = append(found, door)
		}
	}
	slices.SortStableFunc(found, func(a, b Door) int {
		fileA, lineA := a.position()
		fileB, lineB := b.position()
		return cmp.Or(strings.Compare(fileA, fileB), cmp.Compare(lineA, lineB))
	})
	return found
}

// position parts the door's place into file and line.
func (d Door) position() (file string, line int) {
	end := strings.LastIndexByte(d.Place, ':')
	if end < 0 {
		return d.Place, 0
	}
	line, _ = strconv.Atoi(d.Place[end+1:])
	return d.Place[:end], line
}

// examine holds the token against each door and prints what it finds.
func examine(ctx context.Context, out io.Writer, raw token.Raw, doors []Door, now time.Time) (int, error) {
	status := caddy.ExitCodeSuccess
	page := &report{out: out, now: now}
	findings := make([]finding, 0, len(doors))
	for _, door := range doors {
		findings = append(findings, door.examine(ctx, raw))
	}
	page.token(raw, findings)
	for i := range findings {
		page.finding(&findings[i])
		status = worse(status, exitOf(findings[i].checks()))
	}
	return status, page.err
}

// worse is the exit status of two doors. A door that refuses is certain, whatever
// may come of one that could not be asked.
func worse(a, b int) int {
	if a == exitRefused || b == exitRefused {
		return exitRefused
	}
	return max(a, b)
}

// exitOf is the exit status for one door. A refusal weighs more than a check that
// could not be made, unless that is all there is.
func exitOf(checks []token.CheckResult) int {
	status := caddy.ExitCodeSuccess
	for _, result := range checks {
		reason, _ := errors.AsType[token.Reason](result.Err)
		switch {
		case result.Outcome != token.Failed:
		case reason.Class() == token.ClassUnavailable:
			status = exitUncheckable
		default:
			return exitRefused
		}
	}
	return status
}
