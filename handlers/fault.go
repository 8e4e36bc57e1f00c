package handlers

import (
	"log/slog"
	"net/http"
)

// faultText is what a caller is told about a fault of the configuration.
const faultText = "The server's configuration does not allow it to answer this request."

// fault answers a request whose route is put together wrongly: 500, and the log
// says what stands where. It is never silently open: a rule that cannot be asked
// lets nobody pass.
func fault(w http.ResponseWriter, r *http.Request, app Services, problem string, places ...string) error {
	reportFault(r, app.Known(), app.Log(), problem, places...)
	return answer{status: http.StatusInternalServerError, description: faultText}.write(w, r)
}

// reportFault logs a fault, and takes the caller's token off the request.
func reportFault(r *http.Request, known *Known, log *slog.Logger, problem string, places ...string) {
	known.leave(r)
	log.LogAttrs(r.Context(), slog.LevelError, "route is misconfigured",
		slog.String("problem", problem), slog.Any("places", places),
		slog.String("host", r.Host), slog.String("path", r.URL.Path))
}

// placeOf names a directive for a log.
func placeOf(directive, place string) string {
	if place == "" {
		return directive
	}
	return directive + " at " + place
}
