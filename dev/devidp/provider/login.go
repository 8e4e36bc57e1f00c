package provider

import (
	"crypto/rand"
	_ "embed"
	"html/template"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// How long a person may take to sign in, and a client to redeem the code.
const (
	loginLifetime = 10 * time.Minute
	codeLifetime  = time.Minute
)

// maxLogins bounds the sign-ins under way.
const maxLogins = 10000

// login is one authorization request on its way from the browser to a code.
type login struct {
	clientID, redirectURI, state, nonce, challenge string
	scope, audience                                []string

	user     string
	signedIn time.Time
	expires  time.Time
}

// loginBook holds sign-ins under way, and those whose code was not redeemed yet.
type loginBook struct {
	mu      sync.Mutex
	pending map[string]login
	codes   map[string]login
}

func newLoginBook() *loginBook {
	return &loginBook{pending: make(map[string]login), codes: make(map[string]login)}
}

// open begins a sign-in and returns its unguessable id.
func (b *loginBook) open(l login) string {
	id := rand.Text()
	l.expires = time.Now().Add(loginLifetime)
	b.mu.Lock()
	defer b.mu.Unlock()
	sweep(b.pending)
	sweep(b.codes)
	b.pending[id] = l
	return id
}

// sweep drops what has expired, and anything when there is too much of it.
func sweep(book map[string]login) {
	now := time.Now()
	for id, l := range book {
		if now.After(l.expires) || len(book) >= maxLogins {
			delete(book, id)
		}
	}
}

func (b *loginBook) find(id string) (login, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	l, ok := b.pending[id]
	return l, ok && time.Now().Before(l.expires)
}

// finish ends the sign-in of user and returns the code for it. It works once.
func (b *loginBook) finish(id, user string) (code string, l login, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	l, ok = b.pending[id]
	if !ok || time.Now().After(l.expires) {
		return "", login{}, false
	}
	delete(b.pending, id)
	l.user, l.signedIn, l.expires = user, time.Now(), time.Now().Add(codeLifetime)
	code = rand.Text()
	b.codes[code] = l
	return code, l, true
}

// redeem takes a code out of the book, so that a second try finds nothing.
func (b *loginBook) redeem(code string) (login, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	l, ok := b.codes[code]
	delete(b.codes, code)
	return l, ok && time.Now().Before(l.expires)
}

//go:embed login.html
var loginHTML string

var loginPage = template.Must(template.New("login").Parse(loginHTML))

// loginView is what the page shows.
type loginView struct {
	ID, Client, User, Problem string
	Scope, Users              []string
}

// serveLogin is the login page: GET shows it, POST signs in.
func (p *Provider) serveLogin(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		http.Error(w, "unreadable form", http.StatusBadRequest)
		return
	}
	id := r.Form.Get("id")
	pending, ok := p.state.logins.find(id)
	switch {
	case !ok:
		http.Error(w, "this sign-in is over; go back to the application and start again", http.StatusBadRequest)
	case r.Method == http.MethodPost:
		p.signIn(w, r, id, pending)
	case r.Method == http.MethodGet || r.Method == http.MethodHead:
		p.showLogin(w, id, pending, "", "")
	default:
		refuseMethod(w, "GET, POST")
	}
}

func (p *Provider) signIn(w http.ResponseWriter, r *http.Request, id string, pending login) {
	name := r.PostForm.Get("username")
	user, known := p.users[name]
	if !sameText(r.PostForm.Get("password"), user.Password) || !known {
		p.showLogin(w, id, pending, name, "Wrong name or password.")
		return
	}
	code, done, ok := p.state.logins.finish(id, name)
	if !ok {
		http.Error(w, "this sign-in is over; go back to the application and start again", http.StatusBadRequest)
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Location", p.callback(done, code))
	// 303, never 307: the password must not travel on (RFC 9700, section 4.12).
	w.WriteHeader(http.StatusSeeOther)
}

// callback is the authorization response (RFC 6749, section 4.1.2), with the
// issuer that RFC 9207 adds against mix-up.
func (p *Provider) callback(done login, code string) string {
	values := url.Values{"code": {code}, "iss": {p.settings.Issuer}}
	if done.state != "" {
		values.Set("state", done.state)
	}
	separator := "?"
	if strings.Contains(done.redirectURI, "?") {
		separator = "&"
	}
	return done.redirectURI + separator + values.Encode()
}

func (p *Provider) showLogin(w http.ResponseWriter, id string, pending login, user, problem string) {
	view := loginView{ID: id, Client: pending.clientID, User: user, Problem: problem, Scope: pending.scope}
	for _, known := range p.settings.Users {
		view.Users = append(view.Users, known.Name)
	}
	header := w.Header()
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Cache-Control", "no-store")
	header.Set("Referrer-Policy", "no-referrer")
	// Browsers apply form-action to the redirect that follows as well, so the
	// application's own origin has to be in it.
	header.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; form-action 'self' "+origin(pending.redirectURI))
	if problem != "" {
		w.WriteHeader(http.StatusUnauthorized)
	}
	_ = loginPage.Execute(w, view) // the browser may be gone; nothing to be done
}

func origin(rawURL string) string {
	u, err := url.Parse(rawURL)
	if err != nil {
		return ""
	}
	return u.Scheme + "://" + u.Host
}
