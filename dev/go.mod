module github.com/caddy-gatehouse/gatehouse/dev

go 1.26.0

require github.com/caddy-gatehouse/gatehouse v0.0.0

replace github.com/caddy-gatehouse/gatehouse => ../
