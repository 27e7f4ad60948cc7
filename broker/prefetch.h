/*
 * prefetch - the tokens of `prefetch = yes`, had right after a login
 *
 * In the background: nobody waits, and the first request joins what is under way.
 */
#ifndef BFF_PREFETCH_H
#define BFF_PREFETCH_H

#include "broker/broker.h"

/* Of the services of app's routes, for the session of this hash. */
void prefetch(struct broker *b, struct edition *ed, const struct config_app *app,
	      struct sv grant_id, const unsigned char hash[CRYPT_SHA256_LEN]);

#endif
