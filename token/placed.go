package token

// placed reads what every issuer puts elsewhere.
func (r *claimReader) placed(parsed *Token, paths ClaimPaths) {
	if paths.Subject != "" {
		parsed.Subject = r.firstText([]string{paths.Subject})
	}
	parsed.Client = r.firstText(or(paths.Client, defaultClient))
	parsed.Scopes = r.scopes(or(paths.Scope, defaultScope))
	if path, value, ok := r.first(paths.Roles); ok {
		parsed.Roles = r.list(path, value, ok)
	}
}

func or(paths, fallback []string) []string {
	if len(paths) == 0 {
		return fallback
	}
	return paths
}

// first finds the first path that leads to a claim. One that is there with a
// wrong type is no reason to look further: the next reader of the token would
// have taken it.
func (r *claimReader) first(paths []string) (path string, value any, ok bool) {
	for _, path := range paths {
		if value, ok := r.claims.Lookup(path); ok {
			return path, value, true
		}
	}
	return "", nil, false
}

func (r *claimReader) firstText(paths []string) string {
	path, value, ok := r.first(paths)
	text, isText := value.(string)
	if ok && !isText {
		r.fail(path, "is not a text")
	}
	return text
}

// scopes reads a text of scopes parted by blanks (RFC 8693, section 4.2) or, as
// some servers write it, a list.
func (r *claimReader) scopes(paths []string) []string {
	path, value, ok := r.first(paths)
	if text, isText := value.(string); isText {
		return words(text)
	}
	return r.list(path, value, ok)
}
