package test

import (
	"bytes"
	"net/http"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/store/storetest"
	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

// operate runs one of the commands that the examples show, against the stage's
// gateway.
func (s *stage) operate(t *testing.T, stdin string, arguments ...string) string {
	t.Helper()
	arguments = append(append([]string{"gatehouse"}, arguments...), "--address", strings.TrimPrefix(s.Admin, "http://"))
	command := exec.Command(harness.Binary(t), arguments...)
	command.Stdin = strings.NewReader(stdin)
	var out bytes.Buffer
	command.Stdout, command.Stderr = &out, &out
	if err := command.Run(); err != nil {
		t.Fatalf("%v: %v\n%s", arguments, err, out.String())
	}
	return out.String()
}

func actRevocation(t *testing.T, s *stage) {
	t.Helper()
	posted := s.idp.Token(map[string]any{"jti": "5b1f0c2e"})
	s.Await("/orders/1", posted, http.StatusOK)
	said := s.operate(t, posted, "revoke", "--token", "--reason", "posted in a chat", "--dry-run")
	for _, line := range []string{
		"would revoke jti 5b1f0c2e of " + s.idp.URL + "\n", "on this node: 1 issued tokens\n", "on this node: 0 open streams\n", "on this node: 1 remembered tokens\n",
	} {
		if !strings.Contains(said, line) {
			t.Errorf("the dry run lacks %q:\n%s", line, said)
		}
	}
	s.Get("/orders/1", posted).Expect(t, http.StatusOK)
	s.operate(t, posted, "revoke", "--token", "--reason", "posted in a chat")
	s.Get("/orders/1", posted).Expect(t, http.StatusUnauthorized)
	s.Get("/orders/1", s.idp.Token(nil)).Expect(t, http.StatusOK)

	s.operate(t, "", "revoke", "subject", "alice", "--issuer", "main", "--all", "--reason", "laptop stolen")
	s.Get("/orders/1", s.idp.Token(nil)).Expect(t, http.StatusUnauthorized)
	s.Get("/orders/1", s.idp.Token(map[string]any{"sub": "bob"})).Expect(t, http.StatusOK)
	if list := s.operate(t, "", "revocations", "--issuer", "main"); !strings.Contains(list, "laptop stolen") || !strings.Contains(list, "2 of 2 that match") {
		t.Errorf("the list:\n%s", list)
	}
}

const redisPassword = "canary-redis-password"

// fitRevocation takes out what the harness sets itself, and starts a Redis for the
// example that needs one.
func (s *stage) fitRevocation(t *testing.T, name, caddyfile string) string {
	t.Helper()
	caddyfile = regexp.MustCompile(`\n\t(?:admin|shutdown_delay|grace_period) .*`).ReplaceAllString(caddyfile, "")
	if name == "cluster" {
		server := storetest.StartRedis(t, storetest.RedisOptions{Password: redisPassword, AppendOnly: true})
		caddyfile = strings.ReplaceAll(caddyfile, "rediss://redis.internal", "redis://"+server.Addr())
	}
	return caddyfile
}

// actCluster runs two nodes of the cluster on one Redis; more of what several do
// together is proved in dev/cluster.
func actCluster(t *testing.T, s *stage) {
	t.Helper()
	other := harness.Start(t, s.caddyfile)
	token := s.idp.Token(nil)
	s.exchanges(t, "/orders/1", "orders")
	other.Await("/orders/1", token, http.StatusOK)
	for _, node := range []*harness.Gateway{s.Gateway, other} {
		harness.Eventually(t, "it is ready", func() bool {
			answer, err := http.Get(node.Admin + "/gatehouse/ready")
			if err != nil {
				return false
			}
			_ = answer.Body.Close()
			return answer.StatusCode == http.StatusOK
		})
	}
	s.operate(t, "", "revoke", "subject", "alice", "--issuer", "main")
	s.Get("/orders/1", token).Expect(t, http.StatusUnauthorized)
	other.Await("/orders/1", token, http.StatusUnauthorized)
	other.Get("/orders/1", s.idp.Token(map[string]any{"sub": "bob"})).Expect(t, http.StatusOK)
}
