/*
 * config - bff.conf: parse, check, print
 *
 * One table (config.def) drives parsing, defaults, config_dump() and the manual. A struct config
 * is immutable and lives until config_free(); every pointer in it points into it. All
 * strings are struct sv and also NUL-terminated (p[n] == 0); an unset string has n == 0.
 * Errors are one sentence "FILE:LINE: OPTION: what was expected". Linked into all three
 * programs, so it needs libconfuse alone: no OpenSSL, json-c or libpq.
 */
#ifndef BFF_CONFIG_H
#define BFF_CONFIG_H

#include <stdio.h>

#include "common/secret.h"
#include "common/sv.h"

#define CONFIG_MAX_BYTES (1024 * 1024)	   /* one file, and the whole after includes */
#define CONFIG_MAX_DUMP (64 * 1024 * 1024) /* config_dump(), which spells out every default */
#define CONFIG_MAX_ROUTES 10000
#define CONFIG_MAX_LISTENS 16 /* CONTRACT_LISTEN_MAX */
#define CONFIG_MAX_PROVIDERS 64
#define CONFIG_MAX_APPS 256
#define CONFIG_MAX_IDENTITIES 256
#define CONFIG_MAX_SERVICES 1000
#define CONFIG_MAX_PEER_USERS 16
#define CONFIG_MAX_ACR 256   /* bytes of a route's acr together, with a blank between each */
#define CONFIG_MAX_CLAIM 128 /* bytes of a claim's name */
#define CONFIG_MAX_PATH 1024 /* bytes of a route's path */
#define CONFIG_NAME_MAX 64   /* title of a section: [A-Za-z0-9._-] */

struct config_list {
	const struct sv *v;
	size_t n;
};

/* scheme://host[:port], parsed and lower-cased; text is its serialisation (RFC 6454 6.2):
 * the default port left out. */
struct config_origin {
	struct sv text;
	struct sv scheme; /* "https" or, with insecure_loopback, "http" */
	struct sv host;	  /* lower-case, no brackets added or removed */
	uint16_t port;	  /* always set */
};

struct config_origins {
	const struct config_origin *v;
	size_t n;
};

static inline bool config_list_has(const struct config_list *l, struct sv value)
{
	for (size_t i = 0; i < l->n; i++)
		if (sv_eq(l->v[i], value))
			return true;
	return false;
}

/* text: its serialisation. */
static inline bool config_origins_have(const struct config_origins *o, struct sv text)
{
	for (size_t i = 0; i < o->n; i++)
		if (sv_eq(o->v[i].text, text))
			return true;
	return false;
}

struct config_cidr {
	unsigned char addr[16]; /* IPv4 as ::ffff:a.b.c.d */
	unsigned bits;		/* 0..128 of addr; an IPv4 /n is 96 + n */
};

/* Where a section came from, for later messages. */
struct config_place {
	const char *file;
	unsigned line;
};

