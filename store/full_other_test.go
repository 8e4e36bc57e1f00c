//go:build !linux

package store_test

import "errors"

func fillTheDisk(string) error { return errors.New("only Linux takes the disk away in these tests") }
