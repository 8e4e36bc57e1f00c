// Package exchange swaps a caller's token for one made for a single upstream
// (OAuth 2.0 Token Exchange, RFC 8693).
//
// An Exchanger is one `exchange` block: which server is asked, for what, and
// what of its answer is believed. What it learns (issued tokens, calls under
// way, whether the configuration has worked lately) lives in a State, which
// outlives the configuration.
//
// The order of things in Exchange is the order of their danger: whose token may
// be sent at all, what may be asked for it, what is already known, and only then
// a call to the server. A remembered answer skips the call and never a check.
package exchange
