// Command gatehouse-demo walks through Gatehouse's main job: it starts
// gatehouse-dev with the quickstart, makes real requests, and shows and checks
// what comes back. `make demo` builds and runs both.
package main

import (
	"context"
	"flag"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/caddy-gatehouse/gatehouse/dev/demo"
)

func main() {
	o := demo.Options{Out: os.Stdout}
	flag.BoolVar(&o.CI, "ci", false, "end after the walk, without colours, with the line `N passed, N failed`")
	flag.StringVar(&o.Gateway, "gateway", beside("gatehouse-dev"), "`path` of gatehouse-dev")
	flag.StringVar(&o.Caddyfile, "caddyfile", "../examples/quickstart/Caddyfile", "`path` of the quickstart")
	flag.Parse()
	o.Color = !o.CI && colored(os.Stdout)
	os.Exit(run(o))
}

func run(o demo.Options) int {
	// SIGPIPE too: when the reader goes away (make demo | head), the gateway must
	// be ended as well, and not outlive a process that was killed by a write.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
	defer stop()
	return demo.Run(ctx, o)
}

// beside is the path of a program in this program's folder.
func beside(name string) string {
	self, err := os.Executable()
	if err != nil {
		return name
	}
	return filepath.Join(filepath.Dir(self), name)
}

// colored tells whether a file shows colours: a terminal that can, and whose
// reader has not asked for none (https://no-color.org).
func colored(file *os.File) bool {
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}
