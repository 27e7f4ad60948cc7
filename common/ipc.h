/*
 * ipc - messages between worker and broker: structs, encoder, decoder, printer
 *
 * All generated from ipc.def and the field lists below. A frame is one SOCK_SEQPACKET
 * packet: u16 number, u16 zero, u32 id, then the fields in order; numbers little-endian,
 * str and secret as u32 length and bytes. Decoding is exact: known number, every field
 * within its maximum, every byte consumed; anything else is ERR_PROTOCOL and the caller drops
 * the peer. Decoded views borrow the packet. Pure; no allocation but the encoder's buf.
 */
#ifndef BFF_IPC_H
#define BFF_IPC_H

#include "common/buf.h"

#define IPC_FRAME_MAX 65536 /* bytes of one packet */
#define IPC_TOKEN_MAX 16384 /* bytes of an access token */
#define IPC_URL_MAX 8192
#define IPC_NAME_MAX 64
#define IPC_TRACE_MAX 55      /* TRACE_LEN */
#define IPC_METRICS_MAX 65000 /* bytes of a piece */
#define IPC_LOGOUT_TOKEN_MAX 8192
#define IPC_FORM_MAX 24576 /* bytes of the form for the provider's end-session endpoint */
#define IPC_SECRET_LEN 32  /* raw bytes of a session secret or a binding secret */

/* correlation: of the worker's answer; traceparent: of the request, or empty (trace.h).
 * digest: SHA-256 over the provider, app, service and route sections as config_dump() prints them.
 */
#define IPC_FIELDS_hello(F) F(u64, fingerprint, 0) F(str, build, IPC_NAME_MAX) F(str, digest, 32)
#define IPC_FIELDS_welcome(F) F(u64, fingerprint, 0) F(str, build, IPC_NAME_MAX)
/* code: enum ipc_error; retry_after_s: 0 = none; return_to: where a stale callback came from,
 * or empty; detail: a constant word for the log (never shown to the browser). */
#define IPC_FIELDS_failure(F)                                                                      \
	F(u32, code, 0)                                                                            \
	F(u32, retry_after_s, 0) F(str, return_to, IPC_URL_MAX) F(str, detail, IPC_NAME_MAX)
/* origin: the configured one the login runs on; return_to: absolute, already judged by the
 * worker; binding: 32 bytes of the browser's binding cookie or empty (the broker makes one);
 * client: the address prefix that beginnings are limited by; acr_values: space-separated, what the
 * login must satisfy one of; has_max_age: 1 = max_age_s is asked for, which may be 0; session: 32
 * bytes of the session cookie that came along, or empty. */
#define IPC_FIELDS_login_begin(F)                                                                  \
	F(str, app, IPC_NAME_MAX)                                                                  \
	F(str, origin, 300)                                                                        \
	F(str, return_to, IPC_URL_MAX)                                                             \
	F(secret, binding, IPC_SECRET_LEN)                                                         \
	F(str, client, 64)                                                                         \
	F(str, correlation, IPC_NAME_MAX)                                                          \
	F(str, prompt, 16)                                                                         \
	F(str, login_hint, 256)                                                                    \
	F(str, acr_values, 256)                                                                    \
	F(u32, has_max_age, 0)                                                                     \
	F(u32, max_age_s, 0) F(secret, session, IPC_SECRET_LEN) F(str, traceparent, IPC_TRACE_MAX)
#define IPC_FIELDS_login_begun(F) F(str, location, IPC_URL_MAX) F(secret, binding, IPC_SECRET_LEN)
/* Of the authorization response (RFC 6749 4.1.2, RFC 9207): each at most once, else empty; without
 * code and error it is the one that login_park() put away. old_session: 32 bytes of the session
 * cookie that came along, or empty: it is ended. */
#define IPC_FIELDS_login_finish(F)                                                                 \
	F(str, app, IPC_NAME_MAX)                                                                  \
	F(str, origin, 300)                                                                        \
	F(secret, binding, IPC_SECRET_LEN)                                                         \
	F(secret, state, 256)                                                                      \
	F(secret, code, 4096)                                                                      \
	F(str, iss, 2048)                                                                          \
	F(str, error, 256)                                                                         \
	F(secret, old_session, IPC_SECRET_LEN)                                                     \
	F(str, correlation, IPC_NAME_MAX)                                                          \
	F(str, client, 64) F(str, user_agent, 512) F(str, traceparent, IPC_TRACE_MAX)
