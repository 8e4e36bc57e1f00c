package admin

import (
	"net/http"
	"slices"
	"strconv"
)

// A section is one list, or a page of it.
type section[T any] struct {
	// Count is how many there are, on all pages.
	Count int `json:"count"`
	Items []T `json:"items"`
	// Next is offset for the next page, 0 where this is the last.
	Next int `json:"next,omitempty"`
}

// A faring is an entry that tells whether it is in trouble.
type faring interface{ troubled() bool }

// first makes the section of an overview: those in trouble first, and no more than a
// page. What an operator looks for must not be on another page.
func first[T faring](all []T) section[T] {
	slices.SortStableFunc(all, func(a, b T) int {
		switch {
		case a.troubled() == b.troubled():
			return 0
		case a.troubled():
			return -1
		default:
			return 1
		}
	})
	return page(all, 0, defaultPage)
}

func page[T any](all []T, offset, limit int) section[T] {
	offset = min(offset, len(all))
	end := min(offset+limit, len(all))
	cut := section[T]{Count: len(all), Items: all[offset:end]}
	if end < len(all) {
		cut.Next = end
	}
	if cut.Items == nil {
		cut.Items = []T{}
	}
	return cut
}

// paged serves a list by pages.
func paged[T any](read func(Operated) []T) operation {
	return func(r *http.Request, app Operated) (any, error) {
		query, err := readQuery(r, "limit", "offset")
		if err != nil {
			return nil, err
		}
		limit, offset := defaultPage, 0
		if text := query.Get("limit"); text != "" {
			if limit, err = strconv.Atoi(text); err != nil || limit < 1 || limit > maxPage {
				return nil, badQuery("limit: not a number from 1 to %d", maxPage)
			}
		}
		if text := query.Get("offset"); text != "" {
			if offset, err = strconv.Atoi(text); err != nil || offset < 0 {
				return nil, badQuery("offset: not what next said")
			}
		}
		return page(read(app), offset, limit), nil
	}
}
