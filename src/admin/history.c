#include "admin/history.h"

#include "base/text.h"

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

void history_note_state(struct history *history, const struct backend *backend)
{
	struct history_event *event = history_next(history, backend);

	/* Use the state itself also for a drained backend: that state has changed. */
	event->state = backend_state_words[backend->state];
	if (backend->state != BACKEND_UP)
		event->reason = outcome_word(backend->reason);
	backend_describe_change(backend, event->text);
}

void history_note_silence(struct history *history, const struct backend *backend)
{
	struct history_event *event = history_next(history, backend);
	char after[TEXT_DURATION_SIZE];

	if (backend->silent_us > 0)
		backend_describe_why(backend, event->text);
	else
		snprintf(event->text, sizeof(event->text), "no longer silent, after %s",
		    text_of_duration(backend->heard_after_us, after));
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
