package handlers

import (
	"net/http"
	"strconv"
	"strings"
)

// isGRPC tells a gRPC call by its media type, application/grpc or one with a
// message format behind a plus sign (gRPC over HTTP/2, requests).
func isGRPC(r *http.Request) bool {
	rest, ok := strings.CutPrefix(r.Header.Get("Content-Type"), "application/grpc")
	return ok && (rest == "" || rest[0] == '+' || rest[0] == ';')
}

// writeGRPC answers a gRPC call: no body, and the gRPC status beside the HTTP
// status. Clients that read only one of the two come to the same code as far as
// gRPC's own table (HTTP to gRPC status code mapping) has it.
func (a answer) writeGRPC(w http.ResponseWriter) error {
	header := w.Header()
	header.Set("Content-Type", "application/grpc")
	header.Set("Grpc-Status", strconv.Itoa(grpcCode(a.status)))
	header.Set("Grpc-Message", grpcMessage(a.description))
	w.WriteHeader(a.status)
	return nil
}

// grpcCode is the gRPC status code for a status of ours.
func grpcCode(status int) int {
	const (
		cancelled         = 1
		unknown           = 2
		invalidArgument   = 3
		permissionDenied  = 7
		resourceExhausted = 8
		internal          = 13
		unavailable       = 14
		unauthenticated   = 16
	)
	switch status {
	case http.StatusBadRequest:
		return invalidArgument
	case http.StatusUnauthorized:
		return unauthenticated
	case http.StatusForbidden:
		return permissionDenied
	case http.StatusTooManyRequests:
		return resourceExhausted
	case statusClientGone:
		return cancelled
	case http.StatusInternalServerError:
		return internal
	case http.StatusTooEarly, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return unavailable
	default:
		return unknown
	}
}

// grpcMessage percent-encodes a text as a gRPC message is (gRPC over HTTP/2,
// responses).
func grpcMessage(text string) string {
	const hex = "0123456789ABCDEF"
	var encoded strings.Builder
	for _, b := range []byte(text) {
		if b < ' ' || b > '~' || b == '%' {
			encoded.WriteString("%" + string(hex[b>>4]) + string(hex[b&15]))
			continue
		}
		encoded.WriteByte(b)
	}
	return encoded.String()
}
