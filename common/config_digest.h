/*
 * config_digest - what a worker and the broker must agree on
 *
 * SHA-256 of config_dump(CONFIG_PRINT_BROKERED), for the hello. Apart from config, because it needs
 * OpenSSL, which bffd does not link. Pure but for memory: ERR_NOMEM, ERR_IO, ERR_CRYPTO.
 */
#ifndef BFF_CONFIG_DIGEST_H
#define BFF_CONFIG_DIGEST_H

#include "common/config.h"
#include "common/crypt.h"

WARN_UNUSED enum err config_digest(const struct config *c, unsigned char out[CRYPT_SHA256_LEN]);

#endif
