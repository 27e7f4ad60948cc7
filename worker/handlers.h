/*
 * handlers - the phases of every endpoint, as request.c puts them together
 *
 * Each handler_*.c holds those of one endpoint. A phase that asks the broker or the database
 * returns WAIT, and the phase after it in the table finds the outcome in the request.
 */
#ifndef BFF_HANDLERS_H
#define BFF_HANDLERS_H

#include "worker/request.h"

/* handler_verify.c */
enum step verify_forwarded(struct request *r);
enum step verify_route(struct request *r);
enum step verify_session(struct request *r);
enum step verify_policy(struct request *r);
enum step verify_token(struct request *r);
enum step verify_fresh(struct request *r);
enum step verify_reply(struct request *r);

/* handler_login.c */
enum step login_loop(struct request *r);
enum step login_begin(struct request *r);
enum step login_begun(struct request *r);

/* The broker's "no" to beginning or finishing a login, as a page, and its word for the log. */
enum step login_failed(struct request *r);
const char *login_failure_word(const struct request *r);

/* handler_callback.c */
enum step callback_ask(struct request *r);
enum step callback_answered(struct request *r);
enum step callback_stale(struct request *r);

/* handler_logout.c */
enum step logout_check(struct request *r);
enum step logout_answered(struct request *r);
enum step logout_ended(struct request *r);

/* handler_backchannel.c */
enum step backchannel_ask(struct request *r);
enum step backchannel_answered(struct request *r);

/* handler_session.c */
enum step session_reply(struct request *r);
/* 401: nobody is logged in here. */
enum step session_none(struct request *r);

/* handler_events.c */
enum step events_origin(struct request *r);
enum step events_reply(struct request *r);

/* handler_health.c */
enum step health_reply(struct request *r);
enum step livez_reply(struct request *r);
enum step readyz_reply(struct request *r);

/* handler_metrics.c */
enum step metrics_ask(struct request *r);
enum step metrics_reply(struct request *r);

#endif
