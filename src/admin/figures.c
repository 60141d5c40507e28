#include "figures.h"

/* A backend that has not changed its state has no time of the loop's clock. */
static int64_t age_us(const struct backend *backend, int64_t since_unix_us, int64_t now_us)
{
	if (backend->since_us == 0 || backend->draining)
		return loop_unix_us() - since_unix_us;
	return now_us - backend->since_us;
}

static int64_t next_try_us(const struct backend *backend, int64_t now_us)
{
	if (backend->state != BACKEND_DOWN || backend->reason == OUTCOME_CHECK)
		return -1;
	return backend->until_us > now_us ? backend->until_us - now_us : 0;
}

void figures_of_backend(struct figures *figures, const struct backend *backend, int64_t now_us)
{
	*figures = (struct figures){
	    .state = backend_state_word(backend),
	    .is_judged = backend->state != BACKEND_UP,
	    .since_unix_us = backend->draining ? backend->drained_unix_us : backend->since_unix_us,
	    .next_try_us = next_try_us(backend, now_us),
	    .silent_for_us = backend->silent_us > 0
				 ? loop_attentive_us(backend->env->loop) - backend->silent_us
				 : -1,
	    .latency = metrics_of_backend(backend),
	};
	figures->age_us = age_us(backend, figures->since_unix_us, now_us);
	backend_describe_why(backend, figures->why);
	for (enum outcome outcome = OUTCOME_GOOD + 1; outcome < OUTCOMES; outcome++)
		figures->failures += backend->counters.failures[outcome];
}
