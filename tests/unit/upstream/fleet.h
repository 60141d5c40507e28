/*
 * fleet - a ring of backends for tests, without loop or sockets: "a", "b", "c" ...
 */
#ifndef RONDO_TESTS_UPSTREAM_FLEET_H
#define RONDO_TESTS_UPSTREAM_FLEET_H

#include "base/log.h"
#include "ring_list.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

enum { FLEET_LIMIT = 200 };

static const int64_t MS = 1000;
static const int64_t S = 1000000;

struct fleet {
	struct backend_env env;
	struct ring ring;
	struct backend *backends[FLEET_LIMIT];
	size_t count;
};

/* 0 to below - 1; the same numbers in each run of a test. */
static inline unsigned fleet_random(unsigned *random, unsigned below)
{
	*random = *random * 1103515245 + 12345;
	return (*random >> 8) % below;
}

/* One backend for each letter, with weights[i] or 1. */
static inline void fleet_init(struct fleet *fleet, size_t count, const unsigned *weights)
{
	log_set_level(LOG_LEVEL_ERROR);
	*fleet = (struct fleet){.count = count};
	ring_init(&fleet->ring);
	fleet->ring.options = (struct ring_options){
	    .retry_window_us = 10 * S,
	    .retry_window_max_us = 60 * S,
	};
	for (size_t i = 0; i < count; i++) {
		char url[64], name[16];

		snprintf(name, sizeof(name), "%c%s", (char)('a' + i % 26), i < 26 ? "" : "+");
		snprintf(url, sizeof(url), "http://127.0.0.1:%zu", 8001 + i);
		const struct backend_options options = {
		    .url = url,
		    .name = name,
		    .host = "127.0.0.1",
		    .port = (uint16_t)(8001 + i),
		    .weight = weights ? weights[i] : 1,
		};

		fleet->backends[i] = backend_create(&fleet->env, &options);
		assert_non_null(fleet->backends[i]);
	}
	ring_take_list(&fleet->ring, fleet->backends, count);
}

static inline void fleet_finish(struct fleet *fleet)
{
	ring_finish(&fleet->ring);
	for (size_t i = 0; i < fleet->count; i++) {
		assert_int_equal(fleet->backends[i]->holders, 1);
		backend_drop(fleet->backends[i]);
	}
}

static inline void fleet_set(
    struct fleet *fleet, size_t i, enum backend_state state, enum outcome reason, int64_t now_us)
{
	const struct backend_change change = {
	    .state = state,
	    .reason = reason,
	    .window_us = 10 * S,
	    .now_us = now_us,
	};

	backend_set_state(fleet->backends[i], &change);
}

/* Up or down. */
static inline void fleet_switch(struct fleet *fleet, size_t i, bool up)
{
	fleet_set(
	    fleet, i, up ? BACKEND_UP : BACKEND_DOWN, up ? OUTCOME_GOOD : OUTCOME_REFUSED, 1 * S);
}

/* The letter of the next pick of a request that was nowhere yet; '!' when all are full, '-' when
 * nobody is left. */
static inline char fleet_pick(struct fleet *fleet, int64_t now_us)
{
	struct try_record try = {0};
	const struct ring_request request = {.tries = &try, .now_us = now_us, .seen_us = now_us};
	bool can_pick = ring_preview(&fleet->ring, &request) == RING_PICKED;

	switch (ring_pick(&fleet->ring, &request)) {
	case RING_PICKED:
		assert_true(can_pick);
		return try.backend->name[0];
	case RING_ALL_FULL:
		assert_false(can_pick);
		return '!';
	case RING_NOBODY:
		break;
	}
	assert_false(can_pick);
	return '-';
}

/* The letters of as many picks as `expected` has. */
static inline void fleet_expect(struct fleet *fleet, const char *expected, int64_t now_us)
{
	char got[256];
	size_t len = strlen(expected);

	for (size_t i = 0; i < len; i++)
		got[i] = fleet_pick(fleet, now_us);
	got[len] = '\0';
	assert_string_equal(got, expected);
}

/*
 * States in tables, one letter each: U up, T on trial, t on trial with its request under way, S
 * down for a soft reason, H down for a hard one, D draining, N unresolved. A digit
 * before it is the end of its window; '*' before it: backup; '#': at its limit; '~': tried already
 * by this request, as what it is now; '^': tried when it was up. Fills `tries`, which may be NULL
 * where nobody was tried, and answers how many there are.
 */
static inline size_t fleet_arrange(
    struct fleet *fleet, const char *states, struct try_record *tries)
{
	size_t i = 0, try_count = 0;
	int64_t until_us = 11 * S;
	bool was_up[FLEET_LIMIT];

	for (const char *at = states; *at; at++) {
		struct backend *backend = fleet->backends[i];

		switch (*at) {
		case ' ':
			i++;
			until_us = 11 * S;
			break;
		case '*':
			backend->options.backup = true;
			break;
		case '#':
			backend->options.max_connections = 1;
			backend->active = 1;
			break;
		case '~':
		case '^':
			assert_non_null(tries);
			was_up[try_count] = *at == '^';
			tries[try_count++] = (struct try_record){.backend = backend};
			break;
		case 'T':
		case 't':
			fleet_set(fleet, i, BACKEND_DOWN, OUTCOME_LATE, 1 * S);
			fleet_set(fleet, i, BACKEND_TRIAL, OUTCOME_GOOD, 2 * S);
			backend->on_trial = *at == 't';
			break;
		case 'S':
			fleet_set(fleet, i, BACKEND_DOWN, OUTCOME_LATE, 1 * S);
			backend->until_us = until_us;
			break;
		case 'H':
			fleet_set(fleet, i, BACKEND_DOWN, OUTCOME_REFUSED, 1 * S);
			backend->until_us = until_us;
			break;
		case 'D':
			backend->draining = true;
			break;
		case 'N':
			backend->unresolved = true;
			break;
		case 'U':
			break;
		default:
			until_us = (*at - '0') * S;
			break;
		}
	}
	for (size_t j = 0; j < try_count; j++)
		if (!was_up[j])
			tries[j].standing = backend_standing(tries[j].backend);
	return try_count;
}

/* The states again, in the same letters, without what is before them. */
static inline const char *fleet_describe(
    const struct fleet *fleet, char text[static FLEET_LIMIT * 2])
{
	size_t len = 0;

	for (size_t i = 0; i < fleet->count; i++) {
		const struct backend *backend = fleet->backends[i];
		char letter = 'U';

		if (backend->state == BACKEND_TRIAL)
			letter = backend->on_trial ? 't' : 'T';
		if (backend->state == BACKEND_DOWN)
			letter = outcome_blame(backend->reason) == BLAME_SOFT ? 'S' : 'H';
		text[len++] = letter;
		text[len++] = ' ';
	}
	text[len > 0 ? len - 1 : 0] = '\0';
	return text;
}

static inline void fleet_release(struct fleet *fleet)
{
	for (size_t i = 0; i < fleet->count; i++)
		fleet->backends[i]->active = 0;
	fleet_finish(fleet);
}

#endif
