package redis

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/caddy-gatehouse/gatehouse/store"
)

// fault makes the error of a call of what went wrong. It holds nothing that Redis
// repeats of the command: an old server that does not know HELLO shows the password.
func (s *Store) fault(ctx context.Context, doing string, err error) error {
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("%s: %w", doing, ctx.Err())
	case replyCode(err) == "OOM":
		return fmt.Errorf("%s: %w: Redis has no memory left", doing, store.ErrFull)
	case replyCode(err) != "":
		return fmt.Errorf("%s: %w: %s", doing, errRefused, cause(err, s.config.Timeout))
	default:
		return fmt.Errorf("%s: %w: %s", doing, store.ErrUnavailable, cause(err, s.config.Timeout))
	}
}

// errRefused is store.ErrUnavailable in other words: the store was reached, and did not
// do what it was asked.
var errRefused error = refused{}

type refused struct{}

// Error does not say that the store is out of reach: who looks for the network then
// looks in vain.
func (refused) Error() string { return "the store refuses the call" }

// Is implements the interface of errors.Is.
func (refused) Is(target error) bool { return target == store.ErrUnavailable }

// cause says in safe words what went wrong.
func cause(err error, limit time.Duration) string {
	if code := replyCode(err); code != "" {
		return refusal(code, err)
	}
	if network, ok := errors.AsType[net.Error](err); ok && network.Timeout() || errors.Is(err, context.DeadlineExceeded) {
		return fmt.Sprintf("no answer within %s", limit)
	}
	if certificate, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return certificate.Error()
	}
	if network, ok := errors.AsType[*net.OpError](err); ok {
		return network.Error()
	}
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "the connection was closed"
	case errors.Is(err, redis.ErrPoolTimeout), errors.Is(err, redis.ErrPoolExhausted):
		return "no connection was free"
	case errors.Is(err, redis.ErrClosed):
		return "the store is closed"
	case strings.Contains(err.Error(), "sentinel"):
		return "no Sentinel tells where the master is"
	default:
		return "it does not speak as Redis does"
	}
}

var (
	codeForm    = regexp.MustCompile(`^[A-Z]{2,20}`)
	commandForm = regexp.MustCompile(`'([a-z|]{1,30})' command`)
)

// replyCode is the first word of an error that Redis answered with, "" for any other.
func replyCode(err error) string {
	reply, ok := errors.AsType[redis.Error](err)
	if !ok || errors.Is(err, redis.Nil) {
		return ""
	}
	return codeForm.FindString(reply.Error())
}

func refusal(code string, err error) string {
	switch code {
	case "WRONGPASS", "NOAUTH":
		return "it refuses the username or the password"
	case "NOPERM":
		if found := commandForm.FindStringSubmatch(err.Error()); found != nil {
			return "its access list forbids the command " + found[1]
		}
		return "its access list forbids what is needed"
	default:
		return "it answers " + code
	}
}

// forOperators tells whether only a human can mend it.
func forOperators(err error) bool {
	switch replyCode(err) {
	case "WRONGPASS", "NOAUTH", "NOPERM":
		return true
	}
	_, certificate := errors.AsType[*tls.CertificateVerificationError](err)
	return certificate
}
