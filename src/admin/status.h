/*
 * status - the state of everything as JSON, for /status.json, /events.json and rondoctl.
 *
 * The members are described in rondo.conf(5), STATUS. Members may be added, never removed.
 * Durations are seconds, times are Unix time in seconds, both with fractions; a value that does not
 * apply is null. The caller owns the answers (json_decref); they are NULL without memory.
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

/* As a JSON string. Where it is not UTF-8, which JSON cannot hold, all bytes that are not printable
 * ASCII are escaped (\xNN). NULL without memory. */
json_t *status_text_json(const char *text);

/* The whole state. */
json_t *status_json(const struct status_source *source);

/* The kept events, the newest first. */
json_t *status_events_json(const struct history *history);

/* One backend, with its last failures. */
json_t *status_backend_json(const struct status_source *source, const struct backend *backend);

#endif
