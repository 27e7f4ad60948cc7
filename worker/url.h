/*
 * url - the canon: which request targets are taken at all
 *
 * A target that edge, bff and service could read in different ways is refused, never
 * repaired; so every accepted target is its own canonical spelling and serialises to itself.
 *
 * Refused anywhere, and the word for it:
 *
 *	uri_form	    not starting with '/': absolute-form, authority-form, '*'
 *	uri_length	    longer than URL_TARGET_MAX
 *	uri_control	    a control character; in the path its escape, too, up to U+009F
 *	uri_byte	    space, bytes over 0x7e; in the path what browsers escape: "<>`{}
 *	uri_backslash	    '\', in the path %5C, too
 *	uri_fragment	    '#', in the path %23, too
 *	uri_escape	    '%' without two hex digits (RFC 3986 6.2.2.1: of either case)
 *
 * In the path alone:
 *
 *	uri_dots	    a segment of dots alone: '.' '..'
 *	uri_double_slash    an empty segment but the last
 *	uri_semicolon	    ';' %3B
 *	uri_escaped_query   %3F
 *	uri_double_escape   %25: decoded once more it would be another path
 *	uri_escaped_plain   an unreserved character escaped: %61 is a second 'a', %2E a dot
 *	uri_utf8	    escapes that are no UTF-8: overlong, surrogates, cut short
 *
 * An escaped slash (%2F) sets encoded_slash: the route decides, by default it refuses. Empty and
 * dot segments are refused beside it too, since the service will resolve it. The query, from the
 * first '?', never takes part in a decision: of its escapes the form alone is checked. Pure.
 */
#ifndef BFF_URL_H
#define BFF_URL_H

#include "common/buf.h"

#define URL_TARGET_MAX 8192 /* bytes */

struct url {
	struct sv target; /* as given */
	struct sv path;	  /* before the first '?' */
	struct sv query;  /* after it; p == NULL when there is no '?' */
	bool encoded_slash;
};

/* ERR_SYNTAX and one of these words, which is valid for ever; views in
 * *ret borrow target. */
WARN_UNUSED enum err url_parse(struct sv target, struct url *ret, const char **ret_reason);

/*
 * Writes what the path means to `out` (room for path.n bytes): escapes resolved, except an
 * escaped slash, which stays as "%2F". Routes are compared in this form, so that "/a%40b" is
 * what "/a@b" is. path: of an accepted URL.
 */
struct sv url_decode_path(struct sv path, char *out);

/* Appends s escaped for a query value: all but unreserved characters (RFC 3986 2.3). */
void url_escape(struct buf *out, struct sv s);

#endif