enum config_listen_kind { LISTEN_PUBLIC = 1, LISTEN_VERIFY, LISTEN_METRICS };
enum config_edge { EDGE_NONE = 0, EDGE_TRAEFIK, EDGE_CADDY, EDGE_NGINX, EDGE_HAPROXY, EDGE_ENVOY };
enum config_preset {
	PRESET_UNSET = 0,
#define PRESET(id, ...) PRESET_##id,
#include "common/preset.def"
#undef PRESET
};
enum config_client_auth {
	CLIENT_SECRET_BASIC = 1,
	CLIENT_SECRET_POST,
	CLIENT_PRIVATE_KEY_JWT,
	CLIENT_TLS
};
enum config_assertion_audience { AUDIENCE_ISSUER = 1, AUDIENCE_TOKEN_ENDPOINT };
enum config_alg { ALG_RS256 = 1, ALG_PS256, ALG_ES256, ALG_EDDSA };
enum config_response_mode { RESPONSE_QUERY = 1, RESPONSE_FORM_POST };
enum config_claims_from { CLAIMS_ID_TOKEN = 1, CLAIMS_USERINFO = 2 }; /* bit mask */
enum config_bind_session { BIND_USER_AGENT = 1, BIND_ADDRESS = 2 };   /* bit mask */
enum config_same_site { SAME_SITE_LAX = 1, SAME_SITE_STRICT };
enum config_revocations { REVOCATIONS_LISTEN = 1, REVOCATIONS_POLL };
enum config_logout_method { LOGOUT_GET = 1, LOGOUT_POST };
enum config_grant {
	GRANT_SESSION = 1,
	GRANT_ID_TOKEN,
	GRANT_RESOURCE,
	GRANT_AUDIENCE,
	GRANT_SCOPE,
	GRANT_EXCHANGE,
	GRANT_OBO,
	GRANT_CLIENT_CREDENTIALS
};
enum config_session { SESSION_REQUIRED = 1, SESSION_OPTIONAL, SESSION_NONE };
enum config_no_login { NO_LOGIN_AUTO = 1, NO_LOGIN_REDIRECT, NO_LOGIN_401 };
enum config_authorization { AUTHORIZATION_SERVICE = 1, AUTHORIZATION_PASS };
enum config_require_op {
	REQUIRE_EQUALS = 1,
	REQUIRE_CONTAINS,
	REQUIRE_ANY,
	REQUIRE_ALL,
	REQUIRE_DOMAIN
};

struct config_listen {
	struct sv name;
	enum config_listen_kind kind;
	struct sv address; /* "127.0.0.1:7080", "[::1]:7080" or "unix:/run/x.sock" */
	enum config_edge edge;
	const struct config_cidr *trusted_peers;
	size_t ntrusted_peers;
	struct config_list peer_users; /* with a Unix socket alone */
	struct sv socket_group;
	struct sv tls_certificate; /* n == 0: no TLS */
	struct sv tls_key;	   /* unresolved: see config_secret_path() */
	struct sv tls_client_ca;   /* n == 0: no client certificate */
	struct config_list tls_client_names;
	struct config_place place;
};

struct config_provider {
	struct sv name;
	enum config_preset preset;
	struct sv issuer; /* exactly as written */
	struct sv client_id;
	enum config_client_auth client_auth;
	struct sv client_secret_file; /* unresolved: see config_secret_path() */
	struct sv client_key_file;
	struct sv client_certificate_file; /* n == 0: none, or client_key_file with CLIENT_TLS */
	enum config_assertion_audience assertion_audience;
	struct sv ca_file; /* n == 0: the system's */
	enum config_alg signing_alg;
	struct config_list scopes;
	struct sv subject_claim; /* default "sub" */
	unsigned claims_from;
	struct config_list keep_claims;
	enum config_response_mode response_mode;
	int64_t grace_ms;
	bool insecure_loopback; /* http issuer and endpoints on loopback addresses */
	struct config_place place;
};

struct config_app {
	struct sv name;
	const struct config_provider *provider;
	struct config_origins origins;
	struct config_origin login_origin; /* text.n == 0: each origin logs in by itself */
	struct sv auth_path;		   /* "/auth": starts with /, does not end with it */
	struct sv cookie_name;
	struct sv cookie_domain; /* without leading dot; n == 0: host-only */
	enum config_same_site same_site;
	int64_t idle_timeout_ms, absolute_timeout_ms;
	int64_t revalidate_ms; /* 0 = off */
	struct config_list page_claims;
	struct config_origins return_to;
	struct config_list after_logout; /* absolute URLs; the first is the default target */
	struct config_origins cors_origins;
	unsigned max_sessions;
	unsigned bind_session; /* 0: a session is good wherever its cookie is */
	bool id_token_hint;    /* send it to end_session_endpoint */
	enum config_logout_method logout_method;
	struct sv pages;	/* directory; n == 0: the built-in ones */
	bool insecure_loopback; /* http origins on loopback names; cookies then without Secure */
	struct config_place place;
};

struct config_header {
	struct sv name;
	struct sv claim;     /* "subject" = the provider's subject_claim */
	struct sv separator; /* default "," */
	struct config_list only;
	size_t max_bytes; /* default 1024 */
};

