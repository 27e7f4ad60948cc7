#include "broker/push_reply.h"

#include "broker/json_strict.h"

/* RFC 9126 2.3, RFC 6749 5.2 and 4.1.2.1, RFC 8707 2, RFC 9101 7. */
static const char *const errors[] = {"invalid_request",	       "invalid_client",
				     "unauthorized_client",    "invalid_scope",
				     "invalid_target",	       "invalid_redirect_uri",
				     "invalid_request_object", "invalid_grant",
				     "access_denied",	       "unsupported_response_type",
				     "login_required",	       "interaction_required",
				     "use_dpop_nonce",	       "temporarily_unavailable"};

/* The word of the body, which is the log's only if it is one of ours. */
static const char *word_of(struct sv body)
{
	struct json_object *o = NULL;
	const char *word = "refused";
	struct sv error;

	if (json_strict_parse(body, PUSH_REPLY_MAX, &o) != ERR_OK)
		return word;
	if (json_get_string(o, "error", JSON_KEY_MAX, &error) == ERR_OK)
		for (size_t i = 0; i < ARRAY_LEN(errors); i++)
			if (sv_eq(error, sv_str(errors[i])))
				word = errors[i];
	(void)json_object_put(o);
	return word;
}

static enum err refused(const struct http_response *r, const char **ret_detail)
{
	*ret_detail = "server_error";
	if (r->status == 429)
		*ret_detail = "throttled";
	else if (r->status == 413)
		*ret_detail = "request_too_large";
	else if (r->status >= 400 && r->status < 500)
		*ret_detail = word_of(r->body);
	else if (r->status < 400)
		*ret_detail = "status";
	if (r->status < 400 || r->status >= 500 || r->status == 429 ||
	    strcmp(*ret_detail, "temporarily_unavailable") == 0)
		return ERR_UNAVAILABLE;
	return ERR_DENIED;
}

/* It goes into a URL and into a header field. */
static bool uri_ok(struct sv uri)
{
	for (size_t i = 0; i < uri.n; i++)
		if (uri.p[i] <= ' ' || uri.p[i] > '~')
			return false;
	return uri.n > 0;
}

static enum err read_uri(struct sv body, struct buf *out)
{
	struct json_object *o = NULL;
	int64_t expires_in_s = 0;
	struct sv uri;
	enum err e = json_strict_parse(body, PUSH_REPLY_MAX, &o);

	if (e == ERR_OK)
		e = json_get_string(o, "request_uri", PUSH_URI_MAX, &uri);
	if (e == ERR_OK && !uri_ok(uri))
		e = ERR_SYNTAX;
	/* It is used at once, so that how long it lives matters only in that it does. */
	if (e == ERR_OK)
		e = json_get_int(o, "expires_in", &expires_in_s);
	if (e == ERR_OK && expires_in_s == 0)
		e = ERR_RANGE;
	if (e == ERR_OK)
		buf_add(out, uri);
	(void)json_object_put(o);
	return e == ERR_OK && buf_ok(out) ? ERR_OK : ERR_UNAVAILABLE;
}

enum err push_reply_read(const struct http_response *r, struct push_answer *ret)
{
	enum err e;

	*ret = (struct push_answer){.detail = r->detail};
	buf_init(&ret->request_uri, PUSH_URI_MAX);
	if (r->outcome != HTTP_ANSWERED)
		return ERR_UNAVAILABLE;
	if (r->status != 201)
		return refused(r, &ret->detail);
	e = read_uri(r->body, &ret->request_uri);
	ret->detail = e == ERR_OK ? "" : "bad_answer";
	return e;
}

void push_answer_done(struct push_answer *a)
{
	buf_done(&a->request_uri);
}
