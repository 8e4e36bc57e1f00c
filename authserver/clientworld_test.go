package authserver

import (
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
)

// What must never be seen in an error.
const (
	testSecret  = "s3cr3t-CANARY-of-the-client"
	testSubject = "CANARY-of-the-caller"
)

// endpoint is a token endpoint that is as strict as real ones: it answers only a
// request that RFC 6749 allows.
func endpoint(t *testing.T, handler http.HandlerFunc) *httptest.Server {
	t.Helper()
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if fault := requestFault(r); fault != "" {
			t.Errorf("request: %s", fault)
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		handler(w, r)
	}))
	t.Cleanup(server.Close)
	return server
}

func requestFault(r *http.Request) string {
	if err := r.ParseForm(); err != nil {
		return err.Error()
	}
	_, _, basic := r.BasicAuth()
	switch {
	case r.Method != http.MethodPost:
		return "method " + r.Method
	case r.URL.RawQuery != "":
		return "a query"
	case r.Header.Get("Content-Type") != "application/x-www-form-urlencoded":
		return "content type " + r.Header.Get("Content-Type")
	case r.Header.Get("Accept") != "application/json":
		return "accept " + r.Header.Get("Accept")
	case basic == r.PostForm.Has("client_secret"):
		return "not exactly one client authentication"
	}
	return ""
}

func trust(server *httptest.Server) [][]byte {
	return [][]byte{pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})}
}

func newTestClient(t *testing.T, options ClientOptions) *Client {
	t.Helper()
	if options.ID == "" {
		options.ID = "gateway"
	}
	if options.Auth == nil {
		options.Auth = Basic(NewSecret(testSecret))
	}
	client, err := NewClient(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

func clientOf(t *testing.T, server *httptest.Server) *Client {
	t.Helper()
	return newTestClient(t, ClientOptions{TokenEndpoint: server.URL + "/token", TrustCA: trust(server)})
}

func subjectForm() url.Values { return url.Values{"subject_token": {testSubject}} }

const goodAnswer = `{"access_token":"issued","token_type":"Bearer","issued_token_type":"urn:x","expires_in":60,"scope":"a b"}`

func writeJSON(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body)
}
