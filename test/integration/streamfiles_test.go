package integration_test

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// largeFileSize is more than lies in buffers on the way to a caller who does not read.
const largeFileSize = 64 << 20

// largeFile makes a file /files/large, and returns the root of the site.
func largeFile(t *testing.T) (root string) {
	t.Helper()
	root = t.TempDir()
	if err := os.Mkdir(filepath.Join(root, "files"), 0o700); err != nil {
		t.Fatal(err)
	}
	file, err := os.Create(filepath.Join(root, "files", "large"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	if err := file.Truncate(largeFileSize); err != nil {
		t.Fatal(err)
	}
	return root
}

// Half of a file never looks like a whole one, also where file_server sends it, which passes
// over what a write says: the length that it announced is not what tells.
func TestFilesEndWithTheToken(t *testing.T) {
	t.Parallel()
	s := startStreams(t)
	for name, way := range s.transports(t) {
		if way.url != s.tls {
			continue // the site with the files
		}
		t.Run(strings.ReplaceAll(name, "/", "-"), func(t *testing.T) {
			t.Parallel()
			token, ends := s.brief()
			answer := open(t, way, way.url+"/files/large", token)
			s.Await("/short", token, http.StatusUnauthorized) // the caller reads nothing so far
			got, err := io.Copy(io.Discard, answer.Body)
			if err == nil || got >= largeFileSize || time.Now().Before(ends) {
				t.Errorf("%d of %d bytes came, then %v", got, largeFileSize, err)
			}
			if rest, err := io.ReadAll(open(t, way, way.url+"/short", s.idp.Token(nil)).Body); err != nil || string(rest) != "short" {
				t.Errorf("afterwards came %q, %v", rest, err)
			}
		})
	}
}
