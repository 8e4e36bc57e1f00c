package admin

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
)

// exitTroubled is the exit status where something is not as it should be.
const exitTroubled = 2

// statusCommand makes `caddy gatehouse status`.
func statusCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "status [--json]",
		Short: "Shows how the running gateway fares: issuers, exchanges, breakers, caches, store, limits",
		Long: `
Asks the running gateway, through its admin API, how it fares, and shows it as tables:
what is not as it should be first, then issuers and their keys, the gateway's own keys,
exchanges, endpoints of authorization servers, memories, the store and limits. The
gateway asks nobody for that, so it also answers while servers are down. No token, no
secret and no caller is shown.

Exit status: 0 if all is well, 2 if something is not as it should be, 1 if the gateway
could not be asked.`,
		Args: cobra.NoArgs,
	}
	command.Flags().Bool("json", false, "Print the answer of the admin API")
	askFlags(command)
	command.RunE = caddycmd.WrapCommandFuncForCobra(status)
	return command
}

// status is `caddy gatehouse status`.
func status(flags caddycmd.Flags) (int, error) {
	address, err := adminAddress(flags)
	if err != nil {
		return caddy.ExitCodeFailedStartup, err
	}
	var answer json.RawMessage
	if err := ask(address, http.MethodGet, routeStatus, nil, &answer); err != nil {
		return caddy.ExitCodeFailedStartup, err
	}
	var seen overview
	if err := json.Unmarshal(answer, &seen); err != nil {
		return caddy.ExitCodeFailedStartup, fmt.Errorf("reading the answer of the admin API: %w", err)
	}
	if flags.Bool("json") {
		_, err = fmt.Fprintf(os.Stdout, "%s\n", answer)
	} else {
		err = printOverview(os.Stdout, &seen)
	}
	switch {
	case err != nil:
		return caddy.ExitCodeFailedStartup, err
	case len(seen.Problems) > 0:
		return exitTroubled, nil
	default:
		return caddy.ExitCodeSuccess, nil
	}
}
