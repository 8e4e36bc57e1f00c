package config

import (
	"fmt"
	"slices"

	"github.com/caddy-gatehouse/gatehouse/statuslist"
)

// checkListPlace accepts the beginning of the addresses of status lists.
func checkListPlace(text string) error {
	if err := checkURL(text); err != nil {
		return err
	}
	if _, err := statuslist.NewPlaces(text); err != nil {
		return fmt.Errorf("%q is not the beginning of addresses: write an https URL without query, and without dots, "+
			"double slashes or encoded ones in its path", text)
	}
	return nil
}

// listPlaces finds a place that is written twice.
func (i *Issuer) listPlaces() error {
	for n, text := range i.StatusList {
		if slices.Contains(i.StatusList[:n], text) {
			return fmt.Errorf("status_list: the URL %s is written twice", text)
		}
	}
	return nil
}
