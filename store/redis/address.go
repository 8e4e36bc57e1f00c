package redis

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// defaultPort is where Redis listens; Sentinels have one of their own.
const (
	defaultPort         = "6379"
	defaultSentinelPort = "26379"
)

// An Address is where a server, a node of a Cluster or a Sentinel listens.
type Address struct {
	// Host is a name or an address, without brackets.
	Host string
	// Port is empty where the URL has none.
	Port string
	// Database is the number behind the slash, 0 if there is none.
	Database int
	// TLS is true for rediss.
	TLS bool
}

// ParseAddress reads redis://<host>[:<port>][/<database>], or the same with rediss for
// TLS. Credentials in it are refused: a URL is shown in messages and logs. Its errors do
// not show the text.
func ParseAddress(text string) (Address, error) {
	parsed, err := url.Parse(text)
	if err != nil {
		return Address{}, errors.New("it is no URL such as redis://127.0.0.1:6379")
	}
	switch {
	case parsed.Scheme != "redis" && parsed.Scheme != "rediss":
		return Address{}, errors.New("it begins with neither redis:// nor rediss://")
	case parsed.User != nil:
		return Address{}, errors.New("it holds a username or password, and a URL is shown in messages: write them as username and password")
	case parsed.Hostname() == "":
		return Address{}, errors.New("it has no host: write a URL such as redis://127.0.0.1:6379")
	case parsed.RawQuery != "" || parsed.ForceQuery || parsed.Fragment != "":
		return Address{}, errors.New("it has a query or a fragment: options stand on lines of their own")
	}
	address := Address{Host: parsed.Hostname(), Port: parsed.Port(), TLS: parsed.Scheme == "rediss"}
	if number := strings.Trim(parsed.Path, "/"); number != "" {
		database, err := strconv.ParseUint(number, 10, 16)
		if err != nil {
			return Address{}, errors.New("what is behind the slash is no number of a database")
		}
		address.Database = int(database)
	}
	return address, nil
}

func (a Address) hostPort(port string) string {
	if a.Port != "" {
		port = a.Port
	}
	return net.JoinHostPort(a.Host, port)
}

// CheckURLs refuses URLs that cannot stand together, and none. Its errors do not show
// them.
func CheckURLs(urls []string, sentinel bool) error {
	_, err := parseAll(urls, sentinel)
	return err
}

// parseAll reads all URLs and refuses those that cannot stand together.
func parseAll(urls []string, sentinel bool) ([]Address, error) {
	if len(urls) == 0 {
		return nil, errors.New("the URL is missing: write store redis <url...>")
	}
	all := make([]Address, len(urls))
	for i, text := range urls {
		address, err := ParseAddress(text)
		if err != nil {
			return nil, fmt.Errorf("url: %w", err)
		}
		all[i] = address
		switch {
		case slices.Contains(all[:i], address):
			return nil, errors.New("a URL is written twice")
		case address.TLS != all[0].TLS:
			return nil, errors.New("redis:// and rediss:// together: all servers of a store speak TLS, or none")
		case address.Database != all[0].Database:
			return nil, errors.New("the URLs have different databases")
		case address.Database != 0 && len(urls) > 1 && !sentinel:
			return nil, errors.New("a Cluster has no other database than 0: leave the slash and the number out")
		}
	}
	return all, nil
}
