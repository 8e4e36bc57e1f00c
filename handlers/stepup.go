package handlers

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/caddy-gatehouse/gatehouse/policy"
)

// insufficientAuthentication asks for a newer or stronger login (RFC 9470,
// section 3), and for scopes if the token lacks some of these as well: a client
// that asks for both at once needs one login. There is no parameter for the
// methods of a login (amr); the acr that stands for them is what can be asked
// for.
func (c challenger) insufficientAuthentication(login policy.StepUp, scopes []string) answer {
	const description = "A newer or stronger login is needed."
	maxAge := ""
	if login.MaxAge > 0 {
		maxAge = strconv.FormatInt(int64(login.MaxAge/time.Second), 10)
	}
	return answer{
		status: http.StatusUnauthorized, code: "insufficient_user_authentication", description: description,
		challenge: c.challenge("error", "insufficient_user_authentication", "error_description", description,
			"acr_values", strings.Join(login.ACR, " "), "max_age", maxAge, "scope", strings.Join(scopes, " ")),
	}
}
