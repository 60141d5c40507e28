#include "judge.h"

#include "law.h"
#include "sim_loop.h"
#include "sim_net.h"
#include "trace.h"

void judge_backend_is_new(struct server *server)
{
	server->seen = BACKEND_UP;
	server->checks_failed = server->checks_good = 0;
	law_trial_ends(server);
	server->suspicions = 0;
}

/* Of those that left the configuration nobody keeps a picture any more. */
static bool is_current(const struct backend *backend)
{
	return ring_find_url(&world.ring, str_from(backend->url)) == backend;
}

void judge_state_changed(const struct backend *backend)
{
	static const bool legal[BACKEND_STATES][BACKEND_STATES] = {
	    [BACKEND_UP] = {[BACKEND_DOWN] = true},
	    [BACKEND_DOWN] = {[BACKEND_UP] = true, [BACKEND_TRIAL] = true},
	    [BACKEND_TRIAL] = {[BACKEND_UP] = true, [BACKEND_DOWN] = true},
	};
	struct server *server = law_server_of(backend);

	if (!is_current(backend))
		return;
	check("states follow each other as they may", legal[server->seen][backend->state],
	    "%s was %d, is %d", backend->name, (int)server->seen, (int)backend->state);
	server->seen = backend->state;
	server->checks_failed = server->checks_good = 0;
	law_trial_ends(server);
	if (backend->state == BACKEND_UP)
		server->suspicions = 0;
}

struct before {
	enum backend_state state;
	enum outcome reason;
	int64_t window_us;
	unsigned epoch;
	bool on_trial;
};

static struct before look_at(const struct backend *backend)
{
	return (struct before){
	    backend->state, backend->reason, backend->window_us, backend->epoch, backend->on_trial};
}

static int64_t doubled(const struct ring *ring, int64_t window_us)
{
	int64_t most = ring->options.retry_window_max_us > ring->options.retry_window_us
			   ? ring->options.retry_window_max_us
			   : ring->options.retry_window_us;

	return window_us * 2 < most ? window_us * 2 : most;
}

static void check_window(const struct ring *ring, const struct backend *backend,
    const struct before *before, int64_t now_us)
{
	int64_t window_us = before->state == BACKEND_UP ? ring->options.retry_window_us
							: doubled(ring, before->window_us);

	check("windows begin small and double",
	    backend->window_us == window_us && backend->until_us == now_us + window_us,
	    "%s is down for %lld us, not %lld", backend->name, (long long)backend->window_us,
	    (long long)window_us);
}

/* A failure that could not be compared; true when it is the third in a row. */
static bool suspect(struct server *server, uint64_t request_id)
{
	if (server->suspicions > 0 && server->suspect == request_id)
		return false;
	server->suspect = request_id;
	if (server->suspicions < VERDICT_SUSPICIONS)
		server->suspicions++;
	return server->suspicions == VERDICT_SUSPICIONS;
}

static void check_good(const struct try_record *try, const struct before *before)
{
	bool waits_for_checks = before->state == BACKEND_DOWN && before->reason == OUTCOME_CHECK;
	bool is_of_now = is_current(try->backend) && try->epoch == before->epoch;
	enum backend_state wanted = is_of_now && !waits_for_checks ? BACKEND_UP : before->state;

	check("a good answer to a trial brings back, any other does not",
	    try->backend->state == wanted, "%s is %s", try->backend->name,
	    backend_state_word(try->backend));
}

struct hearing {
	const struct ring *ring;
	const struct verdict_case *request;
	const struct backend *answerer;
	bool is_poison; /* no server had a good answer, and more than one might have had */
	int64_t now_us;
};

/* One that refuses, or that rondo could not reach, says nothing of the request. */
static bool may_have_answered(enum outcome outcome)
{
	switch (outcome) {
	case OUTCOME_GOOD:
	case OUTCOME_LATE:
	case OUTCOME_STALLED:
	case OUTCOME_RESET:
	case OUTCOME_BAD_RESPONSE:
	case OUTCOME_STATUS:
	case OUTCOME_CUT_OFF:
	case OUTCOME_IMPATIENT:
	case OUTCOME_CLIENT:
	case OUTCOME_DEADLINE:
		return true;
	case OUTCOME_REFUSED:
	case OUTCOME_UNREACHABLE:
	case OUTCOME_CONNECT_TIMEOUT:
	case OUTCOME_CHECK:
	case OUTCOME_STALE:
	case OUTCOME_SHORTAGE:
	case OUTCOMES:
		break;
	}
	return false;
}

static bool is_poison(const struct verdict_case *request)
{
	unsigned asked = 0;

	for (size_t i = 0; i < request->count; i++) {
		if (request->tries[i].outcome == OUTCOME_GOOD)
			return false;
		asked += may_have_answered(request->tries[i].outcome);
	}
	return asked > 1;
}

