package main

import "strings"

// A scenario is one row of processor time: what callers show, how many of them
// take turns, and the largest ratio that the project promises for it.
type scenario struct {
	name    string
	kind    kind
	callers int
	goal    float64 // 0: nothing is promised
}

var scenarios = []scenario{
	{name: "exchange, 1 token", kind: exchanged, callers: 1, goal: 1.10},
	{name: "exchange, 10,000 tokens", kind: exchanged, callers: 10_000, goal: 1.20},
	{name: "introspection hit", kind: opaque, callers: 1},
	{name: "DPoP", kind: dpop, callers: 1},
	{name: "mTLS", kind: mutualTLS, callers: 1},
	{name: "minted anew", kind: minted, callers: 1},
}

// A kind is what callers show, and what the gateway does with it.
type kind int

const (
	// exchanged: a JWT, and the upstream gets another token.
	exchanged kind = iota
	// opaque: a token that only its server can tell about, asked once.
	opaque
	// dpop: a JWT with a proof of its own for each request.
	dpop
	// mutualTLS: a JWT that is bound to the certificate of the connection. Bare
	// Caddy asks for the same certificate.
	mutualTLS
	// minted: a JWT, and the upstream gets a token that the gateway signs for this
	// request alone. What is promised is in signatures.
	minted
	// held: as exchanged, and another route's server can be made to hang.
	held
)

// calls is how often the authorization server is asked about all callers: once
// for each, or never.
func (s scenario) calls() int64 {
	switch s.kind {
	case exchanged, opaque, held:
		return int64(s.callers)
	default:
		return 0
	}
}

// exchanges tells whether the upstream gets a token.
func (k kind) exchanges() bool { return k == exchanged || k == held || k == minted }

const (
	globalWords = "\tadmin $ADMIN\n\tpersist_config off\n\tauto_https off\n\tdefault_bind 127.0.0.1\n\tgrace_period 1s\n"

	issuerBlock = `		issuer main $ISSUER {
			audience ` + apiAudience + `
		}
`
	opaqueIssuerBlock = `		issuer main $ISSUER {
			audience ` + apiAudience + `
			introspection {
				client gateway
				cache_ttl 4h
			}
		}
`
	clientBlock = `		client gateway {
			issuer main
			client_id gateway
			secret benchmark
		}
`
	exchangeBlock = `		exchange orders {
			client gateway
			audience orders
			scope orders:read
			max_ttl 4h
		}
`
	mintBlocks = `		sign {
			issuer https://gateway.example.com
		}
		exchange orders {
			grant local
			audience orders
			scope orders:read
			cache_entries off
		}
`
	heldBlocks = `		client held {
			token_endpoint $HELD/token
			client_id gateway
			secret benchmark
			timeout 60s
		}
		exchange held {
			client held
			subject_issuer main
			audience held
			scope orders:read
		}
`
	tlsWords = `	tls $CERTIFICATE $KEY {
		client_auth {
			mode require
		}
	}
`
	authorized = "\ttoken_auth\n\ttoken_require scope orders:read\n"
	proxied    = "\treverse_proxy $UPSTREAM\n"
	signedOnce = "\tbench_sign\n"
)

// caddyfile is the configuration of one gateway. All of them do the same to the
// request but for what is measured.
func (w *world) caddyfile(r role) string {
	policy, site := "", ""
	switch r {
	case ours:
		policy, site = w.scenario.kind.words()
		policy = "\tgatehouse {\n" + policy + "\t}\n"
	case signs:
		site = signedOnce
	case bare, bareAgain:
	}
	address := "http://$SITE"
	if w.scenario.kind == mutualTLS {
		address, site = "https://$SITE", tlsWords+site
	}
	text := "{\n" + globalWords + policy + "}\n" + address + " {\n" + site + proxied + "}\n"
	return strings.NewReplacer(
		"$ISSUER", w.issuer.URL, "$HELD", w.slow.URL, "$UPSTREAM", w.upstream.Listener.Addr().String(),
		"$CERTIFICATE", w.identity.certificateFile, "$KEY", w.identity.keyFile,
	).Replace(text)
}

// words are those of the global block and of the site ahead of reverse_proxy.
func (k kind) words() (policy, site string) {
	switch k {
	case opaque:
		return opaqueIssuerBlock + clientBlock, authorized
	case dpop:
		return issuerBlock, "\ttoken_auth {\n\t\tsender_constrained dpop\n\t\tpublic_url " + apiAudience +
			"\n\t}\n\ttoken_require scope orders:read\n"
	case mutualTLS:
		return issuerBlock, "\ttoken_auth {\n\t\tsender_constrained mtls\n\t}\n\ttoken_require scope orders:read\n"
	case minted:
		return issuerBlock + mintBlocks, authorized + "\ttoken_exchange orders\n"
	case held:
		return issuerBlock + clientBlock + exchangeBlock + heldBlocks, authorized +
			"\t@held path /held/*\n\ttoken_exchange @held held\n\t@other not path /held/*\n\ttoken_exchange @other orders\n"
	default:
		return issuerBlock + clientBlock + exchangeBlock, authorized + "\ttoken_exchange orders\n"
	}
}
