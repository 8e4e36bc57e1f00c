package redis

import (
	"log/slog"
	"strings"
	"testing"
)

// What a server says of itself decides whether it can be used.
func TestServerSuits(t *testing.T) {
	for name, tt := range map[string]struct{ info, refusal, warning string }{
		"good":          {"# Server\r\nredis_version:7.0.15\r\nmaxmemory:0\r\nmaxmemory_policy:allkeys-lru\r\n", "", ""},
		"hidden":        {"", "", ""},
		"old":           {"redis_version:6.2.14\r\n", "it is Redis 6.2.14, and 7 or later is needed", ""},
		"two digits":    {"redis_version:10.0.0\r\n", "", ""},
		"forgets":       {"redis_version:7.2.4\r\nmaxmemory:1000\r\nmaxmemory_policy:allkeys-lru\r\n", "", "maxmemory-policy noeviction"},
		"never forgets": {"redis_version:7.2.4\r\nmaxmemory:1000\r\nmaxmemory_policy:noeviction\r\n", "", ""},
	} {
		var said strings.Builder
		s := &Store{config: Config{Log: slog.New(slog.NewTextHandler(&said, nil))}}
		err := s.suits(tt.info)
		if (err != nil) != (tt.refusal != "") || err != nil && err.Error() != tt.refusal {
			t.Errorf("%s: %v; want %q", name, err, tt.refusal)
		}
		if (said.Len() > 0) != (tt.warning != "") || !strings.Contains(said.String(), tt.warning) {
			t.Errorf("%s: it said %q; want %q", name, said.String(), tt.warning)
		}
	}
}
