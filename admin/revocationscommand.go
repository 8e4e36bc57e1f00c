package admin

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"unicode"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
)

// revocationsCommand makes `caddy gatehouse revocations`.
func revocationsCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "revocations [--kind <kind>] [--issuer <name|url>] [--value <value>] [--json]",
		Short: "Lists what is no longer good, as the running node knows it",
		Long: `
Asks the running gateway, through its admin API, for the list of revocations, the newest
first, and how far this node has followed the log that all nodes share.`,
		Args: cobra.NoArgs,
	}
	flags := command.Flags()
	flags.String("kind", "", "Only those of a kind: jti, subject, session, client, issuer, key or token")
	flags.String("issuer", "", "Only those of an issuer: the name of an issuer block, or a URL")
	flags.String("value", "", "Only those about a value")
	flags.Int("limit", defaultPage, "How many at most")
	flags.String("after", "", "Go on from there, as the answer before said")
	flags.Bool("json", false, "Print the answer of the admin API")
	askFlags(command)
	command.RunE = caddycmd.WrapCommandFuncForCobra(func(flags caddycmd.Flags) (int, error) {
		address, err := adminAddress(flags)
		if err == nil {
			err = printRevocations(os.Stdout, address, flags)
		}
		if err != nil {
			return caddy.ExitCodeFailedStartup, err
		}
		return caddy.ExitCodeSuccess, nil
	})
	return command
}

func printRevocations(out io.Writer, address string, flags caddycmd.Flags) error {
	query := url.Values{"limit": {strconv.Itoa(flags.Int("limit"))}}
	for _, name := range []string{"kind", "issuer", "value", "after"} {
		if value := flags.String(name); value != "" {
			query.Set(name, value)
		}
	}
	route := routeRevocations + "?" + query.Encode()
	if flags.Bool("json") {
		var answer json.RawMessage
		if err := ask(address, http.MethodGet, route, nil, &answer); err != nil {
			return err
		}
		_, err := fmt.Fprintf(out, "%s\n", answer)
		return err
	}
	var list revocationList
	if err := ask(address, http.MethodGet, route, nil, &list); err != nil {
		return err
	}
	return printList(out, &list)
}

func printList(out io.Writer, list *revocationList) error {
	loaded := "loaded"
	if !list.Node.Loaded {
		loaded = "not loaded yet"
	}
	fmt.Fprintf(out, "list %s, %d revocations, log last read %s\n\n", loaded, list.Node.Events, stamp(list.Node.Contact))
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0) //nolint:mnd // two blanks between columns
	fmt.Fprintln(table, "AT\tKIND\tVALUE\tISSUER\tISSUED UNTIL\tKEPT UNTIL\tBY\tREASON")
	for _, one := range list.Revocations {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", stamp(one.At), one.Kind, orDash(one.Value), printable(one.Issuer),
			stamp(one.Before), stamp(one.Until), orDash(one.By), orDash(one.Reason))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(out, "\n%d of %d that match\n", len(list.Revocations), list.Count)
	if list.Next != "" {
		fmt.Fprintf(out, "more: --after %s\n", printable(list.Next))
	}
	return nil
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return printable(text)
}

// printable shows a text that somebody else wrote: what moves a terminal's cursor, or
// the table's, is quoted.
func printable(text string) string {
	if strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return strconv.Quote(text)
	}
	return text
}
