//go:build cluster

package cluster_test

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"
)

// figures are what the runs have measured, for people.
var figures = new(table)

// A table has a line for each thing measured.
type table struct {
	mu     sync.Mutex
	rows   [][2]string
	failed error // why the table could not be written
}

func (t *table) setf(what, format string, values ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.rows = append(t.rows, [2]string{what, fmt.Sprintf(format, values...)})
	t.failed = t.write()
}

// write writes the table into the file that the environment names, each time anew: what
// was measured is there also when a later run fails.
func (t *table) write() error {
	var text strings.Builder
	fmt.Fprintf(&text, "| measured on %d cores | |\n|---|---|\n", runtime.NumCPU())
	for _, row := range t.rows {
		fmt.Fprintf(&text, "| %s | %s |\n", row[0], row[1])
	}
	file := os.Getenv("GATEHOUSE_CLUSTER_FIGURES")
	if file == "" {
		file = os.DevNull
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	return os.WriteFile(file, []byte(text.String()), 0o600)
}

// spread says a sample's middle, its 99th percentile and its greatest.
func spread(sample []time.Duration) string {
	slices.Sort(sample)
	at := func(share float64) time.Duration {
		return sample[min(len(sample)-1, int(share*float64(len(sample))))].Round(10 * time.Microsecond)
	}
	return fmt.Sprintf("p50 %v, p99 %v, most %v (of %d)", at(0.5), at(0.99), at(1), len(sample))
}
