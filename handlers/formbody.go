package handlers

import (
	"net/http"
	"time"
)

// formWait is how long a client may take to send its form, which is small. Whoever
// sends an octet a minute, and proves nothing, would otherwise hold a connection and
// all that belongs to it for as long as he likes.
const formWait = 10 * time.Second

// hasten gives the client formWait to send the body. It holds for a body that is
// refused before it was read too, since the server reads what is left of it, and ends
// with the body: the server takes the deadline away when it has all of it.
func hasten(w http.ResponseWriter, r *http.Request) {
	if r.Body != nil && r.Body != http.NoBody {
		// What cannot have a deadline has none.
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(formWait))
	}
}
