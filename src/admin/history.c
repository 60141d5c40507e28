#include "admin/history.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

static struct history_event *history_next(struct history *history, const struct backend *backend)
{
	struct history_event *event = &history->kept[history->count % HISTORY_KEPT];

	*event = (struct history_event){
	    .number = ++history->count,
	    .when_unix_us = loop_unix_us(),
	    .state = backend ? backend_state_word(backend) : "",
	    .reason = "",
	};
	if (backend)
		snprintf(event->backend, sizeof(event->backend), "%s", backend->name);
	return event;
}

void history_note(struct history *history, const struct backend *backend, const char *format, ...)
{
	struct history_event *event = history_next(history, backend);
	va_list args;

	va_start(args, format);
	vsnprintf(event->text, sizeof(event->text), format, args);
	va_end(args);
}

/* What put it into the state, without regard to the operator and the resolver. */
static const char *why_judged(const struct backend *backend, char text[static HISTORY_TEXT_SIZE])
{
	switch (backend->state) {
	case BACKEND_UP:
		snprintf(text, HISTORY_TEXT_SIZE, "%s",
		    backend->left_up_us > 0 ? "it answers again" : "nothing has failed");
		break;
	case BACKEND_DOWN:
	case BACKEND_TRIAL:
		if (backend->reason_status > 0)
			snprintf(text, HISTORY_TEXT_SIZE, "%s %u", outcome_text(backend->reason),
			    backend->reason_status);
		else
			snprintf(text, HISTORY_TEXT_SIZE, "%s", outcome_text(backend->reason));
		break;
	case BACKEND_STATES:
		break;
	}
	return text;
}

const char *history_why(const struct backend *backend, char text[static HISTORY_TEXT_SIZE])
{
	if (backend->draining)
		snprintf(text, HISTORY_TEXT_SIZE, "drained by the operator");
	else if (backend->unresolved)
		snprintf(text, HISTORY_TEXT_SIZE, "no address known for %s", backend->host);
	else
		why_judged(backend, text);
	return text;
}

enum { SECONDS_SIZE = 32 };

static void format_seconds(int64_t us, char text[static SECONDS_SIZE])
{
	double seconds = (double)us / 1e6;

	if (seconds < 10)
		snprintf(text, SECONDS_SIZE, "%.2g s", seconds);
	else
		snprintf(text, SECONDS_SIZE, "%.0f s", seconds);
}

/* A check brings back whom checks took down; all others wait for a time, then for a probe. */
static void write_down(struct history_event *event, const struct backend *backend)
{
	char why[HISTORY_TEXT_SIZE], window[SECONDS_SIZE];

	why_judged(backend, why);
	format_seconds(backend->window_us, window);
	if (backend->reason == OUTCOME_CHECK)
		snprintf(event->text, sizeof(event->text), "%.100s, until checks succeed", why);
	else
		snprintf(event->text, sizeof(event->text), "%.100s, next try in %s", why, window);
}

void history_note_state(struct history *history, const struct backend *backend)
{
	struct history_event *event = history_next(history, backend);
	char away[SECONDS_SIZE];

	/* Also of one that the operator drains: what happened is what was judged. */
	event->state = backend_state_words[backend->state];
	switch (backend->state) {
	case BACKEND_UP:
		format_seconds(backend->since_us - backend->left_up_us, away);
		snprintf(event->text, sizeof(event->text), "it answers again, after %s", away);
		break;
	case BACKEND_DOWN:
		event->reason = outcome_word(backend->reason);
		write_down(event, backend);
		break;
	case BACKEND_TRIAL:
		event->reason = outcome_word(backend->reason);
		snprintf(event->text, sizeof(event->text),
		    "a probe succeeded, the next request decides");
		break;
	case BACKEND_STATES:
		break;
	}
}

size_t history_count(const struct history *history)
{
	return history->count < HISTORY_KEPT ? (size_t)history->count : HISTORY_KEPT;
}

const struct history_event *history_get(const struct history *history, size_t age)
{
	assert(age < history_count(history));
	return &history->kept[(history->count - 1 - age) % HISTORY_KEPT];
}
