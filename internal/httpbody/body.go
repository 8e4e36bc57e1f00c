// Package httpbody reads bodies of requests that may be too long.
package httpbody

import "io"

// maxDiscarded is how much is read of what is too long: as much as net/http reads of
// a body that nobody has begun.
const maxDiscarded = 256 << 10

// Read reads the body of a request, of which most octets are allowed. fits is
// false for a longer one, whose rest is read too, within maxDiscarded: a server that
// answers with a body half read resets the connection, and a client that is still
// sending never sees why. How long it may take, the connection's deadline says.
func Read(body io.Reader, most int64) (read []byte, fits bool, err error) {
	read, err = io.ReadAll(io.LimitReader(body, most+1))
	if err != nil || int64(len(read)) <= most {
		return read, err == nil, err
	}
	_, _ = io.CopyN(io.Discard, body, maxDiscarded)
	return nil, false, nil
}
