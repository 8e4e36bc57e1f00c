// Package config is what an operator writes: the JSON of the gatehouse app and
// of its HTTP handlers, the Caddyfile grammar of both, and the checks that a
// configuration must pass before anything is built from it.
//
// A configuration passes three steps. Reading the Caddyfile
// (UnmarshalCaddyfile) checks each line as it comes and says file and line.
// Expand replaces {env.*} and {file.*}, once, at load. Check then looks at the
// whole, whoever wrote it, Caddyfile or JSON: every value again, what is
// missing, and every name that one block uses of another. A value with a
// placeholder is checked after Expand only.
//
// Nothing here reads a file, opens a connection or changes shared state.
package config