/* A response that came by POST, and so without cookies (OAuth 2.0 Form Post Response Mode). */
#define IPC_FIELDS_login_park(F)                                                                   \
	F(str, app, IPC_NAME_MAX)                                                                  \
	F(secret, state, 256)                                                                      \
	F(secret, code, 4096)                                                                      \
	F(str, iss, 2048)                                                                          \
	F(str, error, 256)                                                                         \
	F(str, client, 64) F(str, correlation, IPC_NAME_MAX) F(str, traceparent, IPC_TRACE_MAX)
/* known: 1 = this app has such a state, be it used up or with a response already. */
#define IPC_FIELDS_login_parked(F) F(u32, known, 0)
/* session: the new secret; day: days since 1970-01-01 UTC for the cookie (creation). */
#define IPC_FIELDS_login_finished(F)                                                               \
	F(secret, session, IPC_SECRET_LEN)                                                         \
	F(u32, day, 0) F(str, return_to, IPC_URL_MAX) F(str, session_ref, IPC_NAME_MAX)
#define IPC_FIELDS_token_get(F)                                                                    \
	F(secret, session, IPC_SECRET_LEN)                                                         \
	F(str, app, IPC_NAME_MAX)                                                                  \
	F(str, service, IPC_NAME_MAX)                                                              \
	F(str, correlation, IPC_NAME_MAX) F(str, traceparent, IPC_TRACE_MAX)
#define IPC_FIELDS_token(F) F(secret, access_token, IPC_TOKEN_MAX) F(u64, expires_in_ms, 0)
/* origin: the configured one it runs on; everywhere: 1 = all of the user's sessions. */
#define IPC_FIELDS_logout(F)                                                                       \
	F(secret, session, IPC_SECRET_LEN)                                                         \
	F(str, app, IPC_NAME_MAX)                                                                  \
	F(str, origin, 300)                                                                        \
	F(u32, everywhere, 0) F(str, correlation, IPC_NAME_MAX) F(str, traceparent, IPC_TRACE_MAX)
/* redirect_url: the provider's end_session with its parameters; empty: the browser stays here.
 * state: the 32 bytes that the browser must bring back from there. With logout_method = post, form
 * is the same as a form to post to action, and alone has the ID token where that is wanted; else
 * both are empty. */
#define IPC_FIELDS_logged_out(F)                                                                   \
	F(str, redirect_url, IPC_URL_MAX)                                                          \
	F(u32, sessions, 0)                                                                        \
	F(str, action, IPC_URL_MAX) F(secret, form, IPC_FORM_MAX) F(secret, state, IPC_SECRET_LEN)
/* app: whose host the token was posted to. */
#define IPC_FIELDS_backchannel(F)                                                                  \
	F(str, app, IPC_NAME_MAX)                                                                  \
	F(secret, logout_token, IPC_LOGOUT_TOKEN_MAX)                                              \
	F(str, correlation, IPC_NAME_MAX) F(str, traceparent, IPC_TRACE_MAX)
/* accepted: 1 = it had its effect (now or before) and that is committed; 0 = refused, and why is a
 * constant word for the log. */
#define IPC_FIELDS_backchannel_done(F)                                                             \
	F(u32, accepted, 0) F(u32, sessions, 0) F(str, why, IPC_NAME_MAX)

/* What the broker counts, as text for /metrics, in pieces: cursor is 0 at first, then the `next` of
 * the piece before, until that is 0. */
#define IPC_FIELDS_metrics_get(F) F(u32, cursor, 0)
#define IPC_FIELDS_metrics(F) F(u32, next, 0) F(str, text, IPC_METRICS_MAX)

