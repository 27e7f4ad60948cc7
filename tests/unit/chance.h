/*
 * chance - what a test leaves to chance, from a seed, so that a failure can be had again
 *
 *	uint64_t chance = chance_of(seed);
 *	...
 *	switch (chance_below(&chance, 4)) {
 */
#ifndef BFF_TESTS_CHANCE_H
#define BFF_TESTS_CHANCE_H

#include <stdint.h>

/* Seeds beside each other begin apart; none begins at 0, from which nothing else would come. */
static inline uint64_t chance_of(uint64_t seed)
{
	return (seed * UINT64_C(0x9e3779b97f4a7c15)) | 1;
}

/* 0 to n - 1 (xorshift64 of Marsaglia, whose low bits are the weak ones). */
static inline uint32_t chance_below(uint64_t *chance, uint32_t n)
{
	*chance ^= *chance << 13;
	*chance ^= *chance >> 7;
	*chance ^= *chance << 17;
	return (uint32_t)(*chance >> 33) % n;
}

#endif
