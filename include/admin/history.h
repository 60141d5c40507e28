/*
 * history - keeps the newest HISTORY_KEPT events.
 *
 * An event is a change of a backend's state, a command of the operator, or a reload. Events are
 * copies: they outlive their backend. When the history is full the oldest event is overwritten.
 * Nothing can fail. A history of all zeroes is empty and ready.
 */
#ifndef RONDO_ADMIN_HISTORY_H
#define RONDO_ADMIN_HISTORY_H

#include "upstream/backend.h"

enum { HISTORY_KEPT = 100, HISTORY_NAME_SIZE = 128, HISTORY_TEXT_SIZE = BACKEND_TEXT_SIZE };

struct history_event {
	uint64_t number; /* counted from 1 */
	int64_t when_unix_us;
	char backend[HISTORY_NAME_SIZE]; /* "": not about a backend */
	const char *state;               /* a word of backend_state_word, or "" */
	const char *reason;              /* a word of outcome_word, or "" */
	char text[HISTORY_TEXT_SIZE];    /* for people: "no answer in time (10 s)" */
};

struct history {
	uint64_t count; /* since the start */
	struct history_event kept[HISTORY_KEPT];
};

/* Adds a change of the state of `backend`, with its reason and the next step. */
void history_note_state(struct history *history, const struct backend *backend);

/* Adds that `backend` was found silent, or is silent no more. */
void history_note_silence(struct history *history, const struct backend *backend);

/* Adds any other event; `backend` may be NULL. Text that is too long is cut. */
void history_note(struct history *history, const struct backend *backend, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The number of kept events. */
size_t history_count(const struct history *history);

/* A kept event; age 0 is the newest. */
const struct history_event *history_get(const struct history *history, size_t age);

#endif
