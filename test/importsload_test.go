package test

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// unit is what the laws need to know of one package.
type unit struct {
	path    string // relative to the module; "" is the root
	name    string
	imports []string // of the code that is built into Caddy
	tests   []string // of its test files, inside and outside
	inits   []string // files with an init function
}

// relative is the path of one of our packages within the module.
func relative(imported string) (string, bool) {
	if imported == module {
		return "", true
	}
	return strings.CutPrefix(imported, module+"/")
}

func title(pkg string) string {
	if pkg == "" {
		return "the root package"
	}
	return pkg
}

// load reads the packages of the module in dir. Imports and init functions are
// read from the files themselves, so that no build tag hides one.
func load(t *testing.T, dir string) []unit {
	t.Helper()
	out := run(t, dir, "go", "list", "-find", "-tags=xcaddy",
		"-json=Dir,ImportPath,Name,Module,GoFiles,CgoFiles,IgnoredGoFiles,TestGoFiles,XTestGoFiles", "./...")
	var units []unit
	for decoder := json.NewDecoder(strings.NewReader(string(out))); ; {
		var listed struct {
			Dir, ImportPath, Name                                        string
			Module                                                       struct{ Path string }
			GoFiles, CgoFiles, IgnoredGoFiles, TestGoFiles, XTestGoFiles []string
		}
		if err := decoder.Decode(&listed); errors.Is(err, io.EOF) {
			return units
		} else if err != nil {
			t.Fatal(err)
		}
		u := unit{path: strings.TrimPrefix(strings.TrimPrefix(listed.ImportPath, listed.Module.Path), "/"), name: listed.Name}
		for _, file := range slices.Concat(listed.GoFiles, listed.CgoFiles, listed.IgnoredGoFiles, listed.TestGoFiles, listed.XTestGoFiles) {
			u.read(t, listed.Dir, file)
		}
		units = append(units, u)
	}
}

// read adds one file's imports and init functions.
func (u *unit) read(t *testing.T, dir, name string) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(dir, name), nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	for _, spec := range file.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(name, "_test.go") {
			u.tests = append(u.tests, imported)
		} else {
			u.imports = append(u.imports, imported)
		}
	}
	for _, decl := range file.Decls {
		if f, ok := decl.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
			u.inits = append(u.inits, name)
		}
	}
}

// run is the output of a command in dir; its complaints go to the test's log.
func run(t *testing.T, dir, name string, args ...string) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = dir
	var complaints strings.Builder
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("running %s in %s: %v\n%s", cmd, dir, err, complaints.String())
	}
	return out
}
