//go:build !darwin && !dragonfly && !freebsd && !linux && !netbsd && !openbsd && !windows

package store

import (
	"errors"
	"os"
)

// lockFile refuses: two processes that write one file would lose what both were told.
func lockFile(string) (*os.File, error) {
	return nil, errors.New("this system has no locks for files: a store with a path does not work on it")
}
