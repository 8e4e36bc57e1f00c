package devidp

import (
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-gatehouse/gatehouse/dev/devidp/provider"
)

func parseCaddyfile(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	d := new(DevIDP)
	if err := d.UnmarshalCaddyfile(h.Dispenser); err != nil {
		return nil, err
	}
	return d, nil
}

// UnmarshalCaddyfile reads the directive:
//
//	dev_idp [<matcher>] <issuer url> {
//		user <name> <password> {
//			email <address>
//			name <text>
//			claim <name> <value...>
//		}
//		client <id> [<secret>] {
//			grants <authorization_code | client_credentials | token_exchange...>
//			redirect <url...>
//			scopes <scope...>
//			audience <aud...>
//			targets <aud...>
//			exchange_from <aud... | any>
//		}
//		token_lifetime <duration>
//		algorithm ES256 | RS256 | EdDSA
//		faults_token <text>
//	}
//
// user, client and claim may be repeated, everything else is there once. A claim
// with several values is an array.
func (d *DevIDP) UnmarshalCaddyfile(p *caddyfile.Dispenser) error {
	p.Next() // the directive's own name
	if !p.AllArgs(&d.Issuer) {
		return p.ArgErr()
	}
	once := newOnce(p)
	for nesting := p.Nesting(); p.NextBlock(nesting); {
		if err := d.parseOption(p, once); err != nil {
			return err
		}
	}
	return nil
}

func (d *DevIDP) parseOption(p *caddyfile.Dispenser, once once) error {
	switch option := p.Val(); option {
	case "user":
		user, err := parseUser(p)
		d.Users = append(d.Users, user)
		return err
	case "client":
		client, err := parseClient(p)
		d.Clients = append(d.Clients, client)
		return err
	case "token_lifetime":
		return parseLifetime(p, once, &d.TokenLifetime)
	case "algorithm":
		return once.word(option, &d.Algorithm)
	case "faults_token":
		return once.word(option, &d.FaultsToken)
	default:
		return p.Errf("unrecognized option %q of dev_idp", option)
	}
}

func parseLifetime(p *caddyfile.Dispenser, once once, into *caddy.Duration) error {
	var text string
	if err := once.word("token_lifetime", &text); err != nil {
		return err
	}
	lifetime, err := caddy.ParseDuration(text)
	if err != nil {
		return p.Errf("token_lifetime: %v", err)
	}
	*into = caddy.Duration(lifetime)
	return nil
}

// parseUser reads one user block.
func parseUser(p *caddyfile.Dispenser) (provider.User, error) {
	var user provider.User
	if !p.AllArgs(&user.Name, &user.Password) {
		return user, p.ArgErr()
	}
	once := newOnce(p)
	for nesting := p.Nesting(); p.NextBlock(nesting); {
		var err error
		switch option := p.Val(); option {
		case "email":
			err = once.word(option, &user.Email)
		case "name":
			err = once.word(option, &user.FullName)
		case "claim":
			err = parseClaim(p, &user)
		default:
			err = p.Errf("unrecognized option %q of user", option)
		}
		if err != nil {
			return user, err
		}
	}
	return user, nil
}

func parseClaim(p *caddyfile.Dispenser, user *provider.User) error {
	args := p.RemainingArgs()
	if len(args) < 2 {
		return p.ArgErr()
	}
	if _, twice := user.Claims[args[0]]; twice {
		return p.Errf("claim %q is there twice; write its values on one line", args[0])
	}
	if user.Claims == nil {
		user.Claims = make(map[string]any)
	}
	if len(args) == 2 {
		user.Claims[args[0]] = args[1]
		return nil
	}
	user.Claims[args[0]] = args[1:]
	return nil
}

// parseClient reads one client block.
func parseClient(p *caddyfile.Dispenser) (provider.Client, error) {
	var client provider.Client
	switch args := p.RemainingArgs(); len(args) {
	case 2:
		client.ID, client.Secret = args[0], args[1]
	case 1:
		client.ID = args[0]
	default:
		return client, p.ArgErr()
	}
	lists := map[string]*[]string{
		"grants": &client.Grants, "redirect": &client.Redirects, "scopes": &client.Scopes,
		"audience": &client.Audience, "targets": &client.Targets, "exchange_from": &client.ExchangeFrom,
	}
	once := newOnce(p)
	for nesting := p.Nesting(); p.NextBlock(nesting); {
		option := p.Val()
		list, known := lists[option]
		if !known {
			return client, p.Errf("unrecognized option %q of client", option)
		}
		if err := once.words(option, list); err != nil {
			return client, err
		}
	}
	return client, nil
}

// once reads options that may be there only once in their block.
type once struct {
	p    *caddyfile.Dispenser
	seen map[string]bool
}

func newOnce(p *caddyfile.Dispenser) once { return once{p, make(map[string]bool)} }

func (o once) words(option string, into *[]string) error {
	if o.seen[option] {
		return o.p.Errf("%s is there twice", option)
	}
	o.seen[option] = true
	if *into = o.p.RemainingArgs(); len(*into) == 0 {
		return o.p.ArgErr()
	}
	return nil
}

func (o once) word(option string, into *string) error {
	var words []string
	if err := o.words(option, &words); err != nil {
		return err
	}
	if len(words) > 1 {
		return o.p.ArgErr()
	}
	*into = words[0]
	return nil
}

var _ caddyfile.Unmarshaler = (*DevIDP)(nil)
