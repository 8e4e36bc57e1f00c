package handlers

import (
	"net/http"
	"testing"
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
