/*
 * preset - what the products do that the specifications leave open
 *
 * preset.def as data; pure. Linked into all programs, because a service whose grant a product does
 * not have is an error of the configuration.
 */
#ifndef BFF_PRESET_H
#define BFF_PRESET_H

#include "common/config.h"

enum preset_rotation {
	ROTATION_NONE = 1,   /* a refresh brings no new refresh token */
	ROTATION_REPLACE,    /* it may, and the old one stays valid */
	ROTATION_SINGLE_USE, /* the old one is spent: a serial resource */
};

/* What a login does besides naming the scope offline_access. */
enum preset_offline {
	OFFLINE_SCOPE = 0,
	OFFLINE_CONSENT,     /* prompt=consent (Core 11) */
	OFFLINE_ACCESS_TYPE, /* access_type=offline and prompt=consent in its place */
};

enum preset_scope {
	SCOPE_NARROW = 0, /* of a refresh: the service's, where it names one */
	SCOPE_ALWAYS,	  /* else the login's; always with offline_access, if the login had it */
};

/* What the errors of a token endpoint mean beyond RFC 6749 5.2; bits. */
enum preset_dialect {
	DIALECT_PLAIN = 0,
	DIALECT_DEX = 1,      /* invalid_request, of a refresh token that is over */
	DIALECT_ENTRA = 2,    /* suberror, and AADSTS numbers in the text */
	DIALECT_EXCHANGE = 4, /* no product's, but of every token exchange (RFC 8693 2.2.2) */
};

struct preset {
	unsigned grants; /* 1 << enum config_grant */
	enum preset_rotation rotation;
	bool has_grace; /* an old refresh token may still work for a time (provider.grace) */
	enum preset_offline offline;
	enum preset_scope scope;
	enum preset_dialect errors;
	bool ignores_unknown_audience; /* so the token must say whose it is */
	bool dead_if_scope_unknown;    /* to a refresh: a scope that the login had not */
	bool shares_id_tokens;	       /* their aud names others too; azp says whose they are */
	bool moves_auth_time;	   /* at a refresh: of the last authentication at the provider */
	const char *exchange_type; /* urn:ietf:params:oauth:token-type:... */
};

/* Never NULL. */
const struct preset *preset_of(enum config_preset id);

/* Its word in bff.conf. */
const char *preset_word(enum config_preset id);

bool preset_has_grant(const struct preset *p, enum config_grant grant);

#endif
