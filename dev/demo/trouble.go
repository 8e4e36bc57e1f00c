package demo

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
)

// How much is going on while the key is rotated.
const (
	// callers ask at the same time, each without a pause.
	callers = 8
	// each key has to sign at least so many of their tokens.
	perKey = 60
)

const faultsCurl = `curl -H "$FAULTS" `

func (t *tour) rotation(ctx context.Context) error {
	t.Step("A signing key is rotated", fmt.Sprintf("%d callers go on asking, each time with a token never seen before.", callers))
	before, err := t.client.asked(ctx)
	if err != nil {
		return err
	}
	t.Command(faultsCurl + "-d keys=rotate " + providerURL + "/dev/faults")
	rush := newRush(t.good.KeyID)
	if err := rush.run(ctx, t.client); err != nil {
		return err
	}
	after, err := t.client.asked(ctx)
	if err != nil {
		return err
	}
	good, total := rush.status[http.StatusOK], rush.oldKey+rush.newKey
	t.Line(indent + fmt.Sprintf("%d tokens by the old key, %d by the new one", rush.oldKey, rush.newKey))
	t.Check(good == total && rush.newKey >= perKey, fmt.Sprintf("%d of %d answered 200: nobody noticed", good, total), rush.status)
	fetched := after.keySets() - before.keySets()
	t.Check(fetched == 1, "the first token by the new key made the gateway fetch the keys, once for all", fmt.Sprintf("%d fetches", fetched))
	t.served += good
	return nil
}

// A rush is many callers at once, with a rotation of the signing key in their
// midst.
type rush struct {
	old  string
	half chan struct{} // closed when the old key has signed enough
	full context.CancelFunc

	mu             sync.Mutex
	oldKey, newKey int
	status         map[int]int
}

func newRush(oldKey string) *rush {
	return &rush{old: oldKey, half: make(chan struct{}), status: map[int]int{}}
}

// run lets the callers loose, rotates the key half way, and returns when all have
// their last answer.
func (r *rush) run(ctx context.Context, c *client) error {
	bounded, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	full, stop := context.WithCancel(bounded)
	defer stop()
	r.full = stop

	failures := make(chan error, callers)
	for range callers {
		go func() { failures <- r.caller(bounded, full, c) }()
	}
	var err error
	select {
	case <-r.half:
		err = c.fault(bounded, url.Values{"keys": {"rotate"}})
	case <-full.Done(): // no time left, or a caller failed
	}
	for range callers {
		err = errors.Join(err, <-failures)
	}
	return err
}

// caller asks until the rush is full. A request that has begun is ended: to cut
// it off would be to lose it.
func (r *rush) caller(ctx, full context.Context, c *client) error {
	for full.Err() == nil {
		token, err := c.mint(ctx, "orders:read", "")
		if err != nil {
			r.full()
			return err
		}
		answer, err := c.call(ctx, order, token.Raw)
		if err != nil {
			r.full()
			return err
		}
		r.note(token.KeyID, answer.Status)
	}
	return nil
}

func (r *rush) note(keyID string, status int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status[status]++
	if keyID != r.old {
		r.newKey++
		if r.newKey == perKey {
			r.full()
		}
		return
	}
	r.oldKey++
	if r.oldKey == perKey {
		close(r.half)
	}
}

func (t *tour) outage(ctx context.Context) error {
	t.Step("The provider breaks", "Its token endpoint answers 500, and alice comes with a new token.")
	token, err := t.client.mint(ctx, "openid orders:read", "")
	if err != nil {
		return err
	}
	t.Command(faultsCurl + "-d endpoint=token -d status=500 " + providerURL + "/dev/faults")
	if err := t.client.fault(ctx, url.Values{"endpoint": {"token"}, "status": {"500"}}); err != nil {
		return err
	}
	a, err := t.ask(ctx, "NEW", token)
	if err != nil {
		return err
	}
	t.Answer(a, "Retry-After")
	t.Check(a.Status == http.StatusServiceUnavailable && a.Header.Get("Retry-After") != "" && a.Header.Get(challenge) == "",
		"503 with Retry-After and no challenge: no way around it, and no reason to log in again", a)
	return t.mended(ctx, token)
}

// mended shows that the outage leaves nothing behind.
func (t *tour) mended(ctx context.Context, token JWT) error {
	if err := t.client.repair(ctx); err != nil {
		return err
	}
	a, err := t.client.call(ctx, order, token.Raw)
	if err != nil {
		return err
	}
	t.Check(a.Status == http.StatusOK, "the provider is mended: the same token is served at once", a)
	if a.Status == http.StatusOK {
		t.served++
	}
	return t.checkReached(ctx, fmt.Sprintf("the upstream has seen %d requests, those answered 200: the one that failed never got there", t.served))
}
