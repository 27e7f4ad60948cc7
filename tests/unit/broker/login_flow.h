/* login_flow - a login on the stand, up to a point: its row, its code, its ID token. */
#ifndef BFF_TEST_LOGIN_FLOW_H
#define BFF_TEST_LOGIN_FLOW_H

#include "tests/unit/broker/login_stand.h"

#define FLOW_BINDING "0123456789abcdef0123456789abcdef"
#define FLOW_OLD "fedcba9876543210fedcba9876543210"
#define FLOW_BEGUN_S 1700000000

/* What is different from a plain login of app a. */
struct flow {
	const char *app; /* "a" unless set; "f" answers by POST and has UserInfo */
	bool silent, replaces;
	const char *acr_values;
	bool has_max_age;
	uint32_t max_age_s;
};

static inline bool flow_parks(const struct flow *f)
{
	return f->app != NULL && strcmp(f->app, "f") == 0;
}

static inline struct ipc_login_finish flow_message(const struct flow *f)
{
	bool parks = flow_parks(f);

	return (struct ipc_login_finish){
	    .app = sv_str(parks ? "f" : "a"),
	    .origin = sv_str(parks ? "https://f.example.com" : "https://a.example.com"),
	    .binding = SV(FLOW_BINDING),
	    .state = SV("S"),
	    .code = parks ? SV_NONE : SV("code"),
	    .old_session = f->replaces ? SV(FLOW_OLD) : SV_NONE,
	    .client = SV("192.0.2.0/24"),
	    .user_agent = SV("Agent/1 \xc3\xa9"),
	    .correlation = SV("c-1")};
}

static inline void flow_send(const struct ipc_login_finish *m)
{
	struct request *r = stand_request();

	login_finish(&r, m);
	assert_null(r);
}

/* The sealed transaction of the state "S". */
static inline void flow_seal(const struct flow *f, const char *issuer, struct buf *out)
{
	struct login_transaction t = {.issuer = sv_str(issuer),
				      .silent = f->silent,
				      .acr_values = sv_str(f->acr_values),
				      .has_max_age = f->has_max_age,
				      .max_age_s = f->max_age_s};
	unsigned char hash[CRYPT_SHA256_LEN];

	memset(t.nonce, 'n', sizeof t.nonce);
	memset(t.verifier, 'v', sizeof t.verifier);
	buf_init(out, IPC_FRAME_MAX);
	assert_int_equal(crypt_sha256(SV("S"), hash), ERR_OK);
	assert_int_equal(login_transaction_seal(stand.broker.ring,
						sv_of((const char *)hash, sizeof hash), &t, out),
			 ERR_OK);
}

static inline void flow_park(const struct login_response *r, struct buf *out)
{
	unsigned char hash[CRYPT_SHA256_LEN];

	buf_init(out, IPC_FRAME_MAX);
	assert_int_equal(crypt_sha256(SV("S"), hash), ERR_OK);
	assert_int_equal(
	    login_response_seal(stand.broker.ring, sv_of((const char *)hash, sizeof hash), r, out),
	    ERR_OK);
}

/* The row that was taken; response: what was put away in it. */
static inline void flow_taken(const struct flow *f, const char *issuer,
			      const struct login_response *response)
{
	bool parks = flow_parks(f);
	struct buf sealed, parked;

	flow_seal(f, issuer, &sealed);
	flow_park(response, &parked);
	STAND_ROWS(SV("taken"), sv_str(parks ? "p" : "q"),
		   sv_str(parks ? "https://f.example.com/auth/callback"
				: "https://a.example.com/auth/callback"),
		   SV("https://a.example.com/x"), buf_sv(&sealed), SV("1700000000000"),
		   parks ? buf_sv(&parked) : SV_NONE);
	buf_done(&sealed);
	buf_done(&parked);
}

/* Up to the code being asked for. */
static inline void flow_to_code(const struct flow *f)
{
	const struct login_response response = {.code = SV("code")};
	struct ipc_login_finish m = flow_message(f);

	flow_send(&m);
	flow_taken(f, flow_parks(f) ? "https://p.example" : STAND_ISSUER, &response);
	assert_waiting();
	assert_int_equal(stand.provider.codes, 1);
}

#endif
