// Package policy decides what a token may do. A Policy is a list of rules that
// must all hold; its Denial carries the rule and the reason, so that an
// operator can be told why.
package policy
