package test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	withoutRace = regexp.MustCompile(`(?m)^//go:build .*!race`)
	testName    = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Benchmark|Example)\w*)\(`)
)

// TestEveryLargeTestRuns: what is not built with the race detector runs in the step of
// large numbers alone, which takes large_test.go and TestLarge. Anything else there would
// be run by nobody.
func TestEveryLargeTestRuns(t *testing.T) {
	t.Parallel()
	large := 0
	err := fs.WalkDir(os.DirFS(".."), ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && (path == "dev" || path != "." && strings.HasPrefix(entry.Name(), ".")) {
			return fs.SkipDir
		}
		if !strings.HasSuffix(path, "_test.go") {
			return nil
		}
		source, err := os.ReadFile(filepath.Join("..", path))
		if err != nil {
			return err
		}
		apart := withoutRace.Match(source)
		if apart != (filepath.Base(path) == "large_test.go") || apart && strings.Count(path, "/") > 2 {
			t.Errorf("%s: what is built !race is large_test.go in a package that the Makefile finds, and nothing else is", path)
		}
		for _, found := range testName.FindAllStringSubmatch(string(source), -1) {
			if !apart {
				continue
			}
			if !strings.HasPrefix(found[1], "TestLarge") {
				t.Errorf("%s: %s is run by nobody: name it TestLarge", path, found[1])
			}
			large++
		}
		return nil
	})
	if err != nil || large == 0 {
		t.Errorf("%d tests of large numbers were seen: %v", large, err)
	}
}
