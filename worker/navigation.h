/*
 * navigation - is a person waiting for a page, or a script for an answer?
 *
 * Decides between a redirect to the login and a 401, and knows a CORS preflight. Pure.
 */
#ifndef BFF_NAVIGATION_H
#define BFF_NAVIGATION_H

#include "common/config.h"
#include "worker/http_field.h"

/* A GET or HEAD, no WebSocket, without X-Requested-With, and with Sec-Fetch-Mode navigate and a
 * Sec-Fetch-Dest of document or iframe, or, where no Sec-Fetch-* came, with an Accept that
 * names text/html. */
bool navigation_is(struct sv method, bool websocket, struct http_fields f);

/* What a request without a session gets: true a redirect, false a 401. NO_LOGIN_REDIRECT redirects
 * every GET and HEAD that is no WebSocket. */
bool navigation_redirects(enum config_no_login rule, struct sv method, bool websocket,
			  struct http_fields f);

/* A CORS preflight (OPTIONS with one Origin and one Access-Control-Request-Method, Fetch 4.8):
 * writes the method that it asks for. Look the route up with that one; pass (200, no identity
 * at all) if the route says preflight = pass; else it is an OPTIONS like any other. */
bool navigation_is_preflight(struct sv method, struct http_fields f, struct sv *ret_method);

#endif
