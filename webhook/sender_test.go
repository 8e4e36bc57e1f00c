package webhook

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A said is a log that tests read, and what became of messages.
type said struct {
	mu     sync.Mutex
	text   strings.Builder
	became map[Outcome]int
}

func (s *said) count(outcome Outcome) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.became == nil {
		s.became = make(map[Outcome]int)
	}
	s.became[outcome]++
}

// counted compares what became of all messages.
func (s *said) counted(t *testing.T, want map[Outcome]int) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if diff := cmp.Diff(want, s.became); diff != "" {
		t.Errorf("what became of messages (-want +got):\n%s", diff)
	}
}

func (s *said) Write(line []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(line)
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

func newSender(t *testing.T, url string, log *said, secretFile string) *Sender {
	t.Helper()
	sender, err := NewSender(Config{
		URL: url, SecretFile: secretFile, Timeout: time.Second, Log: slog.New(slog.NewTextHandler(log, nil)), Observe: log.count,
	})
	if err != nil {
		t.Fatal(err)
	}
	sender.pauses = []time.Duration{time.Millisecond, time.Millisecond}
	t.Cleanup(func() {
		sender.Close()
		sender.http.Close()
	})
	return sender
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !is(); <-time.After(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never came true: %s", what)
		}
	}
}

func (s *Sender) idle() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.running
}

func TestAttempts(t *testing.T) {
	for name, tt := range map[string]struct {
		statuses []int // of the answers, the last one again and again
		asked    int32
		says     string
		became   Outcome
	}{
		"taken":             {[]int{204}, 1, "", Delivered},
		"broken, then well": {[]int{500, 503, 200}, 3, "", Delivered},
		"told to wait":      {[]int{429, 200}, 2, "", Delivered},
		"broken":            {[]int{500}, 3, "cause=status_500", Failed},
		"refused":           {[]int{401}, 1, "cause=status_401", Failed},
		"elsewhere":         {[]int{307}, 1, "cause=status_307", Failed},
	} {
		t.Run(name, func(t *testing.T) {
			var asked atomic.Int32
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				n := int(asked.Add(1))
				w.Header().Set("Location", "/elsewhere")
				w.WriteHeader(tt.statuses[min(n, len(tt.statuses))-1])
			}))
			defer server.Close()
			log := new(said)
			sender := newSender(t, server.URL+"/canary-path", log, "")
			sender.Send(Message{ID: "1", Type: "t", Body: []byte("{}")})
			eventually(t, "it is over", sender.idle)
			if n := asked.Load(); n != tt.asked {
				t.Errorf("asked %d times, want %d", n, tt.asked)
			}
			if text := log.String(); !strings.Contains(text, tt.says) || (text == "") != (tt.says == "") {
				t.Errorf("the log says %q, want %q", text, tt.says)
			}
			log.counted(t, map[Outcome]int{tt.became: 1})
			if strings.Contains(log.String(), "canary-path") {
				t.Error("the log holds the URL's path")
			}
		})
	}
}

// An answer that is too long to be read counts by its status like any other.
func TestLongAnswers(t *testing.T) {
	for status, tt := range map[int]struct {
		asked int32
		says  string
	}{
		http.StatusOK:                 {1, ""},
		http.StatusServiceUnavailable: {3, "cause=status_503"},
		http.StatusForbidden:          {1, "cause=status_403"},
	} {
		var asked atomic.Int32
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			asked.Add(1)
			w.WriteHeader(status)
			_, _ = w.Write(make([]byte, 2*maxAnswer))
		}))
		log := new(said)
		sender := newSender(t, server.URL, log, "")
		sender.Send(Message{ID: "1", Type: "t"})
		eventually(t, "it is over", sender.idle)
		if n, text := asked.Load(), log.String(); n != tt.asked || !strings.Contains(text, tt.says) || (text == "") != (tt.says == "") {
			t.Errorf("%d: asked %d times, want %d; the log says %q, want %q", status, n, tt.asked, text, tt.says)
		}
		sender.Close()
		server.Close()
	}
}

