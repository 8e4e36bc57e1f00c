package gatehouse

import (
	"fmt"
	"strings"
	"time"

	"github.com/caddy-gatehouse/gatehouse/config"
	"github.com/caddy-gatehouse/gatehouse/internal/lease"
	"github.com/caddy-gatehouse/gatehouse/keys"
	"github.com/caddy-gatehouse/gatehouse/statuslist"
)

// statusStates outlive configurations; see lease.Pool. A token that was revoked must
// not be good until its list was fetched again.
var (
	statusStates  = lease.NewPool[*statuslist.State]()
	statusWatches = lease.NewPool[*statuslist.Watches]()
)

// statusLists makes what knows the status lists of one issuer. They are signed with its
// keys, and fetched by whoever calls its server, whatever it is that they lie on.
func (a *App) statusLists(url string, block *config.Issuer, source *keys.Source) (*statuslist.Lists, error) {
	server, err := a.server(url, block)
	if err != nil {
		return nil, err
	}
	places, err := statuslist.NewPlaces(block.StatusList...)
	if len(block.StatusList) == 0 {
		places, err = statuslist.OriginOf(url)
	}
	if err != nil {
		return nil, fmt.Errorf("status_list: %w", err)
	}
	// All that decides what is believed, so that a list is never one that this
	// configuration would not have fetched. Its key is looked for on each request.
	watches := statusWatches.Acquire(lease.KeyOf("status watches", url), statuslist.NewWatches, nil)
	a.releases = append(a.releases, watches.Release)
	newState := func() *statuslist.State { return statuslist.NewState(watches.Value) }
	held := statusStates.Acquire(lease.KeyOf("status lists", url, strings.Join(block.StatusList, "\n"), block.JWKS,
		strings.Join(block.TrustCA, "\n"), strings.Join(block.Algorithms, "\n"), string(block.Leeway)), newState, nil)
	a.releases = append(a.releases, held.Release)
	lists := statuslist.New(statuslist.Config{
		Issuer: url, State: held.Value, Places: places, Fetcher: server, Keys: source,
		// The list, and then perhaps its key.
		FetchTimeout: block.FetchTimeout.Or(config.DefaultFetchTimeout) + 2*time.Second,
		Algorithms:   block.AcceptedAlgorithms(),
		Leeway:       block.Leeway.Or(config.DefaultLeeway),
		Observe:      func(outcome statuslist.Outcome) { a.metrics.StatusListFetched(url, string(outcome)) },
		Log:          a.log,
	})
	a.statuses = append(a.statuses, lists)
	return lists, nil
}
