// Package ext stands in for the module that is missing from Traefik's archive.
package ext

// HTTP extends the HTTP section by nothing.
type HTTP struct{}

// Router extends a router by nothing.
type Router struct{}
