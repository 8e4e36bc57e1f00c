package integration_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

// looked is what GET /gatehouse/status answers, as far as tests look at it.
type looked struct {
	Problems []struct{ Severity, What, Reason string }
	Issuers  struct {
		Count int
		Items []lookedIssuer
	}
	Exchanges struct{ Items []lookedExchange }
	Breakers  struct{ Items []lookedBreaker }
	Caches    struct{ Items []lookedCache }
	Store     struct {
		Kind        string
		Reachable   bool
		LastError   string `json:"last_error"`
		Revocations struct {
			Loaded   bool
			Events   int
			Position string
			ByKind   map[string]int `json:"by_kind"`
		}
	}
	Limits struct{ Items []lookedLimit }
}

type lookedIssuer struct {
	Name, URL, Role, State string
	Fetched                time.Time
	NextRefresh            time.Time `json:"next_refresh"`
	Failing                bool
	LastError              string `json:"last_error"`
	Keys                   []struct{ Kid, Algorithm, Thumbprint string }
	Places                 []struct {
		URL  string
		Down bool
	}
}

type lookedExchange struct {
	Name          string
	EverSucceeded bool   `json:"ever_succeeded"`
	LastOutcome   string `json:"last_outcome"`
	LastErrorCode string `json:"last_error_code"`
	Misconfigured bool
	Issued        int
}

type lookedBreaker struct {
	Endpoint, State, Reason string
	Until                   time.Time
}

type lookedCache struct {
	Kind, Exchange string
	Entries        int
	Bytes          int
	Hits, Misses   int
	HitRate        *float64 `json:"hit_rate"`
}

type lookedLimit struct {
	Key, Path, Value, Window, Counts string
	Events, Keys, Allowed, Refused   int
}

// look asks for the overview.
func look(t *testing.T, gateway *harness.Gateway) (looked, string) {
	t.Helper()
	text := lookAt(t, gateway, "/gatehouse/status", http.StatusOK)
	var seen looked
	if err := json.Unmarshal([]byte(text), &seen); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return seen, text
}

func lookAt(t *testing.T, gateway *harness.Gateway, path string, want int) string {
	t.Helper()
	answer, err := http.Get(gateway.Admin + path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != want {
		t.Fatalf("%s: status %d, %v\n%s", path, answer.StatusCode, err, text)
	}
	return string(text)
}

func (l *looked) problem(what string) string {
	for _, one := range l.Problems {
		if strings.HasPrefix(one.What, what) {
			return one.Severity + ": " + one.Reason
		}
	}
	return ""
}

const watchedNode = `{
	gatehouse {
		issuer main $IDP {
			audience any
			jwks_refresh 1s
		}
		issuer other $OTHER {
			audience any
		}
		client gateway {
			issuer main
			client_id gateway
			secret canary-client-secret
		}
		client dead {
			token_endpoint $DEAD/token?tenant=canary-query
			client_id gateway
			secret canary-client-secret
		}
		exchange orders {
			client gateway
			audience orders
			scope orders:read
		}
		exchange stock {
			client gateway
			audience stock
			scope orders:read
		}
		exchange dead {
			client dead
			subject_issuer main
			audience dead
		}
	}
	events {
		on exchange_misconfigured gatehouse_webhook $HOOK
	}
}
$SITE {
	token_auth main other
	handle /limited {
		token_limit {http.auth.user.id} 5 1h {
			when plan pro 1000 1m
		}
		respond fine
	}
	handle /orders/* {
		token_exchange orders
		reverse_proxy $UPSTREAM
	}
	handle /stock/* {
		token_exchange stock
		reverse_proxy $UPSTREAM
	}
	handle /dead/* {
		token_exchange dead
		reverse_proxy $UPSTREAM
	}
	handle {
		respond "{http.auth.user.id}"
	}
}
`
