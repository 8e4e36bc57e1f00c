package admin

import (
	"fmt"
	"strings"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
)

// appName is the Caddy app that the commands ask.
const appName = "gatehouse"

func init() {
	caddycmd.RegisterCommand(caddycmd.Command{
		Name:  "gatehouse",
		Usage: "<verb>",
		Short: "Looks into Gatehouse's configuration and tokens, and operates its keys and revocations",
		Long: `
Commands for the token boundary. 'caddy help gatehouse <verb>' tells more of each.`,
		CobraFunc: func(command *cobra.Command) {
			command.AddCommand(inspectCommand(), statusCommand(), keysCommand(), revokeCommand(), revocationsCommand())
			needsVerb(command)
		},
	})
}

// needsVerb makes a command refuse what is none of its verbs: by itself it would show
// its help, and a script that mistyped retire would go on.
func needsVerb(command *cobra.Command) {
	// The flags are the verbs': what is wrong is the verb.
	command.FParseErrWhitelist.UnknownFlags = true
	command.RunE = func(command *cobra.Command, args []string) error {
		if len(args) == 0 {
			return command.Help()
		}
		verbs := make([]string, 0, len(command.Commands()))
		for _, verb := range command.Commands() {
			verbs = append(verbs, verb.Name())
		}
		return fmt.Errorf("unknown verb %q: known: %s; see '%s --help'", args[0], strings.Join(verbs, ", "), command.CommandPath())
	}
}

// inspectCommand makes `caddy gatehouse inspect`.
func inspectCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "inspect [--config <file> [--adapter <name>]] [--at <place>] [<token file>]",
		Short: "Tells what is in a token and whether the configuration accepts it",
		Long: `
Reads a token from a file, or from standard input where no file or "-" is named, and
holds it against every token_auth of the configuration: header, claims with readable
times, issuer, key, and each check with its result. An encrypted token is opened with
the keys of decrypt. Keys are fetched from the issuers, and an issuer with introspection
is asked about its opaque tokens (and, with always, about its JWTs), as the running
gateway would; nothing is served, and the token is sent to nobody else. A token that is
bound to a key or a certificate is checked but for the proof, which only requests have.

--at names one token_auth, by a part of its place in the Caddyfile (such as ":12") or
by an issuer's URL. A token is never taken from the command line, where other users of
the machine and the shell's history could read it.

Exit status: 0 if every token_auth that was asked accepts the token, 2 if one refuses
it, 3 if it could not be checked (no keys, or no answer), 1 if the configuration or the
token cannot be read.`,
		Args: cobra.MaximumNArgs(1),
	}
	command.Flags().StringP("config", "c", "", "Configuration file (default: the Caddyfile in this folder)")
	command.Flags().StringP("adapter", "a", "", "Name of config adapter to apply")
	command.Flags().String("at", "", "Only the token_auth whose place or issuer holds this text")
	command.RunE = caddycmd.WrapCommandFuncForCobra(inspect)
	return command
}
