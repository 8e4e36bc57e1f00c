package admin

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"text/tabwriter"
	"time"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/caddy-gatehouse/gatehouse/signing"
)

// keysCommand makes `caddy gatehouse keys`.
func keysCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "keys list | rotate | retire <kid>",
		Short: "Lists, rotates and retires the keys that the running gateway signs with",
		Long: `
Asks the running gateway, through its admin API, about the keys of its own tokens. One
node speaks for all that share its storage.

  list          shows each key: pending (published, not yet signing), active, retired.
  rotate        makes new keys now; they sign after the overlap, as always.
  retire <kid>  takes a key out of the published set at once, for an emergency: tokens
                that it signed are good no more. If it was the active one, the pending
                key or a new one takes over within about a minute.`,
	}
	command.AddCommand(
		keysVerb("list", "Shows the keys", cobra.NoArgs, func(address string, _ caddycmd.Flags) error {
			return printKeys(os.Stdout, address, http.MethodGet, routeKeys)
		}),
		keysVerb("rotate", "Makes new keys now", cobra.NoArgs, func(address string, _ caddycmd.Flags) error {
			return printKeys(os.Stdout, address, http.MethodPost, routeRotate)
		}),
		keysVerb("retire <kid>", "Takes a key out of the published set at once", cobra.ExactArgs(1), retire),
	)
	needsVerb(command)
	return command
}

// keysVerb makes one verb of `caddy gatehouse keys`.
func keysVerb(use, short string, args cobra.PositionalArgs, do func(address string, flags caddycmd.Flags) error) *cobra.Command {
	command := &cobra.Command{Use: use, Short: short, Args: args}
	askFlags(command)
	command.RunE = caddycmd.WrapCommandFuncForCobra(func(flags caddycmd.Flags) (int, error) {
		address, err := adminAddress(flags)
		if err == nil {
			err = do(address, flags)
		}
		if err != nil {
			return caddy.ExitCodeFailedStartup, err
		}
		return caddy.ExitCodeSuccess, nil
	})
	return command
}

// printKeys asks for a list of keys and prints it.
func printKeys(out io.Writer, address, method, route string) error {
	var list keyList
	if err := ask(address, method, route, nil, &list); err != nil {
		return err
	}
	fmt.Fprintf(out, "issuer %s\n\n", list.Issuer)
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "KID\tPURPOSE\tALGORITHM\tSTATE\tSIGNS FROM\tGONE")
	for _, key := range list.Keys {
		gone := "-"
		if !key.Gone.IsZero() {
			gone = key.Gone.UTC().Format(time.RFC3339)
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n", key.Kid, key.Purpose, key.Algorithm, key.State,
			key.SignsFrom.UTC().Format(time.RFC3339), gone)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if list.Degraded {
		fmt.Fprintf(out, "\ndegraded: %s\n", cmp.Or(list.Trouble, "a key signs beyond its planned end, or none does"))
	}
	return nil
}

// retire is `caddy gatehouse keys retire`.
func retire(address string, flags caddycmd.Flags) error {
	body, err := json.Marshal(map[string]string{"kid": flags.Arg(0)})
	if err != nil {
		return err
	}
	var was signing.KeyInfo
	if err := ask(address, http.MethodPost, routeRetire, body, &was); err != nil {
		return err
	}
	fmt.Fprintf(os.Stdout, "retired %s, which was %s for %s\n", was.Kid, was.State, was.Purpose)
	return nil
}

// maxAnswer bounds what the admin API answers: a key set is at most a hundred keys, a page of
// revocations a thousand.
const maxAnswer = 8 << 20

// ask calls the admin API of the running gateway.
func ask(address, method, route string, body []byte, to any) error {
	var content io.Reader
	if body != nil {
		content = bytes.NewReader(body)
	}
	answer, err := caddycmd.AdminAPIRequest(address, method, route, make(http.Header), content)
	if err != nil {
		return readRefusal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	if err := json.NewDecoder(io.LimitReader(answer.Body, maxAnswer)).Decode(to); err != nil {
		return fmt.Errorf("reading the answer of the admin API: %w", err)
	}
	return nil
}
