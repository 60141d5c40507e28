#include "upstream/backend.h"

#include "base/text.h"

#include <stdio.h>

static const char *why_up(const struct backend *backend)
{
	static const char *const words[] = {
	    [RETURN_NONE] = "has not been down",
	    [RETURN_BY_ANSWER] = "it answered",
	    [RETURN_BY_TRIAL] = "trial succeeded",
	    [RETURN_BY_CHECKS] = "checks succeeded",
	};

	return words[backend->returned];
}

static void describe_silence(const struct backend *backend, char text[static BACKEND_TEXT_SIZE])
{
	char quiet[TEXT_DURATION_SIZE];

	text_of_duration(loop_attentive_us(backend->env->loop) - backend->silent_us, quiet);
	snprintf(text, BACKEND_TEXT_SIZE, "silent: no answer for %s, while others answer", quiet);
}

const char *backend_describe_why(const struct backend *backend, char text[static BACKEND_TEXT_SIZE])
{
	if (backend->draining)
		snprintf(text, BACKEND_TEXT_SIZE, "drained by the operator");
	else if (backend->unresolved)
		snprintf(text, BACKEND_TEXT_SIZE, "no address known for %s", backend->host);
	else if (backend->state == BACKEND_UP && backend->silent_us > 0)
		describe_silence(backend, text);
	else if (backend->state == BACKEND_UP)
		snprintf(text, BACKEND_TEXT_SIZE, "%s", why_up(backend));
	else
		outcome_describe(
		    backend->reason, backend->reason_status, backend->reason_fault, text);
	return text;
}

static void describe_down(const struct backend *backend, char text[static BACKEND_TEXT_SIZE])
{
	char why[OUTCOME_TEXT_SIZE], window[TEXT_DURATION_SIZE];

	outcome_describe(backend->reason, backend->reason_status, backend->reason_fault, why);
	/* A backend that failed its checks waits for good ones, not for a time. */
	if (backend->reason == OUTCOME_CHECK)
		snprintf(text, BACKEND_TEXT_SIZE, "%s", why);
	else
		snprintf(text, BACKEND_TEXT_SIZE, "%s (%s)", why,
		    text_of_duration(backend->window_us, window));
}

const char *backend_describe_change(
    const struct backend *backend, char text[static BACKEND_TEXT_SIZE])
{
	char away[TEXT_DURATION_SIZE];

	switch (backend->state) {
	case BACKEND_UP:
		text_of_duration(backend->since_us - backend->left_up_us, away);
		snprintf(text, BACKEND_TEXT_SIZE, "%s, after %s", why_up(backend), away);
		break;
	case BACKEND_DOWN:
		describe_down(backend, text);
		break;
	case BACKEND_TRIAL:
		snprintf(text, BACKEND_TEXT_SIZE, "a probe succeeded, the next request decides");
		break;
	case BACKEND_STATES:
		break;
	}
	return text;
}
