/*
 * ring_list - gives a ring its backends, for tests.
 */
#ifndef RONDO_TESTS_UPSTREAM_RING_LIST_H
#define RONDO_TESTS_UPSTREAM_RING_LIST_H

#include "upstream/ring.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* Prepares and commits the list in one. */
static inline void ring_take_list(struct ring *ring, struct backend *const *backends, size_t count)
{
	struct ring_list list;

	assert_true(ring_prepare_list(&list, backends, count));
	ring_commit_list(ring, &list);
}

#endif
