package redis

import (
	"fmt"

	"github.com/caddy-gatehouse/gatehouse/store"
)

// follows refuses a replica whose link to its master is down: what it answers is as old
// as the link, and nobody may take that for contact with the log.
func (s *Store) follows(doing, link string) error {
	switch link {
	case "down":
		return fmt.Errorf("%s: %w: it is a replica that has lost its master", doing, store.ErrUnavailable)
	case "":
		if s.blind.CompareAndSwap(false, true) {
			s.config.Log.Warn("store does not let itself be asked whether it is a replica that has lost its master: allow +info")
		}
	}
	return nil
}

// Interface guard.
var _ store.Reserver = (*Store)(nil)
