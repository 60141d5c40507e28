/* backend_silence - what a backend owes, and whether it is found silent: told once in a while. */
#include "base/log.h"
#include "base/text.h"
#include "upstream/backend.h"

/* Silences that come and go are not all told. */
static const int64_t TELL_PAUSE_US = 10000000;

/* What is no fault of the backend is not held against it: rondo's own standstill. */
static int64_t now_us(const struct backend *backend)
{
	return loop_attentive_us(backend->env->loop);
}

static int64_t most_us(const struct backend *backend)
{
	return silence_most_us(backend->options.max_delay_response_us);
}

int64_t backend_patience_us(const struct backend *backend)
{
	return silence_patience_us(&backend->env->silence, most_us(backend), now_us(backend));
}

/* ---- found silent, and heard again */

static void tell(struct backend *backend)
{
	if (backend->env->on_silence)
		backend->env->on_silence(backend, backend->env->context);
}

static void note_silence(struct backend *backend, int64_t seen_us)
{
	int64_t quiet_us = seen_us - backend->silence.quiet_us;
	char text[TEXT_DURATION_SIZE];

	backend->silent_us = backend->silence.quiet_us;
	backend->counters.silences++;
	backend->silence_is_told =
	    backend->silence_told_us == 0 || seen_us - backend->silence_told_us >= TELL_PAUSE_US;
	if (!backend->silence_is_told)
		return;
	backend->silence_told_us = seen_us;
	log_warning("backend %s is silent: no answer for %s, while others answer", backend->name,
	    text_of_duration(quiet_us, text));
	tell(backend);
}

static void note_end_of_silence(struct backend *backend)
{
	char text[TEXT_DURATION_SIZE];

	backend->heard_after_us = now_us(backend) - backend->silent_us;
	backend->silent_us = 0;
	if (!backend->silence_is_told)
		return;
	log_info("backend %s is no longer silent, after %s", backend->name,
	    text_of_duration(backend->heard_after_us, text));
	tell(backend);
}

bool backend_is_silent(struct backend *backend, int64_t seen_us)
{
	struct silence_common *common = &backend->env->silence;

	if (!silence_is_quiet(common, &backend->silence, most_us(backend), seen_us) ||
	    !silence_is_noted_by_others(common, &backend->silence))
		return false;
	if (backend->silent_us == 0)
		note_silence(backend, seen_us);
	return true;
}

bool backend_has_just_woken(const struct backend *backend, int64_t seen_us)
{
	return silence_has_just_woken(
	    &backend->env->silence, &backend->silence, most_us(backend), seen_us);
}

bool backend_allows_look(const struct backend *backend, int64_t seen_us)
{
	return silence_allows_look(
	    &backend->env->silence, &backend->silence, most_us(backend), seen_us);
}

/* ---- what it owes */

void backend_connects(struct backend *backend, struct pending *pending)
{
	silence_connects(&backend->silence, pending, now_us(backend));
}

void backend_owes(struct backend *backend, struct pending *pending)
{
	silence_owes(&backend->silence, pending, now_us(backend));
}

void backend_hears(struct backend *backend, struct pending *pending, bool is_sample)
{
	const struct silence_sign sign = {pending, most_us(backend), is_sample};

	silence_hears(&backend->env->silence, &backend->silence, &sign, now_us(backend));
	if (backend->silent_us > 0)
		note_end_of_silence(backend);
}

void backend_forgets(struct backend *backend, struct pending *pending)
{
	silence_forget(&backend->silence, pending);
	if (backend->silent_us > 0 && backend->silence.owed_count == 0)
		note_end_of_silence(backend);
}
