package authserver

import (
	"context"
	"fmt"
	"net/http"
	"time"
)

const (
	// maxStatusListBytes bounds a Status List Token as it comes: some ten million
	// tokens, of which two in a hundred are revoked.
	maxStatusListBytes = 4 << 20
	acceptStatusList   = "application/statuslist+jwt"
)

// StatusList fetches a Status List Token (draft-ietf-oauth-status-list, section 8) from
// its address, which may lie on another host than the server, and tells how long it may
// be kept, 0 if the answer does not say. Who asks has checked that it may be asked for.
// A redirect is an answer that cannot be used: it would lead to where lists may not lie.
func (s *Server) StatusList(ctx context.Context, uri string) (string, time.Duration, error) {
	answer, err := s.http.Get(ctx, uri, acceptStatusList, maxStatusListBytes)
	if err != nil {
		return "", 0, err
	}
	if answer.Status != http.StatusOK {
		return "", 0, fmt.Errorf("the server answered %d", answer.Status)
	}
	return string(answer.Body), lifetime(answer.Header, time.Now()), nil
}
