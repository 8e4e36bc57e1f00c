package config

import "os"

// ReadBundles reads the PEM files of a trust_ca. What is in them is not looked at.
func ReadBundles(files []string) ([][]byte, error) {
	bundles := make([][]byte, 0, len(files))
	for _, file := range files {
		bundle, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		bundles = append(bundles, bundle)
	}
	return bundles, nil
}
