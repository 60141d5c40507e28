/*
 * dice - the only source of chance in a simulation: splitmix64, so that a seed is a whole world.
 */
#ifndef RONDO_SIM_DICE_H
#define RONDO_SIM_DICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct dice {
	uint64_t state;
};

static inline uint64_t dice_mix(uint64_t mixed)
{
	mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9U;
	mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebU;
	return mixed ^ (mixed >> 31);
}

static inline uint64_t dice_roll(struct dice *dice)
{
	return dice_mix(dice->state += 0x9e3779b97f4a7c15U);
}

/* 0 to n - 1. */
static inline unsigned dice_below(struct dice *dice, unsigned n)
{
	return (unsigned)((dice_roll(dice) >> 32) * n >> 32);
}

/* From `least` to `most`, both included. */
static inline int64_t dice_between(struct dice *dice, int64_t least, int64_t most)
{
	return least + (int64_t)(dice_roll(dice) % (uint64_t)(most - least + 1));
}

/* True `n` times of 10000. Costs no roll where it cannot be. */
static inline bool dice_chance(struct dice *dice, unsigned n)
{
	return n > 0 && dice_below(dice, 10000) < n;
}

/* A duration or size between `least` and `most` whose magnitude is as likely to be small as large. */
static inline int64_t dice_skewed(struct dice *dice, int64_t least, int64_t most)
{
	int64_t high = most;
	unsigned halvings = dice_below(dice, 12);

	while (halvings-- > 0 && high / 2 > least)
		high /= 2;
	return dice_between(dice, least, high);
}

/* How many of `len` bytes go at once where it is to be so few: one by one only what is short, because a thousand pieces of the
 * same show all that more of them would. */
static inline size_t dice_piece(size_t few, size_t len)
{
	return few > len / 1000 ? few : len / 1000;
}

#endif
