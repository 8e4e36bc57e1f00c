package integration_test

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

// A storage that is gone under a running gateway stops no minting; only the keys stay
// as they are, and operators hear it. When it is back, they are replaced.
func TestKeysServeWhileTheStorageIsGone(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	storage, there, gone := filepath.Join(folder, "storage"), filepath.Join(folder, "there"), filepath.Join(folder, "gone")
	// At one stroke, so that nobody makes a folder in between.
	link := func(to string) {
		if err := errors.Join(os.Symlink(to, storage+".fresh"), os.Rename(storage+".fresh", storage)); err != nil {
			t.Fatal(err)
		}
	}
	// In a file no folder can be made, not even by root.
	if err := errors.Join(os.Mkdir(there, 0o700), os.WriteFile(gone, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	link(there)
	n := startNode(t, storage, harness.FreeAddress(t), "rotate 1h", keysSeal)
	first := n.active(t)
	link(gone)
	mints := func() {
		t.Helper()
		token, err := n.mint()
		if err != nil {
			t.Fatal(err)
		}
		set, _, err := n.published()
		if err != nil {
			t.Fatal(err)
		}
		if id, err := kid(token, set); err != nil || id != first {
			t.Errorf("a token of key %s: %v", id, err)
		}
	}
	mints()
	for range 2 {
		n.rotate(t).Expect(t, http.StatusServiceUnavailable)
		mints()
	}
	if said, ok := n.Run("gatehouse", "keys", "rotate", "--address", n.address()); ok {
		t.Errorf("the command is content: %s", said)
	}
	if counts := n.counts(t); counts["pending"] != 0 || n.active(t) != first {
		t.Errorf("without a storage the keys became %v", counts)
	}
	harness.Eventually(t, "it is told that the storage is gone", func() bool {
		text := n.Metrics()
		return strings.Contains(text, "caddy_gatehouse_signing_degraded 1") &&
			!strings.Contains(text, "caddy_gatehouse_signing_storage_errors_total 0") && len(n.Lines("looking after signing keys")) == 1
	})
	mints()
	link(there)
	n.rotate(t).Expect(t, http.StatusOK)
	harness.Eventually(t, "the next key signs", func() bool { return n.active(t) != first })
	harness.Eventually(t, "it is told that the storage is back", func() bool {
		return strings.Contains(n.Metrics(), "caddy_gatehouse_signing_degraded 0")
	})
	token, err := n.mint()
	if err != nil {
		t.Fatal(err)
	}
	if header, _ := harness.Minted(t, storage, token); header.KeyID == first {
		t.Error("the old key signs, after another one took its place")
	}
}

// rotate asks the admin API for another key.
func (n *signingNode) rotate(t *testing.T) harness.Answer {
	t.Helper()
	admin := *n.Gateway
	admin.URL = n.Admin
	return admin.Do(admin.Request(http.MethodPost, "/gatehouse/keys/rotate", ""))
}