/* Why a request failed, and what the worker answers for it. */
#define IPC_ERRORS(E)                                                                              \
	E(INTERNAL, "internal")		  /* 503; our own failure */                               \
	E(STORE, "store")		  /* 503; PostgreSQL out of reach */                       \
	E(CONFIG_SKEW, "config_skew")	  /* 503; hello digest unknown even after a re-read */     \
	E(LIMITED, "limited")		  /* 429; too many logins begun */                         \
	E(NO_SESSION, "no_session")	  /* 401; the broker's own judgement */                    \
	E(FORBIDDEN, "forbidden")	  /* 403; this app may not use this service */             \
	E(STALE, "stale")		  /* callback used up or timed out; return_to if known */  \
	E(BINDING, "binding")		  /* 400; callback of another browser, or no such state */ \
	E(PROVIDER, "provider")		  /* login failed at or because of the provider */         \
	E(PROVIDER_DOWN, "provider_down") /* 503; provider out of reach or throttling */           \
	E(REAUTHENTICATE, "reauthenticate") /* 401; the grant is dead */                           \
	E(UPSTREAM, "upstream")		    /* 502; no token to be had for this service */         \
	E(LOGIN_REQUIRED, "login_required") /* prompt=none failed; return_to is set */             \
	E(ACCESS_DENIED, "access_denied")   /* the user or the provider said no */

enum ipc_error {
	IPC_ERROR_NONE = 0,
#define IPC_ERROR_ENUM(name, word) IPC_ERROR_##name,
	IPC_ERRORS(IPC_ERROR_ENUM)
#undef IPC_ERROR_ENUM
};

/* The constant word; NULL for a number that is no code (a peer's fault). */
const char *ipc_error_word(uint32_t code);

#define IPC_CTYPE_u32 uint32_t
#define IPC_CTYPE_u64 uint64_t
#define IPC_CTYPE_str struct sv
#define IPC_CTYPE_secret struct sv

#define IPC_MEMBER(type, field, max) IPC_CTYPE_##type field;
#define IPC_MESSAGE(name, NAME, number, direction, phase)                                          \
	struct ipc_##name {                                                                        \
		IPC_FIELDS_##name(IPC_MEMBER)                                                      \
	};
#include "common/ipc.def"
#undef IPC_MESSAGE

enum ipc_number {
#define IPC_MESSAGE(name, NAME, number, direction, phase) IPC_##NAME = (number),
#include "common/ipc.def"
#undef IPC_MESSAGE
};

enum ipc_direction { IPC_TO_BROKER = 1, IPC_TO_WORKER };
enum ipc_phase { IPC_PHASE_HELLO = 1, IPC_PHASE_OPEN };

struct ipc_message {
	enum ipc_number number;
	uint32_t id;
	enum ipc_direction direction;
	enum ipc_phase phase;
	const char *name;
	union {
#define IPC_MESSAGE(name, NAME, number, direction, phase) struct ipc_##name name;
#include "common/ipc.def"
#undef IPC_MESSAGE
	} u;
};

/* ERR_PROTOCOL for anything but one whole well-formed message. */
WARN_UNUSED enum err ipc_decode(struct sv packet, struct ipc_message *ret);

/* ipc_encode_login_begin(&buf, id, &message) and so on: appends one packet. ERR_LIMIT when a
 * field is over its maximum (nothing is appended then), ERR_NOMEM. */
#define IPC_MESSAGE(name, NAME, number, direction, phase)                                          \
	WARN_UNUSED enum err ipc_encode_##name(struct buf *b, uint32_t id,                         \
					       const struct ipc_##name *m);
#include "common/ipc.def"
#undef IPC_MESSAGE

/* The same of what m->number says; only that and m->u are looked at. */
WARN_UNUSED enum err ipc_encode(struct buf *b, uint32_t id, const struct ipc_message *m);

/* Of an encoded packet of ours. */
unsigned ipc_packet_number(struct sv packet);

/* For debug logs: `login_begin id=7 app="company" … binding=<32 bytes>`; secrets by length. */
void ipc_print(struct buf *b, const struct ipc_message *m);

/* A hash of every name, number, type and maximum: the same on both sides or no conversation. */
uint64_t ipc_fingerprint(void);

#endif
