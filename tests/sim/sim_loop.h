/*
 * sim_loop - the turns of a simulated world: another body for event/loop.h.
 *
 * The clock is virtual: it moves a little with every event, as far as need be while nothing is ready, and sometimes by seconds,
 * as for a process that was stopped. Readiness is level-triggered, and peers may do something between two events of a turn. Turns
 * without any effect must not go on: that would be a loop that spins.
 */
#ifndef RONDO_SIM_LOOP_H
#define RONDO_SIM_LOOP_H

#include "event/loop.h"

struct dice;

struct sim_pace {
	size_t events;    /* of one turn, at most */
	unsigned slow;    /* of 10000 turns, how many take long */
	int64_t slow_us;  /* and how long then, at most */
	int64_t event_us; /* what one event takes, at most */
};

void sim_loop_set_pace(struct loop *loop, struct dice *dice, const struct sim_pace *pace);

/* The clock by which the timers of the turn before, and of this one, were run: whatever was due before the former
 * has had its turn. */
int64_t sim_loop_judged_us(const struct loop *loop);

#endif