// The same identifier at each attempt, and a signature that its receiver can check.
func TestSignature(t *testing.T) {
	type got struct{ id, at, signature, body string }
	received := make(chan got, 3)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		received <- got{r.Header.Get("Webhook-Id"), r.Header.Get("Webhook-Timestamp"), r.Header.Get("Webhook-Signature"), string(body)}
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	defer server.Close()
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte("whsec_MDEyMzQ1Njc4OWFiY2RlZg==\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	sender := newSender(t, server.URL, new(said), file)
	sender.Send(Message{ID: "id-1", Type: "t", Body: []byte(`{"a":1}`)})
	first, second := <-received, <-received
	for _, one := range []got{first, second} {
		if one.id != "id-1" || one.body != `{"a":1}` || one.signature != sign([]byte("0123456789abcdef"), "id-1", one.at, []byte(one.body)) {
			t.Errorf("got %+v", one)
		}
	}
}

// The example of the specification of Standard Webhooks.
func TestSignatureOfTheSpecification(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), 0o600); err != nil {
		t.Fatal(err)
	}
	secret, err := ReadSecret(file)
	if err != nil {
		t.Fatal(err)
	}
	const want = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
	if got := sign(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", []byte(`{"test": 2432232314}`)); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestBadSecrets(t *testing.T) {
	folder := t.TempDir()
	for name, text := range map[string]string{"short": "canary-short", "base64": "whsec_canary!", "short base64": "whsec_YWJj", "empty": ""} {
		file := filepath.Join(folder, strings.ReplaceAll(name, " ", "-"))
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadSecret(file); err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What a sender cannot be made of is said with the option's word.
func TestBadBundles(t *testing.T) {
	_, err := NewSender(Config{URL: "https://alerts.example.com", TrustCA: [][]byte{[]byte("canary")}})
	if err == nil || !strings.HasPrefix(err.Error(), "trust_ca: ") || strings.Contains(err.Error(), "canary") {
		t.Errorf("a bundle without a certificate: %v", err)
	}
}

func TestBadURLs(t *testing.T) {
	for _, url := range []string{"", "http://alerts.example.com", "https://me:pw@alerts.example.com", "ftp://localhost"} {
		if _, err := NewSender(Config{URL: url}); err == nil {
			t.Errorf("%q is taken", url)
		}
	}
}

// Whoever sends never waits, what has no room is lost, and that is said once.
func TestFullQueue(t *testing.T) {
	begun, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	var asked atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		asked.Add(1)
		once.Do(func() { close(begun) })
		<-release
	}))
	defer server.Close()
	log := new(said)
	sender := newSender(t, server.URL, log, "")
	sender.config.Timeout = time.Minute
	sender.Send(Message{ID: "0", Type: "t"})
	<-begun
	for range maxWaiting + 10 {
		sender.Send(Message{ID: "n", Type: "t"})
	}
	close(release)
	eventually(t, "all are sent", sender.idle)
	if n := asked.Load(); n < maxWaiting+1 || n > maxWaiting+3 { // one that timed out is tried again
		t.Errorf("%d were sent, want %d", n, maxWaiting+1)
	}
	if text := log.String(); strings.Count(text, "do not get through") != 1 || !strings.Contains(text, "lost=10") {
		t.Errorf("the log says\n%s", text)
	}
	log.counted(t, map[Outcome]int{Delivered: maxWaiting + 1, Dropped: 10})
}

// What waits when the configuration goes is sent yet, and nothing that comes later.
func TestClose(t *testing.T) {
	begun, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	var asked atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		once.Do(func() { close(begun) })
		<-release
		asked.Add(1)
	}))
	defer server.Close()
	log := new(said)
	sender := newSender(t, server.URL, log, "")
	sender.Send(Message{ID: "1"})
	sender.Send(Message{ID: "2"})
	<-begun
	sender.Close()
	sender.Close()
	sender.Send(Message{ID: "3"})
	close(release)
	eventually(t, "it is over", sender.idle)
	if n := asked.Load(); n != 2 {
		t.Errorf("%d were sent, want 2", n)
	}
	if sender.ctx.Err() == nil {
		t.Error("the sender has not ended")
	}
	log.counted(t, map[Outcome]int{Delivered: 2, Dropped: 1})
}

// What the configuration did not outlast is dropped: a message that is on its way, one
// whose next attempt is due later, and those behind them.
func TestGone(t *testing.T) {
	begun, end := make(chan struct{}), make(chan struct{})
	hangs := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		close(begun)
		<-end
	}))
	defer hangs.Close()
	defer close(end)
	log := new(said)
	sender := newSender(t, hangs.URL, log, "")
	sender.Send(Message{ID: "1"})
	sender.Send(Message{ID: "2"})
	<-begun
	sender.cancel()
	eventually(t, "it is over", sender.idle)
	log.counted(t, map[Outcome]int{Dropped: 2})

	refused := make(chan struct{}, 1)
	refuses := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusServiceUnavailable)
		refused <- struct{}{}
	}))
	defer refuses.Close()
	log = new(said)
	sender = newSender(t, refuses.URL, log, "")
	sender.pauses = []time.Duration{time.Hour}
	sender.Send(Message{ID: "1"})
	<-refused
	sender.cancel()
	eventually(t, "it is over", sender.idle)
	log.counted(t, map[Outcome]int{Dropped: 1})
}
