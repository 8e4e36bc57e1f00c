// Package handlers holds Gatehouse's Caddy modules. They are thin: they ask the
// domain and write the answer. What they share between them during one request
// lies in a caller; how a refusal looks lies in one place, answer.
package handlers
