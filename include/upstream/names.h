/*
 * names - keeps the addresses of backends fresh.
 *
 * Every backend with a host name is looked up before it comes into the ring, when the ring changes,
 * and again when the time to live of its last answer ends (not before 5 s, at the latest after 60
 * s; 60 s where the source of the answer has none, as a hosts file). A lookup that fails leaves the
 * last good answer in place and is tried again after 5 s; a backend that never had one stays
 * `unresolved`. Nothing waits: answers come in the loop.
 */
#ifndef RONDO_UPSTREAM_NAMES_H
#define RONDO_UPSTREAM_NAMES_H

#include "event/resolve.h"
#include "upstream/ring.h"

struct names;

struct names_start {
	struct loop *loop;
	struct resolver *resolver;
	struct ring *ring;
	/* Every lookup of the last names_refresh, or names_prepare, has ended, well or not, or has
	 * been waited for long enough; called once for each names_refresh, never from within it.
	 * May be NULL. */
	void (*on_settled)(void *context);
	/* A backend got its first addresses, or others. May be NULL. */
	void (*on_change)(struct backend *backend, void *context);
	void *context;
};

/* NULL without memory. Everything that `start` points to must outlive it. */
struct names *names_create(const struct names_start *start);
void names_destroy(struct names *names);

/* Looks up every name of the ring now (start, reload). on_settled is called after a second at the
 * latest; lookups that have not ended by then go on. Those for backends that left the ring are
 * forgotten. */
void names_refresh(struct names *names);

/* Looks up the names of backends that shall come into the ring. True when lookups are under way:
 * on_settled is called when they have ended, or after RESOLVE_TIMEOUT_MS; those that have not ended
 * by then go on. A host that a backend of the ring already has costs no lookup. Only the last call
 * counts: backends of an earlier one that are neither in the ring nor in the list are forgotten. */
bool names_prepare(struct names *names, struct backend *const *backends, size_t count);

#endif
