package integration_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

const impatient = `{
	gatehouse {
		issuer main $IDP {
			audience any
		}
		client slow {
			token_endpoint $IDP/slow
			client_id gateway
			secret canary-client-secret
			timeout 60s
		}
		exchange slow {
			client slow
			subject_issuer main
			audience slow
		}
	}
}
$SITE {
	log
	token_auth
	handle /slow {
		token_exchange slow
		reverse_proxy $UPSTREAM
	}
	respond in
}
`

// A slowSite has an exchange whose server answers when it is told to, and notices
// who gives up.
type slowSite struct {
	*harness.Gateway

	idp      *harness.AuthServer
	upstream *harness.Upstream

	asked, gaveUp chan struct{}
	release       chan struct{}
}

func newSlowSite(t *testing.T) slowSite {
	t.Helper()
	site := slowSite{
		idp: harness.NewAuthServer(t), upstream: harness.NewUpstream(t),
		asked: make(chan struct{}, 100), gaveUp: make(chan struct{}, 100), release: make(chan struct{}),
	}
	site.idp.Handle("/slow", func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm() // a server notices a client that leaves once the body is read
		site.asked <- struct{}{}
		select {
		case <-site.release:
			_ = json.NewEncoder(w).Encode(site.idp.Issued(r.PostForm, nil))
		case <-r.Context().Done():
			site.gaveUp <- struct{}{}
		}
	})
	site.Gateway = harness.Start(t, impatient, "$IDP", site.idp.URL, "$UPSTREAM", site.upstream.Address)
	site.Await("/", site.idp.Token(nil), http.StatusOK)
	return site
}

// leaves sends a request and returns how to hang up and wait until that is done.
func (s slowSite) leaves(t *testing.T, token string) (hangUp func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	left, sent := make(chan error, 1), make(chan struct{})
	var once sync.Once
	ctx = onWritten(ctx, func() { once.Do(func() { close(sent) }) })
	go func() {
		answer, err := http.DefaultTransport.RoundTrip(s.Request(http.MethodGet, "/slow", token).WithContext(ctx))
		if err == nil {
			_ = answer.Body.Close()
		}
		left <- err
	}()
	<-sent
	return func() {
		cancel()
		if err := <-left; err == nil {
			t.Error("who hung up got an answer")
		}
	}
}

// gone are the statuses of /slow in the access log, and the rules and statuses in the
// audit trail.
func (s slowSite) gone() (access []float64, audit []string) {
	for text := range strings.Lines(s.Log()) {
		var line struct {
			Logger  string
			Status  float64
			Request struct{ URI string }
		}
		if json.Unmarshal([]byte(text), &line) == nil && strings.HasPrefix(line.Logger, "http.log.access") && line.Request.URI == "/slow" {
			access = append(access, line.Status)
		}
	}
	for _, line := range s.Audit() {
		audit = append(audit, fmt.Sprint(line["rule"], " ", line["status"]))
	}
	return access, audit
}

func (s slowSite) expectGone(t *testing.T, count int) {
	t.Helper()
	harness.Eventually(t, "who left is in both logs", func() bool {
		access, audit := s.gone()
		return len(access) == count && len(audit) == count
	})
	access, audit := s.gone()
	for i := range count {
		if access[i] != 499 || audit[i] != "canceled 499" {
			t.Errorf("the access log says %v, the audit trail %q", access[i], audit[i])
		}
	}
}

// Section 5, client gone: the flight ends with the last one who waits for it. That is
// nobody's failure: no error is logged or counted, nothing is held against the
// server, and nothing reaches the upstream.
func TestExchangeClientGoneEndsTheFlight(t *testing.T) {
	site := newSlowSite(t)
	reached := len(site.upstream.Received())
	const waiting, others = 3, 10
	same := site.idp.Token(map[string]any{"jti": "same"})
	hangUp := []func(){site.leaves(t, same)}
	<-site.asked
	for range waiting - 1 {
		hangUp = append(hangUp, site.leaves(t, same))
	}
	for i := range others { // as many as would open a breaker
		hangUp = append(hangUp, site.leaves(t, site.idp.Token(map[string]any{"jti": fmt.Sprint("other", i)})))
		<-site.asked
	}
	for _, leave := range hangUp {
		leave()
	}
	harness.Eventually(t, "each call is given up", func() bool { return len(site.gaveUp) == 1+others })
	site.expectGone(t, waiting+others)
	if n := len(site.upstream.Received()) - reached; n != 0 {
		t.Errorf("%d requests reached the upstream", n)
	}
	want := map[string]string{
		`exchanges_total{exchange="slow",outcome="canceled"}`:                                   fmt.Sprint(waiting + others),
		`exchanges_total{exchange="slow",outcome="hit"}`:                                        "0",
		`breaker_open{endpoint="` + site.idp.URL + `/slow",server="` + site.idp.URL + `/slow"}`: "0",
	}
	got := make(map[string]string)
	for _, match := range metricLine.FindAllStringSubmatch(site.Metrics(), -1) {
		if name := strings.TrimPrefix(match[1], "caddy_gatehouse_"); strings.HasPrefix(name, "exchanges_total{") || strings.HasPrefix(name, "breaker_open{") && strings.Contains(name, "/slow") {
			got[name] = match[2]
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("metrics (-want +got):\n%s", diff)
	}
	if log := site.Log(); strings.Contains(log, `"level":"error"`) {
		t.Error("an error is logged")
	}
	close(site.release)
	site.Get("/slow", same).Expect(t, http.StatusOK)
}

// Section 5, client gone: the flight goes on while others wait, and they notice
// nothing of the one who left, who was the first.
func TestExchangeClientGoneLeavesOthersTheirFlight(t *testing.T) {
	site := newSlowSite(t)
	same := site.idp.Token(map[string]any{"jti": "same"})
	leave := site.leaves(t, same)
	<-site.asked
	const staying = 5
	var others sync.WaitGroup
	sent := make(chan struct{}, staying)
	for range staying {
		others.Go(func() {
			request := site.Request(http.MethodGet, "/slow", same)
			site.Do(request.WithContext(onWritten(request.Context(), func() { sent <- struct{}{} }))).Expect(t, http.StatusOK)
		})
	}
	for range staying {
		<-sent
	}
	// All of them wait at the server's mercy once their tokens are counted as checked.
	harness.Eventually(t, "all are let in", func() bool {
		return strings.Contains(site.Metrics(), fmt.Sprintf(`caddy_gatehouse_validations_total{outcome="ok"} %d`, 1+1+staying))
	})
	leave()
	site.expectGone(t, 1)
	close(site.release)
	others.Wait()
	if asked, gaveUp := len(site.asked), len(site.gaveUp); asked != 0 || gaveUp != 0 {
		t.Errorf("%d more calls, %d given up", asked, gaveUp)
	}
}
