package harness

// Blocks of the global option that several tests begin with. Each stands in the braces of
// gatehouse.
const (
	gatewayClient = `
		client gateway {
			issuer main
			client_id gateway
			secret canary-client-secret
		}
`
	// MainAndClient are the issuer $IDP, and the client that an AuthServer there knows.
	MainAndClient = `
		issuer main $IDP {
			audience any
		}
` + gatewayClient
	// Orders is an exchange that goes with MainAndClient.
	Orders = `
		exchange orders {
			client gateway
			audience orders
			scope orders:read
		}
`
	// AskedOrders are the issuer $IDP, which is asked about opaque tokens, its client, and
	// an exchange there.
	AskedOrders = `
		issuer main $IDP {
			audience https://api.example.com
			introspection {
				client gateway
			}
		}
` + gatewayClient + Orders
	// TwoAsked are the issuers $ONE and $TWO, which are asked about tokens that begin
	// with one_ and two_, as clients of one name and secret.
	TwoAsked = `
		issuer one $ONE {
			audience https://api.example.com
			introspection {
				client one
				prefix one_
			}
		}
		issuer two $TWO {
			audience https://api.example.com
			introspection {
				client two
				prefix two_
			}
		}
		client one {
			issuer one
			client_id gateway
			secret canary-client-secret
		}
		client two {
			issuer two
			client_id gateway
			secret canary-client-secret
		}
`
	// BoundOrders is the issuer $IDP, and an exchange whose token its endpoint
	// /bound-token binds to the gateway's key.
	BoundOrders = `
		issuer main $IDP {
			audience any
		}
		client c {
			token_endpoint $IDP/bound-token
			client_id gateway
			secret canary-client-secret
		}
		exchange orders {
			client c
			subject_issuer main
			audience orders
			bind dpop
		}
`
)
