package admin

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/caddy-gatehouse/gatehouse/revocation"
)

// exitUnstored is the exit status where the store did not take the order: it must be
// given again.
const exitUnstored = 3

// revokeCommand makes `caddy gatehouse revoke`.
func revokeCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "revoke --token [<file>] | <kind> <value> --issuer <name|url>",
		Short: "Makes tokens no longer good, on every node",
		Long: `
Asks the running gateway, through its admin API, to put a revocation on the list that
all nodes read. Whatever was derived from the tokens goes as well: remembered tokens,
exchanged tokens, open streams. There is no way back; a revocation lapses when no token
that it is about can still be good.

With --token one token is revoked, which is read from a file or from standard input. It
is never taken from the command line, where other users of the machine and the shell's
history could read it. Otherwise a kind is named, and what is no longer good:

  jti <id>        one token, by its jti
  subject <sub>   all tokens of a subject that were issued until now
  session <sid>   all tokens of a login session, later ones too
  client <id>     all tokens that a client was issued until now
  issuer          all tokens of the issuer that were issued until now
  key <kid>       all tokens signed with a key, later ones too

--before and --all say otherwise. --dry-run stores nothing and tells what the revocation
would be, and how much of what this node holds it would end.

Exit status: 0 if the store has the revocation, 3 if it does not and the command must be
repeated, 1 if the order is wrong or the gateway cannot be reached.`,
		Args: cobra.MaximumNArgs(2), //nolint:mnd // kind and value
	}
	flags := command.Flags()
	flags.String("token", "", "Read a token from the file, or from standard input")
	flags.Lookup("token").NoOptDefVal = "-"
	flags.String("issuer", "", "Whose tokens: the name of an issuer block, or a URL")
	flags.String("before", "", "Only those issued until then: now, or a time such as 2027-01-31T12:00:00Z")
	flags.Bool("all", false, "Those too that are yet to be issued")
	flags.String("for", "", "How long the revocation is kept, such as 12h or 30d")
	flags.String("reason", "", "Why, for people; it stands in the list and in the audit trail")
	flags.Bool("dry-run", false, "Tell what it would be, and store nothing")
	askFlags(command)
	command.RunE = caddycmd.WrapCommandFuncForCobra(revoke)
	return command
}

// askFlags are those of every command that asks the admin API.
func askFlags(command *cobra.Command) {
	command.Flags().String("address", "", "Address of the admin API (default: as the configuration or Caddy has it)")
	command.Flags().StringP("config", "c", "", "Configuration file that tells the admin API's address")
	command.Flags().StringP("adapter", "a", "", "Name of config adapter to apply")
	command.SetFlagErrorFunc(func(_ *cobra.Command, err error) error {
		return fmt.Errorf("%w: if it is a kid or a name that begins with a hyphen, write options first, then -- and then it", err)
	})
}

// adminAddress is where the admin API is, by the flags of askFlags.
func adminAddress(flags caddycmd.Flags) (string, error) {
	return caddycmd.DetermineAdminAPIAddress(flags.String("address"), nil, flags.String("config"), flags.String("adapter"))
}

// revoke is `caddy gatehouse revoke`.
func revoke(flags caddycmd.Flags) (int, error) {
	order, err := orderOf(flags, os.Stdin)
	if err != nil {
		return caddy.ExitCodeFailedStartup, err
	}
	address, err := adminAddress(flags)
	if err != nil {
		return caddy.ExitCodeFailedStartup, err
	}
	body, err := json.Marshal(order)
	if err != nil {
		return caddy.ExitCodeFailedStartup, err
	}
	route := routeRevocations + "?count"
	if flags.Bool("dry-run") {
		route = routeRevocations + "?dry_run"
	}
	var done outcome
	if err := ask(address, http.MethodPost, route, body, &done); err != nil {
		if answer, ok := errors.AsType[*refused](err); ok && answer.status == http.StatusServiceUnavailable {
			return exitUnstored, fmt.Errorf("not revoked, so repeat the command: %w", err)
		}
		return caddy.ExitCodeFailedStartup, err
	}
	printOutcome(os.Stdout, &done)
	return caddy.ExitCodeSuccess, nil
}

var (
	errNoKind = errors.New("what to revoke is missing: write --token, or a kind and a value such as subject alice --issuer main")
	errKind   = errors.New("there is no such kind: write revoke <kind> <value> --issuer <name|url>, " +
		"with one of jti, subject, session, client, issuer, key, or revoke --token")
	errManyKinds = errors.New("--token and a kind: a token says itself what it is")
)

// orderOf is the order that the command line gives.
func orderOf(flags caddycmd.Flags, stdin io.Reader) (map[string]any, error) {
	order := make(map[string]any)
	for _, member := range []string{"issuer", "before", "for", "reason"} {
		if value := flags.String(member); value != "" {
			order[member] = value
		}
	}
	if flags.Bool("all") {
		order["all"] = true
	}
	if file := flags.String("token"); file != "" {
		switch {
		case flags.NArg() > 1, flags.NArg() == 1 && file != "-":
			return nil, errManyKinds
		case flags.NArg() == 1:
			file = flags.Arg(0)
		}
		raw, err := readToken(file, stdin)
		order["token"] = raw.Reveal()
		return order, err
	}
	if flags.NArg() == 0 {
		return nil, errNoKind
	}
	if !slices.Contains(namable, revocation.Kind(flags.Arg(0))) {
		return nil, errKind
	}
	order["kind"] = flags.Arg(0)
	switch value := flags.Arg(1); {
	case value != "" && flags.Arg(0) == "issuer" && order["issuer"] == nil:
		order["issuer"] = value
	case value != "":
		order["value"] = value
	}
	return order, nil
}

// printOutcome tells what was done, or would be.
func printOutcome(out io.Writer, done *outcome) {
	verb := "revoked"
	if done.DryRun {
		verb = "would revoke"
	}
	for _, made := range done.Revocations {
		fmt.Fprintf(out, "%s %s\n", verb, describe(&made))
		if made.ID != "" && !done.DryRun {
			fmt.Fprintf(out, "revocation %s, kept until %s\n", printable(made.ID), stamp(made.Until))
		} else {
			fmt.Fprintf(out, "kept until %s\n", stamp(made.Until))
		}
	}
	for _, what := range slices.Sorted(maps.Keys(done.Ends)) {
		fmt.Fprintf(out, "on this node: %d %s\n", done.Ends[what], strings.ReplaceAll(what, "_", " "))
	}
}

// describe says in a line what a revocation is about.
func describe(r *Revocation) string {
	what := string(r.Kind)
	if r.Value != "" {
		what += " " + printable(r.Value)
	}
	if r.Value != "" || r.Kind != "issuer" {
		what += " of " + printable(r.Issuer)
	} else {
		what += " " + printable(r.Issuer)
	}
	if !r.Before.IsZero() {
		what += ", issued until " + stamp(r.Before)
	}
	return what
}

func stamp(at time.Time) string {
	if at.IsZero() {
		return "-"
	}
	return at.UTC().Format(time.RFC3339)
}