/* A try that did not end well, of a backend that was up. */
static void check_while_up(
    const struct hearing *hearing, const struct try_record *try, const struct before *before)
{
	const struct ring *ring = hearing->ring;
	const struct backend *backend = try->backend;
	bool soft = outcome_blame(try->outcome) == BLAME_SOFT;
	bool compared = hearing->answerer && hearing->answerer != backend;
	bool convicted = soft && compared;

	if (soft && !compared && !hearing->is_poison)
		convicted = suspect(law_server_of(backend), hearing->request->request_id);
	if (backend->state == BACKEND_DOWN) {
		check("nobody is marked for what was not his fault", convicted, "%s for %s",
		    backend->name, outcome_word(try->outcome));
		check("soft marks leave one that is up", law_count_up(ring) > 0, "%s was the last",
		    backend->name);
		check_window(ring, backend, before, hearing->now_us);
	} else if (convicted && law_is_open(backend)) {
		check("who fails at what another can do is down at once", law_count_up(ring) <= 1,
		    "%s is up after %s", backend->name, outcome_word(try->outcome));
	}
}

static void check_on_trial(
    const struct hearing *hearing, const struct try_record *try, const struct before *before)
{
	const struct backend *backend = try->backend;
	bool is_trial = law_is_trial(law_server_of(backend), hearing->request->tries);
	bool soft = outcome_blame(try->outcome) == BLAME_SOFT;
	bool compared = hearing->answerer && hearing->answerer != backend;
	bool convicted = try->standing != STANDING_UP && soft && (compared || !hearing->is_poison);

	check("a failed trial turns back, and nothing else",
	    (backend->state == BACKEND_DOWN) == convicted, "%s after %s", backend->name,
	    outcome_word(try->outcome));
	if (convicted)
		check_window(hearing->ring, backend, before, hearing->now_us);
	else
		check("a trial ends with its request, and with no other",
		    backend->on_trial == (before->on_trial && !is_trial), "%s", backend->name);
}

/* The backend is not what it was when it was picked. */
static void check_old(
    const struct hearing *hearing, const struct try_record *try, const struct before *before)
{
	const struct ring *ring = hearing->ring;
	const struct backend *backend = try->backend;
	bool is_undone_trial = try->outcome == OUTCOME_CUT_OFF && try->standing != STANDING_UP &&
			       before->state == BACKEND_UP && before->epoch == try->epoch + 1;
	bool is_last =
	    law_is_open(backend) && law_count_up(ring) + (backend->state != BACKEND_UP) <= 1;

	if (!is_undone_trial || is_last || law_count_up(ring) == 0) {
		check("what began in an earlier state changes nothing",
		    backend->state == before->state, "%s is %s", backend->name,
		    backend_state_word(backend));
		return;
	}
	/* Who gets no requests need not be told that it may have none. */
	check("a trial that is cut off has failed",
	    (backend->state == BACKEND_UP && !law_is_open(backend)) ||
		(backend->state == BACKEND_DOWN &&
		    backend->window_us == doubled(ring, before->window_us)),
	    "%s is %s, for %lld us after %lld", backend->name, backend_state_word(backend),
	    (long long)backend->window_us, (long long)before->window_us);
}

void __real_verdict_completed(struct backend *backend);
void __wrap_verdict_completed(struct backend *backend);
void __wrap_verdict_completed(struct backend *backend)
{
	if (is_current(backend))
		law_server_of(backend)->suspicions = 0;
	__real_verdict_completed(backend);
}

void __real_verdict_settle(struct ring *ring, const struct verdict_case *request, int64_t now_us);
void __wrap_verdict_settle(struct ring *ring, const struct verdict_case *request, int64_t now_us);
void __wrap_verdict_settle(struct ring *ring, const struct verdict_case *request, int64_t now_us)
{
	struct before before[TRIES];
	struct hearing hearing = {
	    .ring = ring, .request = request, .is_poison = is_poison(request), .now_us = now_us};

	law_check_tries(request);
	for (size_t i = 0; i < request->count; i++) {
		const struct try_record *try = &request->tries[i];

		before[i] = look_at(try->backend);
		if (try->outcome == OUTCOME_GOOD)
			hearing.answerer = try->backend;
	}
	__real_verdict_settle(ring, request, now_us);
	for (size_t i = 0; i < request->count; i++) {
		const struct try_record *try = &request->tries[i];

		if (try->outcome == OUTCOME_GOOD) {
			check_good(try, &before[i]);
			continue;
		}
		if (!is_current(try->backend))
			continue;
		if (try->epoch != before[i].epoch) {
			check_old(&hearing, try, &before[i]);
			continue;
		}
		if (before[i].state == BACKEND_UP)
			check_while_up(&hearing, try, &before[i]);
		else if (before[i].state == BACKEND_TRIAL)
			check_on_trial(&hearing, try, &before[i]);
		else
			check("what a backend does while it is down changes nothing",
			    try->backend->state == BACKEND_DOWN, "%s", try->backend->name);
		if (law_is_trial(law_server_of(try->backend), request->tries))
			law_trial_ends(law_server_of(try->backend));
	}
}

