package handlers

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"

	"google.golang.org/grpc/codes"
)

func TestIsGRPC(t *testing.T) {
	for kind, want := range map[string]bool{
		"application/grpc": true, "application/grpc+proto": true, "application/grpc;charset=utf-8": true,
		"application/grpc-web": false, "application/grpcx": false, "application/json": false, "": false,
	} {
		r := &http.Request{Header: http.Header{"Content-Type": {kind}}}
		if got := isGRPC(r); got != want {
			t.Errorf("%q: %v, want %v", kind, got, want)
		}
	}
}

func TestGRPCMessage(t *testing.T) {
	for text, want := range map[string]string{
		"":                        "",
		"The request took long.":  "The request took long.",
		"100 % of\r\nit ~ \x7f ä": "100 %25 of%0D%0Ait ~ %7F %C3%A4",
	} {
		if got := grpcMessage(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

// Every status that a refusal may have has its code (statuscodes.md of gRPC), so
// that clients know what to try again: 14 is what comes back.
func TestGRPCCode(t *testing.T) {
	for status, want := range map[int]codes.Code{
		http.StatusBadRequest:          codes.InvalidArgument,
		http.StatusUnauthorized:        codes.Unauthenticated,
		http.StatusForbidden:           codes.PermissionDenied,
		http.StatusTooEarly:            codes.Unavailable,
		http.StatusTooManyRequests:     codes.ResourceExhausted,
		statusClientGone:               codes.Canceled,
		http.StatusInternalServerError: codes.Internal,
		http.StatusBadGateway:          codes.Unavailable,
		http.StatusServiceUnavailable:  codes.Unavailable,
		http.StatusGatewayTimeout:      codes.Unavailable,
		http.StatusTeapot:              codes.Unknown,
	} {
		recorder := httptest.NewRecorder()
		request := httptest.NewRequest(http.MethodPost, "/orders.v1.Orders/List", http.NoBody)
		request.Header.Set("Content-Type", "application/grpc")
		if err := (answer{status: status, description: "no"}).write(recorder, request); err != nil {
			t.Fatal(err)
		}
		header := recorder.Header()
		if got := header.Get("Grpc-Status"); recorder.Code != status || got != strconv.Itoa(int(want)) || header.Get("Grpc-Message") != "no" {
			t.Errorf("%d: status %d, gRPC code %s, %q; want %d", status, recorder.Code, got, header.Get("Grpc-Message"), want)
		}
	}
}
