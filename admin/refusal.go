package admin

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// refusalPrefix is how Caddy's client begins the error of an answer that is none.
const refusalPrefix = "caddy responded with error: HTTP "

// A refused is what the admin API said instead of an answer.
type refused struct {
	status int
	text   string
}

// Error says it as a person would: the answer itself is JSON.
func (r *refused) Error() string {
	return fmt.Sprintf("the gateway answered %d %s: %s", r.status, http.StatusText(r.status), r.text)
}

// readRefusal takes the text out of the answer that Caddy's client repeats, and returns
// any other error as it is.
func readRefusal(err error) error {
	said, ok := strings.CutPrefix(err.Error(), refusalPrefix)
	number, body, parted := strings.Cut(said, ": ")
	status, bad := strconv.Atoi(number)
	if !ok || !parted || bad != nil {
		return err
	}
	var answer struct {
		Error   string    `json:"error"`
		Failed  []failure `json:"failed"`
		Reasons []string  `json:"reasons"`
	}
	text := strings.TrimSpace(body)
	if json.Unmarshal([]byte(body), &answer) == nil {
		switch {
		case answer.Error != "":
			text = answer.Error
		case len(answer.Failed) > 0:
			text = answer.Failed[0].Error
		case len(answer.Reasons) > 0:
			text = strings.Join(answer.Reasons, "; ")
		}
	}
	return &refused{status: status, text: printable(text)}
}
