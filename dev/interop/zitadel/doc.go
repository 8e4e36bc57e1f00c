// Package zitadel runs the gateway with the example provider of zitadel/oidc, behind
// the build tag interop.
package zitadel
