package webhook

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/caddy-gatehouse/gatehouse/internal/httpx"
)

const (
	// DefaultTimeout bounds one attempt.
	DefaultTimeout = 5 * time.Second
	// maxWaiting bounds the messages that wait.
	maxWaiting = 256
	// drain is how long deliveries go on after Close.
	drain = 5 * time.Second
)

// pauses are those between the attempts for one message.
var pauses = []time.Duration{time.Second, 4 * time.Second, 15 * time.Second}

// Config shapes a Sender.
type Config struct {
	// URL is the endpoint's: https, or http on a loopback host. It may be a secret, and
	// is in no log. Required.
	URL string
	// SecretFile holds the secret that signs messages. It is read for each of them.
	// Default: they are not signed.
	SecretFile string
	// TrustCA are PEM bundles of certificate authorities; see httpx.Options.
	TrustCA [][]byte
	// Timeout bounds one attempt. Default: DefaultTimeout.
	Timeout time.Duration
	// Observe is told what became of each message. It must not block.
	// Default: nobody is.
	Observe func(Outcome)
	// Log is told when messages begin to be lost, and when they get through again.
	// Required.
	Log *slog.Logger
}

// An Outcome is what became of a message.
type Outcome string

// The outcomes.
const (
	// Delivered: the endpoint took it.
	Delivered Outcome = "delivered"
	// Failed: the endpoint took it in none of its attempts, or refused it.
	Failed Outcome = "failed"
	// Dropped: it found no room, or the configuration ended before its attempts did.
	Dropped Outcome = "dropped"
)

// A Message is what is sent.
type Message struct {
	// ID is the same at each attempt, so that the endpoint can tell that it knows it.
	ID string
	// Type is for the log.
	Type string
	// Body is a JSON document.
	Body []byte
}

// A Sender sends messages to one endpoint, one after the other. It has a goroutine only
// while there is something to send. It is safe for concurrent use.
type Sender struct {
	config Config
	host   string
	http   *httpx.Client
	pauses []time.Duration
	ctx    context.Context //nolint:containedctx // of deliveries, which are nobody's request
	cancel context.CancelFunc

	mu      sync.Mutex
	waiting []Message
	running bool
	closed  bool
	lost    int // since messages get lost
}

// NewSender makes a sender. Nothing is sent or read before the first message. It fails
// where URL is none of those that Config allows, or a bundle of TrustCA holds no
// certificate.
func NewSender(config Config) (*Sender, error) {
	checked, err := httpx.CheckURL(config.URL)
	if err != nil {
		return nil, fmt.Errorf("url: %w", err)
	}
	if config.Timeout <= 0 {
		config.Timeout = DefaultTimeout
	}
	if config.Observe == nil {
		config.Observe = func(Outcome) {}
	}
	client, err := httpx.New(httpx.Options{TrustCA: config.TrustCA, Timeout: config.Timeout})
	if err != nil {
		return nil, fmt.Errorf("trust_ca: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	return &Sender{config: config, host: checked.Host, http: client, pauses: pauses, ctx: ctx, cancel: cancel}, nil
}

// Send takes a message and never waits. One that finds no room is lost.
func (s *Sender) Send(message Message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		s.lose(message.Type, errGone)
		return
	case len(s.waiting) >= maxWaiting:
		s.lose(message.Type, errNoRoom)
		return
	}
	s.waiting = append(s.waiting, message)
	if !s.running {
		s.running = true
		go s.work()
	}
}

// Close takes no more messages. Those that wait are sent for a few seconds yet, behind
// the back of who closes: a reload must not lose what has just happened.
func (s *Sender) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	s.closed = true
	if !s.running {
		s.end()
		return
	}
	time.AfterFunc(drain, s.cancel)
}

func (s *Sender) end() {
	s.cancel()
	s.http.Close()
}

// next is the message to be sent now; ok is false where there is none, and then the
// worker has ended.
func (s *Sender) next() (message Message, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.waiting) == 0 {
		s.running = false
		s.waiting = nil
		if s.closed {
			s.end()
		}
		return message, false
	}
	message = s.waiting[0]
	s.waiting = s.waiting[1:]
	return message, true
}

func (s *Sender) work() {
	for {
		message, ok := s.next()
		if !ok {
			return
		}
		err := s.deliver(message)
		s.mu.Lock()
		if err != nil {
			s.lose(message.Type, err)
		} else {
			s.through()
		}
		s.mu.Unlock()
	}
}

// lose notes a lost message. It needs the lock. Only the first of several is logged: a
// line for each would bury everything else for as long as the endpoint is down.
func (s *Sender) lose(kind string, cause error) {
	if errors.Is(cause, errNoRoom) || errors.Is(cause, errGone) {
		s.config.Observe(Dropped)
	} else {
		s.config.Observe(Failed)
	}
	s.lost++
	if s.lost == 1 {
		s.config.Log.Warn("events do not get through to their webhook", "host", s.host, "event", kind, "cause", cause.Error())
	}
}

// through notes one that got through. It needs the lock.
func (s *Sender) through() {
	s.config.Observe(Delivered)
	if s.lost > 0 {
		s.config.Log.Info("events get through to their webhook again", "host", s.host, "lost", s.lost)
		s.lost = 0
	}
}

// deliver tries a few times.
func (s *Sender) deliver(message Message) error {
	for try := 0; ; try++ {
		again, err := s.attempt(message)
		if err == nil || !again || try == len(s.pauses) {
			return err
		}
		timer := time.NewTimer(s.pauses[try])
		select {
		case <-timer.C:
		case <-s.ctx.Done():
			timer.Stop()
			return fmt.Errorf("%w, and %w", err, errGone)
		}
	}
}