struct config_identity {
	struct sv name;
	const struct config_header *headers;
	size_t nheaders;
	struct config_place place;
};

struct config_service {
	struct sv name;
	const struct config_provider *provider;
	enum config_grant grant;
	struct sv resource; /* RFC 8707: absolute URI without fragment */
	struct sv audience;
	struct config_list scope;
	bool prefetch;
	struct config_place place;
};

struct config_require {
	struct sv name;
	struct sv claim;
	enum config_require_op op;
	struct config_list values;
};

struct config_route {
	struct sv name;
	const struct config_app *app;
	struct config_list
	    hosts;	/* lower-case; never empty after parsing (default: all of the app's) */
	struct sv path; /* starts with / */
	bool exact;
	struct config_list methods; /* empty: every method that has no route of its own */
	enum config_session session;
	enum config_authorization authorization;
	const struct config_service *service;	/* NULL: none */
	const struct config_identity *identity; /* NULL: only the default set exists or none */
	bool csrf;
	struct config_list acr;
	int64_t max_age_ms; /* 0 = off */
	const struct config_require *requires;
	size_t nrequires;
	bool encoded_slash; /* allow */
	enum config_no_login on_no_login;
	bool upgrade_websocket;
	bool preflight; /* pass */
	struct config_place place;
};

struct config {
	struct sv path; /* of the main file */
	struct {
		struct sv conninfo, web_password_file, broker_password_file;
		unsigned connections, pipeline;
		enum config_revocations revocations;
		int64_t query_timeout_ms;
	} database;
	struct {
		unsigned workers;
		struct sv cookie_keys;
		bool session_cache;
		int64_t token_wait_ms;
		unsigned max_connections; /* per worker */
		size_t max_head;	  /* bytes of a request's head */
		unsigned max_headers;
		size_t max_answer; /* bytes of a 200 of verify */
		int64_t
		    head_timeout_ms; /* first byte of a connection, and first to last of a head */
		int64_t idle_timeout_ms; /* between two requests; above Traefik's 90 s */
	} web;
	struct {
		struct sv socket, peer_user, key_ring;
		enum secret_file_mode secret_files;
	} broker;
	const struct config_listen *listens;
	size_t nlistens;
	const struct config_provider *providers;
	size_t nproviders;
	const struct config_app *apps;
	size_t napps;
	const struct config_identity *identities;
	size_t nidentities;
	const struct config_service *services;
	size_t nservices;
	const struct config_route *routes;
	size_t nroutes;
};

/* Reads, expands ${VAR}, includes, parses and checks. ERR_CONFIG with the first error. */
WARN_UNUSED enum err config_load(const char *path, struct config **ret, struct errmsg *e);

/* The same from a descriptor that holds what config_dump() printed: no ${VAR}, no include. Does not
 * close fd. `path` names it in messages and becomes config.path. */
WARN_UNUSED enum err config_load_fd(int fd, const char *path, struct config **ret,
				    struct errmsg *e);

void config_free(struct config **c);

/* Prints the effective configuration; parsing that gives the same configuration and the same
 * dump (a fixpoint). CONFIG_PRINT_BROKERED: only provider, app, service and route sections, which
 * is what the hello digest covers. ERR_IO. */
enum config_print { CONFIG_PRINT_ALL = 1, CONFIG_PRINT_BROKERED };
WARN_UNUSED enum err config_dump(const struct config *c, enum config_print what, FILE *out);

/* "credential:NAME" -> $CREDENTIALS_DIRECTORY/NAME, else /run/secrets/NAME; a path as it is. Writes
 * a NUL-terminated path to out. ERR_LIMIT. */
WARN_UNUSED enum err config_secret_path(struct sv setting, char *out, size_t out_len);

/* By name; NULL when there is none. */
const struct config_app *config_app(const struct config *c, struct sv name);
const struct config_service *config_service(const struct config *c, struct sv name);
const struct config_provider *config_provider(const struct config *c, struct sv name);

#endif
