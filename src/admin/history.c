#include "admin/history.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

static struct event *events_next(struct events *events, const struct backend *backend)
{
	struct event *event = &events->kept[events->count % EVENTS_KEPT];

	*event = (struct event){
	    .number = ++events->count,
	    .when_unix_us = loop_unix_us(),
	    .state = backend ? backend_state_word(backend) : "",
	    .reason = "",
	};
	if (backend)
		snprintf(event->backend, sizeof(event->backend), "%s", backend->name);
	return event;
}

void events_note(struct events *events, const struct backend *backend, const char *format, ...)
{
	struct event *event = events_next(events, backend);
	va_list args;

	va_start(args, format);
	vsnprintf(event->text, sizeof(event->text), format, args);
	va_end(args);
}

/* What put it into the state, without regard to the operator and the resolver. */
static const char *why_judged(const struct backend *backend, char text[static EVENT_TEXT_SIZE])
{
	switch (backend->state) {
	case BACKEND_UP:
		snprintf(text, EVENT_TEXT_SIZE, "%s",
		    backend->left_up_us > 0 ? "it answers again" : "nothing has failed");
		break;
	case BACKEND_DOWN:
	case BACKEND_TRIAL:
		if (backend->reason_status > 0)
			snprintf(text, EVENT_TEXT_SIZE, "%s %u", outcome_text(backend->reason),
			    backend->reason_status);
		else
			snprintf(text, EVENT_TEXT_SIZE, "%s", outcome_text(backend->reason));
		break;
	case BACKEND_STATES:
		break;
	}
	return text;
}

const char *events_why(const struct backend *backend, char text[static EVENT_TEXT_SIZE])
{
	if (backend->draining)
		snprintf(text, EVENT_TEXT_SIZE, "drained by the operator");
	else if (backend->unresolved)
		snprintf(text, EVENT_TEXT_SIZE, "no address known for %s", backend->host);
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
static void write_down(struct event *event, const struct backend *backend)
{
	char why[EVENT_TEXT_SIZE], window[SECONDS_SIZE];

	why_judged(backend, why);
	format_seconds(backend->window_us, window);
	if (backend->reason == OUTCOME_CHECK)
		snprintf(event->text, sizeof(event->text), "%.100s, until checks succeed", why);
	else
		snprintf(event->text, sizeof(event->text), "%.100s, next try in %s", why, window);
}

void events_note_state(struct events *events, const struct backend *backend)
{
	struct event *event = events_next(events, backend);
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

size_t events_count(const struct events *events)
{
	return events->count < EVENTS_KEPT ? (size_t)events->count : EVENTS_KEPT;
}

const struct event *events_get(const struct events *events, size_t age)
{
	assert(age < events_count(events));
	return &events->kept[(events->count - 1 - age) % EVENTS_KEPT];
}
