package handlers

import (
	"log/slog"
	"net/http"

	"github.com/caddy-gatehouse/gatehouse/token"
)

// fault answers a request whose route is put together wrongly: 500, and the log
// says what stands where. It is never silently open: a rule that cannot be asked
// lets nobody pass.
func fault(w http.ResponseWriter, r *http.Request, log *slog.Logger, problem string, places ...string) error {
	// Where no token_auth ran the caller's token is still on the request, and error
	// routes may have an upstream of their own.
	_, _ = token.Take(r.Header)
	log.LogAttrs(r.Context(), slog.LevelError, "route is misconfigured",
		slog.String("problem", problem), slog.Any("places", places),
		slog.String("host", r.Host), slog.String("path", r.URL.Path))
	return answer{
		status:      http.StatusInternalServerError,
		description: "The server's configuration does not allow it to answer this request.",
	}.write(w, r)
}

// placeOf names a directive for a log.
func placeOf(directive, place string) string {
	if place == "" {
		return directive
	}
	return directive + " at " + place
}
