#include "broker/bucket.h"

void bucket_init(struct bucket *b, int64_t burst, int64_t every_ms, int64_t now_ms)
{
	*b = (struct bucket){
	    .burst = burst, .every_ms = every_ms, .level_ms = burst * every_ms, .at_ms = now_ms};
}

bool bucket_take(struct bucket *b, int64_t now_ms)
{
	int64_t full = b->burst * b->every_ms;

	if (now_ms > b->at_ms) {
		b->level_ms = now_ms - b->at_ms >= full ? full : b->level_ms + now_ms - b->at_ms;
		if (b->level_ms > full)
			b->level_ms = full;
		b->at_ms = now_ms;
	}
	if (b->level_ms < b->every_ms)
		return false;
	b->level_ms -= b->every_ms;
	return true;
}
