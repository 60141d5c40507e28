/*
 * status - the state of everything as JSON: /status.json, /events.json, and what rondoctl is told.
 *
 * The members are described in rondo.conf(5), STATUS. They are only ever added to. Durations are
 * seconds, times are Unix time in seconds, both with fractions; what does not apply is null. The
 * caller owns the answers (json_decref); they are NULL without memory.
 */
#ifndef RONDO_ADMIN_STATUS_H
#define RONDO_ADMIN_STATUS_H

#include "admin/history.h"
#include "admin/metrics.h"

#include <jansson.h>

struct status_source {
	const struct metrics *metrics;
	const struct history *history;
};

/* All of it. */
json_t *status_json(const struct status_source *source);

/* The kept events, the newest first. */
json_t *status_events_json(const struct history *history);

/* One backend, with its last failures. */
json_t *status_backend_json(const struct status_source *source, const struct backend *backend);

#endif
