/*
 * jwt_refusal - why a token was refused: a closed list of words, for the log alone
 */
#ifndef BFF_JWT_REFUSAL_H
#define BFF_JWT_REFUSAL_H

/* Name, word. */
#define JWT_REFUSALS(X)                                                                            \
	X(NONE, "")                                                                                \
	X(SIZE, "size")		  /* a cap exceeded */                                             \
	X(PARTS, "parts")	  /* not three parts of base64url */                               \
	X(ENCRYPTED, "encrypted") /* five parts: a JWE, which was not negotiated */                \
	X(HEADER, "header")	  /* not a JSON object, or a member of a wrong type */             \
	X(CRIT, "crit")                                                                            \
	X(ALG, "alg") /* not the pinned one */                                                     \
	X(TYP, "typ")                                                                              \
	X(KEY, "key") /* no key in the set fits */                                                 \
	X(SIGNATURE, "signature")                                                                  \
	X(PAYLOAD, "payload") /* not a strict JSON object */                                       \
	X(ISS, "iss")                                                                              \
	X(SUB, "sub")                                                                              \
	X(SUB_CHANGED, "sub_changed")                                                              \
	X(SUBJECT_CLAIM, "subject_claim")                                                          \
	X(AUD, "aud")                                                                              \
	X(AUD_EXTRA, "aud_extra") /* an audience we do not know beside us */                       \
	X(AZP, "azp")                                                                              \
	X(EXP, "exp") /* missing or malformed */                                                   \
	X(EXPIRED, "expired")                                                                      \
	X(IAT, "iat")                                                                              \
	X(NBF, "nbf")                                                                              \
	X(NONCE, "nonce")                                                                          \
	X(AT_HASH, "at_hash")                                                                      \
	X(AUTH_TIME, "auth_time")                                                                  \
	X(AUTH_TIME_CHANGED, "auth_time_changed")                                                  \
	X(ACR, "acr")                                                                              \
	X(SID, "sid")                                                                              \
	X(JTI, "jti")                                                                              \
	X(NOBODY, "nobody")	      /* a logout token with neither sub nor sid */                \
	X(EVENTS, "events")	      /* not there in a logout token, or there in another */       \
	X(CLAIMS_SIZE, "claims_size") /* keep_claims keeps more than a session may hold */         \
	X(NO_KEYS, "no_keys")	      /* the key set is not to be had */                           \
	X(MEMORY, "memory")

enum jwt_refusal {
#define JWT_REFUSAL_NAME(name, text) JWT_##name,
	JWT_REFUSALS(JWT_REFUSAL_NAME)
#undef JWT_REFUSAL_NAME
};

static inline const char *jwt_refusal_word(enum jwt_refusal r)
{
	switch (r) {
#define JWT_REFUSAL_CASE(name, text)                                                               \
	case JWT_##name:                                                                           \
		return text;
		JWT_REFUSALS(JWT_REFUSAL_CASE)
#undef JWT_REFUSAL_CASE
	}
	return "unknown";
}

#endif