void __real_verdict_hard(struct ring *ring, const struct try_record *try, int64_t now_us);
void __wrap_verdict_hard(struct ring *ring, const struct try_record *try, int64_t now_us);
void __wrap_verdict_hard(struct ring *ring, const struct try_record *try, int64_t now_us)
{
	struct before before = look_at(try->backend);

	__real_verdict_hard(ring, try, now_us);
	if (try->epoch != before.epoch || !is_current(try->backend)) {
		check("what began in an earlier state changes nothing",
		    try->backend->state == before.state, "%s is %s", try->backend->name,
		    backend_state_word(try->backend));
		return;
	}
	check("who refuses is down at once", try->backend->state == BACKEND_DOWN, "%s after %s",
	    try->backend->name, outcome_word(try->outcome));
	if (before.state != BACKEND_DOWN)
		check_window(ring, try->backend, &before, now_us);
}

/* Of one that is looked at in time the window has become another, or its trial has begun: a check
 * that is under way, and then the probe itself, may take as long as a connect. */
void judge_look_around(void)
{
	bool is_excused = net_world.shortages > 0 || world.profile.operator|| world.profile.pauses;

	for (size_t i = 0; i < world.ring.count && !is_excused; i++) {
		const struct backend *backend = world.ring.backends[i];
		int64_t late_us = sim_loop_judged_us(world.loop) - backend->until_us;

		check("who is down is looked at again when his window is over",
		    backend->state != BACKEND_DOWN || backend->reason == OUTCOME_CHECK ||
			late_us < 2 * world.connect_most_us + 1000000,
		    "%s, %lld us late", backend->name, (long long)late_us);
	}
}

void __real_verdict_probed(struct ring *ring, const struct try_record *probe, int64_t now_us);
void __wrap_verdict_probed(struct ring *ring, const struct try_record *probe, int64_t now_us);
void __wrap_verdict_probed(struct ring *ring, const struct try_record *probe, int64_t now_us)
{
	const struct backend *backend = probe->backend;
	struct before before = look_at(backend);
	int64_t until_us = backend->until_us, began_us = now_us - probe->took_us;

	__real_verdict_probed(ring, probe, now_us);
	if (before.state != BACKEND_DOWN)
		return;
	check("nobody comes back before his window is over",
	    began_us >= until_us || backend->since_us > began_us, "%s is probed %lld us early",
	    backend->name, (long long)(until_us - began_us));
	check("a good probe, and only that, is followed by a trial",
	    (backend->state == BACKEND_TRIAL) == (probe->outcome == OUTCOME_GOOD), "%s after %s",
	    backend->name, outcome_word(probe->outcome));
	if (backend->state == BACKEND_DOWN && outcome_blame(probe->outcome) != BLAME_NONE)
		check_window(ring, backend, &before, now_us);
}

void __real_verdict_checked(struct ring *ring, struct backend *backend,
    const struct verdict_check_rules *rules, bool good, int64_t now_us);
void __wrap_verdict_checked(struct ring *ring, struct backend *backend,
    const struct verdict_check_rules *rules, bool good, int64_t now_us);
void __wrap_verdict_checked(struct ring *ring, struct backend *backend,
    const struct verdict_check_rules *rules, bool good, int64_t now_us)
{
	struct server *server = law_server_of(backend);
	enum backend_state before = backend->state, wanted = before;

	/* One that was under way when a reload ended checks is a connect now. */
	check("a check is passed by who answers it well",
	    !good || server->has_passed || !world.probe.path[0], "%s", backend->name);
	server->has_passed = false;
	if (!is_current(backend)) {
		__real_verdict_checked(ring, backend, rules, good, now_us);
		return;
	}
	server->checks_failed = good ? 0 : server->checks_failed + 1;
	server->checks_good = good ? server->checks_good + 1 : 0;
	if (server->checks_failed >= rules->fall)
		wanted = BACKEND_DOWN;
	else if (server->checks_good >= rules->rise && outcome_blame(backend->reason) == BLAME_HARD)
		wanted = BACKEND_UP;
	__real_verdict_checked(ring, backend, rules, good, now_us);
	check("health.fall and health.rise are kept", backend->state == wanted, "%s is %d, not %d",
	    backend->name, (int)backend->state, (int)wanted);
}
