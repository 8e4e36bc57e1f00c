package authserver

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/caddy-gatehouse/gatehouse/internal/httpx"
)

const (
	// firstProbe and lastProbe bound the waits between two looks at a replica that
	// failed, which double with every failure.
	firstProbe = 5 * time.Second
	lastProbe  = time.Minute
)

// A replica is one place where the issuer runs: the issuer's own URL, or a
// fallback. It remembers whether it answered last time. A replica that did not is
// asked last, and looked at in the background until it answers again.
type replica struct {
	base   string
	server *Server
	flight singleflight.Group

	mu       sync.Mutex
	metadata *Metadata
	learned  time.Time
	down     bool
	closed   bool
	pause    time.Duration // until the next look
	look     *time.Timer
}

// learn returns the replica's metadata, fetched at most once an hour. The fetch
// is shared: it runs under its own deadline, and a caller that leaves does not
// end it for the others.
func (r *replica) learn(ctx context.Context) (*Metadata, error) {
	if metadata := r.known(); metadata != nil {
		return metadata, nil
	}
	flight := r.flight.DoChan("metadata", func() (any, error) {
		metadata, err := r.discover(context.WithoutCancel(ctx))
		if err != nil {
			// Whoever waited may have left: the replica is remembered all the same.
			r.failed(err)
		}
		return metadata, err
	})
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case result := <-flight:
		metadata, _ := result.Val.(*Metadata)
		return metadata, result.Err
	}
}

func (r *replica) discover(ctx context.Context) (*Metadata, error) {
	metadata, err := r.fetchMetadata(ctx)
	if err != nil {
		return nil, err
	}
	metadata.move(r.base)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.metadata, r.learned = metadata, time.Now()
	r.up()
	return metadata, nil
}

// fetchMetadata looks below the URL of the replica, which is the issuer's own or,
// for a region of it, where that lies.
func (r *replica) fetchMetadata(ctx context.Context) (*Metadata, error) {
	where := wellKnown
	if r.server.options.Transmitter {
		where = transmitterWellKnown
	}
	places, err := where(r.base)
	if err != nil {
		return nil, err
	}
	return discover(ctx, r.server.http, places, r.server.options.Issuer)
}

// moved is where an endpoint lies at a replica. Regions of one issuer often
// publish one document, with the addresses of the first: what lies on the
// issuer's own host is on the replica's, at the same path below its URL.
func moved(endpoint, issuer, base string) string {
	from, err := url.Parse(issuer)
	to, err2 := url.Parse(base)
	if err != nil || err2 != nil || issuer == base {
		return endpoint
	}
	origin := from.Scheme + "://" + from.Host
	path, ours := strings.CutPrefix(endpoint, origin+"/")
	if !ours {
		return endpoint
	}
	issuer, base = strings.TrimSuffix(issuer, "/"), strings.TrimSuffix(base, "/")
	if below, ok := strings.CutPrefix(endpoint, issuer+"/"); ok {
		return base + "/" + below
	}
	return to.Scheme + "://" + to.Host + "/" + path
}

func (r *replica) known() *Metadata {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.metadata == nil || time.Since(r.learned) > metadataLife {
		return nil
	}
	return r.metadata
}

func (r *replica) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.metadata = nil
}

// keySetURL is where the replica's key set lies. An address that was configured
// is that of the issuer's own.
func (r *replica) keySetURL(ctx context.Context) (string, error) {
	if r.server.options.JWKS != "" && r.base == r.server.options.Issuer {
		return r.server.options.JWKS, nil
	}
	metadata, err := r.learn(ctx)
	switch {
	case err != nil:
		return "", err
	case metadata.JWKSURI == "":
		return "", errNoKeySet
	}
	return metadata.JWKSURI, nil
}

func (r *replica) isDown() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.down
}

// answered notes that the replica did what it is there for.
func (r *replica) answered() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pause = 0
	r.up()
}

// up needs the lock.
func (r *replica) up() {
	if !r.down {
		return
	}
	r.down = false
	if r.look != nil {
		r.look.Stop()
	}
	r.server.options.Observe(r.base, nil)
}

// failed notes that the replica did not answer, or with nothing that can be
// used. There is nothing to remember where there is no other.
func (r *replica) failed(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.metadata = nil
	if r.closed || r.down || len(r.server.replicas) == 1 || errors.Is(err, context.Canceled) {
		return
	}
	r.down = true
	r.server.options.Observe(r.base, err)
	r.lookLater()
}

// lookLater needs the lock. The wait grows until the replica has served, not only
// answered a look: one that fails under use alone is not tried every time.
func (r *replica) lookLater() {
	r.pause = min(max(2*r.pause, firstProbe), lastProbe)
	r.look = time.AfterFunc(r.pause, r.probe)
}

// probe looks whether the replica is back.
func (r *replica) probe() {
	err := r.check(context.Background())
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.closed || !r.down:
	case err == nil:
		r.up()
	default:
		r.lookLater()
	}
}

func (r *replica) check(ctx context.Context) error {
	if r.server.options.JWKS == "" || r.base != r.server.options.Issuer {
		_, err := r.discover(ctx)
		return err
	}
	answer, err := r.server.http.Get(ctx, r.server.options.JWKS, acceptKeySet, maxKeySetBytes)
	if err == nil && answer.Status != http.StatusOK {
		err = httpx.ErrUnreachable
	}
	return err
}

// close ends the looks.
func (r *replica) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	if r.look != nil {
		r.look.Stop()
	}
}
