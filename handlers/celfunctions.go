package handlers

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap/exp/zapslog"

	"github.com/caddy-gatehouse/gatehouse/config"
	"github.com/caddy-gatehouse/gatehouse/policy"
)

// tokenFunctions are what expressions may ask about the caller's token. They are
// in every expression of this Caddy, so making them must not fail.
func tokenFunctions(ctx caddy.Context) cel.Library {
	around := surroundings{log: slog.New(zapslog.NewHandler(ctx.Logger().Core(),
		zapslog.WithName("gatehouse"), zapslog.AddStacktraceAt(slog.Level(127))))}
	// Without an app there is no token_auth; what is wrong with one says whoever needs it.
	if app, err := ctx.AppIfConfigured(appName); err == nil {
		if found, ok := app.(Services); ok {
			around.known = found.Known()
		}
	}
	scope := function{name: "token_scope", check: checkScopeCall, make: func(texts []string) policy.Rule {
		return policy.Rule{Kind: policy.Scope, Values: texts}
	}}
	claim := function{name: "token_claim", check: checkClaimCall, make: func(texts []string) policy.Rule {
		return policy.Rule{Kind: policy.Claim, Path: texts[0], Values: filled(texts[1:])}
	}}
	return caddyhttp.NewMatcherCELLibrary(
		append(scope.environment(around), claim.environment(around)...),
		append(scope.program(around), claim.program(around)...))
}

// surroundings are what a function has of the configuration that it is called in.
type surroundings struct {
	log   *slog.Logger
	known *Known // nil without an app
}

// A function is one that expressions may call with texts. It becomes one rule.
type function struct {
	name  string
	check func(args []ast.Expr) error
	make  func(texts []string) policy.Rule
}

// implementation is the name behind the macro: a function with the request and a
// list. Macros and functions must differ in name.
func (f function) implementation() string { return f.name + "_request_list" }

func (f function) environment(around surroundings) []cel.EnvOption {
	request := cel.ObjectType("http.Request")
	return []cel.EnvOption{
		cel.Macros(cel.GlobalVarArgMacro(f.name, f.expand)),
		cel.Function(f.implementation(),
			cel.Overload(f.implementation(), []*cel.Type{request, cel.ListType(cel.StringType)}, cel.BoolType),
			cel.SingletonBinaryBinding(caddyhttp.CELMatcherRuntimeFunction(f.implementation(), f.factory(around)))),
	}
}

// program lets calls with constants alone be made once, at load.
func (f function) program(around surroundings) []cel.ProgramOption {
	return []cel.ProgramOption{
		cel.CustomDecorator(caddyhttp.CELMatcherDecorator(f.implementation(), f.factory(around))),
	}
}

// expand checks a call and hands it the request.
func (f function) expand(factory cel.MacroExprFactory, _ ast.Expr, args []ast.Expr) (ast.Expr, *common.Error) {
	if err := f.check(args); err != nil {
		var at int64
		if len(args) > 0 {
			at = args[0].ID()
		}
		return nil, factory.NewError(at, fmt.Sprintf("%s: %v", f.name, err))
	}
	return factory.NewCall(f.implementation(), factory.NewIdent(caddyhttp.CELRequestVarName), factory.NewList(args...)), nil
}

// checkScopeCall accepts scopes that are written there. Those of a request would
// let callers choose what is asked of them.
func checkScopeCall(args []ast.Expr) error {
	texts := make([]string, len(args))
	for i, arg := range args {
		text, ok := literal(arg)
		if !ok {
			return errors.New("scopes are constant texts: write token_scope(\"orders:read\")")
		}
		texts[i] = text
	}
	return config.CheckRule(config.Rule{Rule: config.RuleScope, Values: texts})
}

// checkClaimCall accepts a path that is written there, and values of any kind.
func checkClaimCall(args []ast.Expr) error {
	if len(args) < 2 {
		return errors.New("a value is missing: write token_claim(\"<path>\", \"<value>\")")
	}
	path, ok := literal(args[0])
	if !ok {
		return errors.New("the path is a constant text: write token_claim(\"<path>\", \"<value>\")")
	}
	for _, arg := range args[1:] {
		text, ok := literal(arg)
		if !ok {
			text = "filled when a request comes"
		}
		if err := config.CheckRule(config.Rule{Rule: config.RuleClaim, Path: path, Values: []string{text}}); err != nil {
			return err
		}
	}
	return nil
}

// literal is the text of a string constant.
func literal(arg ast.Expr) (string, bool) {
	if arg.Kind() != ast.LiteralKind {
		return "", false
	}
	text, ok := arg.AsLiteral().(types.String)
	return string(text), ok
}

// filled leaves out values that came out empty: they equal nothing, or the caller
// could choose to leave out what they are made of.
func filled(texts []string) []string {
	var values []string
	for _, text := range texts {
		if text != "" {
			values = append(values, text)
		}
	}
	return values
}

func (f function) factory(around surroundings) caddyhttp.CELMatcherWithErrorFactory {
	return func(data ref.Val) (caddyhttp.RequestMatcherWithError, error) {
		texts := textsOf(data)
		if len(texts) == 0 {
			return nil, fmt.Errorf("%s: %w", f.name, policy.ErrEmpty)
		}
		asked := call{surroundings: around, text: fmt.Sprintf("%s(%q, …)", f.name, texts[0])}
		rule := f.make(texts)
		if len(rule.Values) == 0 {
			return &asked, nil
		}
		made, err := policy.New([]policy.Rule{rule})
		asked.policy = made
		return &asked, err
	}
}

// textsOf reads the list of arguments. What has no text, such as a placeholder
// without a value, is the empty one.
func textsOf(data ref.Val) []string {
	list, ok := data.(traits.Lister)
	if !ok {
		return nil
	}
	var texts []string
	for values := list.Iterator(); values.HasNext() == types.True; {
		value := values.Next()
		text, ok := value.ConvertToType(types.StringType).(types.String)
		if !ok || value.Type() == types.NullType {
			text = ""
		}
		texts = append(texts, string(text))
	}
	return texts
}

// A call is one call of a function.
type call struct {
	surroundings

	text   string         // for messages: the function and its first argument, a constant
	policy *policy.Policy // nil if no token could fulfil it
}

// MatchWithError implements caddyhttp.RequestMatcherWithError.
func (c *call) MatchWithError(r *http.Request) (bool, error) {
	who := callerOf(r)
	if who == nil {
		reportFault(r, c.known, c.log, "token function without a token_auth before it", c.text+" in an expression")
		return false, publicError(faultText)
	}
	if who.token == nil || c.policy == nil {
		return false, nil
	}
	return c.policy.Denies(&policy.Question{Token: who.token}) == nil, nil
}
