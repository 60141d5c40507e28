/*
 * events - what changed last: the newest EVENTS_KEPT changes, for whoever asks afterwards.
 *
 * A change of a backend's state, a wish of the operator, a reload. Events are copies: they outlive
 * the backend they tell of. When the ring is full the oldest is overwritten. Nothing can fail. An
 * events of all zeroes is empty and ready.
 */
#ifndef RONDO_ADMIN_HISTORY_H
#define RONDO_ADMIN_HISTORY_H

#include "upstream/backend.h"

enum { EVENTS_KEPT = 100, EVENT_NAME_SIZE = 128, EVENT_TEXT_SIZE = 256 };

struct event {
	uint64_t number; /* counted from 1 */
	int64_t when_unix_us;
	char backend[EVENT_NAME_SIZE]; /* "": not about one */
	const char *state;             /* a word of backend_state_word, or "" */
	const char *reason;            /* a word of outcome_word, or "" */
	char text[EVENT_TEXT_SIZE];    /* for people: "no answer in time, next try in 10 s" */
};

struct events {
	uint64_t count; /* since the start */
	struct event kept[EVENTS_KEPT];
};

/* The state of `backend` has changed; says why and what comes next. */
void events_note_state(struct events *events, const struct backend *backend);

/* Anything else; `backend` may be NULL. Text that is too long is cut. */
void events_note(struct events *events, const struct backend *backend, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* How many are kept. */
size_t events_count(const struct events *events);

/* One of those kept, 0 the newest. */
const struct event *events_get(const struct events *events, size_t age);

/* Why a backend is in its state, for people: "no answer in time", "status 503", "answers"; of one
 * that drains or has no address, that. Returns `text`. */
const char *events_why(const struct backend *backend, char text[static EVENT_TEXT_SIZE]);

#endif
