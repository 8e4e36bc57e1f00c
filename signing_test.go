package gatehouse_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	_ "github.com/caddyserver/caddy/v2/modules/filestorage"
	"github.com/caddyserver/certmagic"
)

func init() { caddy.RegisterModule(otherStorage{}) }

// otherStorage is a storage that is not the file system, as far as Gatehouse knows.
type otherStorage struct{}

func (otherStorage) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "caddy.storage.gatehouse_test", New: func() caddy.Module { return new(otherStorage) }}
}

func (otherStorage) CertMagicStorage() (certmagic.Storage, error) {
	return struct{ certmagic.Storage }{&certmagic.FileStorage{}}, nil
}

// Private keys lie in no foreign storage in the open.
func TestSignNeedsSeal(t *testing.T) {
	const app = `"sign": {"issuer": "https://gateway.example.com", "place": "Caddyfile:3"}`
	const sealed = app + `, "seal": {"secrets": ["0123456789abcdef0123456789abcdef"]}`
	for name, test := range map[string]struct{ storage, app, want string }{
		"foreign":            {"gatehouse_test", app, "sign (Caddyfile:3): seal is missing: Caddy's storage is not the file system"},
		"foreign and sealed": {"gatehouse_test", sealed, ""},
		"files":              {"file_system", app, ""},
	} {
		var cfg caddy.Config
		text := `{"storage": {"module": "` + test.storage + `"}, "apps": {"gatehouse": {` + test.app + `}}}`
		if err := json.Unmarshal([]byte(text), &cfg); err != nil {
			t.Fatal(err)
		}
		err := caddy.Validate(&cfg)
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
