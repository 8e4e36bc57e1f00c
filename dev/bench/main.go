// Command bench measures what Gatehouse adds to a request through Caddy: the
// processor time that the gateway's process takes for one, beside that of a bare
// reverse_proxy in the same binary. Processor time and not latency, because it
// is what a gateway costs and because it depends less on who else uses the
// machine.
//
// Bare Caddy runs twice, so that the ratio of two equal gateways (A/A) tells how
// far a ratio may stray by itself. Everything stays on loopback; load, upstream
// and authorization server live in this process, which is not measured.
//
// Two more tables are about time, because the promise is: how long a crowd waits
// for a slow authorization server, and whether one that hangs is felt where it is
// not needed.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"syscall"
)

func main() {
	var measured plan
	flag.IntVar(&measured.rounds, "rounds", 40, "paired rounds for each row")
	flag.IntVar(&measured.starts, "starts", 10, "how often the gateways of a row are started anew, each time for a part of its rounds")
	flag.IntVar(&measured.requests, "requests", 3200, "requests to each gateway in a round")
	flag.IntVar(&measured.connections, "connections", 8, "connections that are kept alive, each with one request at a time")
	flag.StringVar(&measured.profiles, "profiles", "", "folder for processor profiles of the gateways (default: none)")
	rows := flag.String("run", "", "regular expression: only rows whose name it finds (default: all)")
	short := flag.Bool("short", false, "6 rounds of 480 requests, two starts: a first look")
	flag.Parse()
	if *short {
		measured.rounds, measured.requests, measured.starts = 6, 480, 2
	}
	var err error
	if measured.only, err = regexp.Compile(*rows); err == nil {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		err = measured.run(ctx, os.Stdout)
		stop()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}
