package webhook

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/caddy-gatehouse/gatehouse/internal/httpx"
)

const (
	// mediaType is that of a CloudEvent (CloudEvents 1.0, JSON format, section 3).
	mediaType = "application/cloudevents+json"
	// maxAnswer bounds what is read of an answer, which nobody looks at.
	maxAnswer = 64 << 10
	// secretPrefix marks a secret in base64 (Standard Webhooks).
	secretPrefix = "whsec_"
	// minSecret is how many octets a secret has at least.
	minSecret = 16
)

// What is said of an attempt. None holds the URL, which may be a secret.
var (
	errTimeout     = errors.New("timeout")
	errUnreachable = errors.New("unreachable")
	errSecret      = errors.New("the secret cannot be read")
	errNoRoom      = errors.New("too many wait")
	errGone        = errors.New("the configuration is gone")
)

// attempt sends once; again tells whether to try it again.
func (s *Sender) attempt(message Message) (again bool, err error) {
	request, err := s.request(message)
	if err != nil {
		return false, err
	}
	answer, err := s.http.Do(request, maxAnswer)
	switch {
	case s.ctx.Err() != nil:
		return false, errGone
	case errors.Is(err, context.DeadlineExceeded):
		return true, errTimeout
	case err != nil && !errors.Is(err, httpx.ErrTooLarge): // one that answers at length has answered
		return true, errUnreachable
	case answer.Status >= http.StatusOK && answer.Status < http.StatusMultipleChoices:
		return false, nil
	case answer.Status >= http.StatusInternalServerError || answer.Status == http.StatusTooManyRequests:
		return true, fmt.Errorf("status_%d", answer.Status)
	default:
		return false, fmt.Errorf("status_%d", answer.Status)
	}
}

func (s *Sender) request(message Message) (*http.Request, error) {
	request, err := http.NewRequestWithContext(s.ctx, http.MethodPost, s.config.URL, bytes.NewReader(message.Body))
	if err != nil {
		return nil, errUnreachable
	}
	at := strconv.FormatInt(time.Now().Unix(), 10)
	request.Header.Set("Content-Type", mediaType)
	request.Header.Set("User-Agent", "gatehouse")
	request.Header.Set("Webhook-Id", message.ID)
	request.Header.Set("Webhook-Timestamp", at)
	if s.config.SecretFile == "" {
		return request, nil
	}
	secret, err := ReadSecret(s.config.SecretFile)
	if err != nil {
		return nil, errSecret
	}
	request.Header.Set("Webhook-Signature", sign(secret, message.ID, at, message.Body))
	return request, nil
}

// sign makes the signature of Standard Webhooks 1.0: HMAC with SHA-256 over the
// identifier, the time in seconds and the body, joined by dots.
func sign(secret []byte, id, at string, body []byte) string {
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(id + "." + at + "."))
	mac.Write(body)
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// ReadSecret reads the file of a secret: base64 behind whsec_, or the text as it is,
// without line breaks at its end. Errors hold nothing of it.
func ReadSecret(file string) ([]byte, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	secret := bytes.TrimRight(text, "\r\n")
	if encoded, ok := strings.CutPrefix(string(secret), secretPrefix); ok {
		if secret, err = base64.StdEncoding.DecodeString(encoded); err != nil {
			return nil, errors.New("behind " + secretPrefix + " stands no base64")
		}
	}
	if len(secret) < minSecret {
		return nil, fmt.Errorf("the secret is shorter than %d octets", minSecret)
	}
	return secret, nil
}
