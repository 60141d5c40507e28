#include "law.h"

#include "oracle.h"
#include "sim_net.h"
#include "trace.h"

enum { EXCHANGES = 1024, SECONDS = 16, BUDGET_SECONDS = 10 };

/* What an exchange was given so far. */
struct given {
	const struct exchange *exchange;
	size_t count;
	enum backend_state states[TRIES]; /* of the backends when they were picked */
	bool is_settled;
	int64_t first_us;
};

static struct {
	struct given given[EXCHANGES];
	size_t given_count;
	enum backend_state seen[SERVERS];
	uint64_t requests[SECONDS], retries[SECONDS];
	int64_t second;
	uint64_t granted;
	int last_picked; /* position in the ring; -1 = none yet */
} law;

static struct server *server_of(const struct backend *backend)
{
	return &world.servers[backend->name[1] - '1'];
}

void law_start(void)
{
	law.given_count = 0;
	law.second = trace_now_us() / 1000000;
	law.granted = 0;
	law.last_picked = -1;
	memset(law.requests, 0, sizeof(law.requests));
	memset(law.retries, 0, sizeof(law.retries));
	memset(law.seen, 0, sizeof(law.seen));
}

void law_finish(void)
{
	check("nothing is left", law.given_count == 0, "%zu exchanges were not logged",
	    law.given_count);
	check("retries keep within their budget", world.failed_over <= law.granted, "%llu of %llu",
	    (unsigned long long)world.failed_over, (unsigned long long)law.granted);
}

/* The exchange whose member at `offset` this is, if it is known. */
static struct given *find_owner(const void *member, size_t offset)
{
	for (size_t i = 0; i < law.given_count; i++)
		if ((const char *)law.given[i].exchange + offset == member)
			return &law.given[i];
	return NULL;
}

void law_exchange_ends(const struct try_record *tries)
{
	struct given *given = find_owner(tries, offsetof(struct exchange, tries));

	if (!given)
		return;
	check("every try is judged", given->is_settled, "an exchange ends");
	*given = law.given[--law.given_count];
}

/* ---- who may be asked */

static bool is_open(const struct backend *backend)
{
	return !backend->draining && !backend->removed && !backend->unresolved;
}

static bool is_free(const struct backend *backend, const struct ring_tried *tried)
{
	for (size_t i = 0; i < tried->count; i++)
		if (tried->backends[i] == backend)
			return false;
	return is_open(backend) && (backend->options.max_connections == 0 ||
				       backend->active < backend->options.max_connections);
}

static bool is_in_turn(const struct backend *backend)
{
	return backend->state == BACKEND_UP ||
	       (backend->state == BACKEND_TRIAL && !backend->on_trial);
}

static bool is_down(const struct backend *backend, enum blame blame)
{
	return backend->state == BACKEND_DOWN && outcome_blame(backend->reason) == blame;
}

static size_t count_up(const struct ring *ring)
{
	size_t up = 0;

	for (size_t i = 0; i < ring->count; i++)
		up += is_open(ring->backends[i]) && ring->backends[i]->state == BACKEND_UP;
	return up;
}

/* Somebody who must come before `picked`, or NULL. */
static const struct backend *find_better(
    const struct ring *ring, const struct ring_tried *tried, const struct backend *picked)
{
	for (size_t i = 0; i < ring->count; i++) {
		const struct backend *other = ring->backends[i];

		if (other == picked || !is_free(other, tried))
			continue;
		if (is_in_turn(other) && (!picked || !is_in_turn(picked)))
			return other;
		if (is_in_turn(other) && picked->options.backup && !other->options.backup)
			return other;
		if (picked && is_down(picked, BLAME_SOFT) && is_down(other, BLAME_SOFT) &&
		    other->until_us < picked->until_us)
			return other;
		if (picked && is_down(picked, BLAME_HARD) &&
		    (is_down(other, BLAME_SOFT) || other->state == BACKEND_TRIAL))
			return other;
	}
	return NULL;
}

static void check_picked(const struct ring *ring, const struct ring_tried *tried,
    bool refused_before, const struct backend *picked)
{
	check("who is asked is free", is_free(picked, tried), "%s", picked->name);
	check("a trial is one request at a time", is_in_turn(picked) || count_up(ring) == 0,
	    "%s is %s", picked->name, backend_state_word(picked));
	check("one that refused is tried last, and once",
	    !is_down(picked, BLAME_HARD) || !refused_before, "%s", picked->name);
	/* In calm worlds all weigh the same. */
	for (size_t i = 0;
	     i < ring->count && world.profile.calm && ring->options.balance == RING_ROUND_ROBIN;
	     i++) {
		if (ring->backends[i] != picked)
			continue;
		check("backends take turns",
		    law.last_picked < 0 || (size_t)(law.last_picked + 1) % ring->count == i,
		    "%zu after %d", i, law.last_picked);
		law.last_picked = (int)i;
	}
}

/* All tries together have so much time, from the first pick or from when the content was sent for the first time. */
static void check_deadline(const struct given *given, int64_t now_us)
{
	const struct exchange *exchange = given->exchange;
	int64_t from_us = given->first_us;

	if (exchange->request.framing != HTTP_FRAMING_NONE) {
		const struct request *request = oracle_find_request(exchange->request.target);

		if (!request || request->whole_us == 0)
			return;
		from_us = request->whole_us;
	}
	/* The clock that counts was read a moment later. */
	check("nothing is tried after retry.deadline",
	    now_us < from_us + exchange->rules->retry.deadline_us + 5000, "%lld us after it",
	    (long long)(now_us - from_us - exchange->rules->retry.deadline_us));
}

enum ring_pick_result __real_ring_pick(struct ring *ring, const struct ring_tried *tried,
    bool refused_before, int64_t now_us, struct backend **picked);
enum ring_pick_result __wrap_ring_pick(struct ring *ring, const struct ring_tried *tried,
    bool refused_before, int64_t now_us, struct backend **picked);
enum ring_pick_result __wrap_ring_pick(struct ring *ring, const struct ring_tried *tried,
    bool refused_before, int64_t now_us, struct backend **picked)
{
	const struct exchange *exchange =
	    (const struct exchange *)(const void *)((const char *)tried->backends -
						    offsetof(struct exchange, tried));
	struct given *given = find_owner(tried->backends, offsetof(struct exchange, tried));
	bool trials[SERVERS];
	const struct backend *better;

	for (size_t i = 0; i < ring->count; i++)
		trials[i] = ring->backends[i]->on_trial;
	if (!given) {
		check(
		    "the oracle has room", law.given_count < EXCHANGES, "%d exchanges", EXCHANGES);
		given = &law.given[law.given_count++];
		*given = (struct given){.exchange = exchange, .first_us = now_us};
	}
	enum ring_pick_result result =
	    __real_ring_pick(ring, tried, refused_before, now_us, picked);

	/* As it was before the pick. */
	for (size_t i = 0; i < ring->count; i++) {
		bool now = ring->backends[i]->on_trial;

		ring->backends[i]->on_trial = trials[i];
		trials[i] = now;
	}
	better = find_better(ring, tried, *picked);
	check(
	    "who is up is asked first", !better, "%s was passed over", better ? better->name : "");
	if (result == RING_PICKED)
		check_picked(ring, tried, refused_before, *picked);
	for (size_t i = 0; i < ring->count; i++)
		ring->backends[i]->on_trial = trials[i];
	if (tried->count > 0)
		check_deadline(given, now_us);
	if (result == RING_PICKED)
		given->states[given->count++] = (*picked)->state;
	return result;
}

/* ---- judging */

void law_backend_is_new(struct server *server)
{
	law.seen[server->index] = BACKEND_UP;
	server->suspicions = server->pardoned = 0;
}

/* Of those that left the configuration nobody keeps a picture any more. */
static bool is_current(const struct backend *backend)
{
	return ring_find_url(&world.ring, str_from(backend->url)) == backend;
}

void law_state_changed(const struct backend *backend)
{
	static const bool legal[BACKEND_STATES][BACKEND_STATES] = {
	    [BACKEND_UP] = {[BACKEND_DOWN] = true},
	    [BACKEND_DOWN] = {[BACKEND_UP] = true, [BACKEND_TRIAL] = true},
	    [BACKEND_TRIAL] = {[BACKEND_UP] = true, [BACKEND_DOWN] = true},
	};
	struct server *server = server_of(backend);

	if (!is_current(backend))
		return;
	check("states follow each other as they may",
	    legal[law.seen[server->index]][backend->state], "%s was %d, is %d", backend->name,
	    (int)law.seen[server->index], (int)backend->state);
	law.seen[server->index] = backend->state;
	if (backend->state == BACKEND_UP)
		server->suspicions = 0;
}

struct before {
	enum backend_state state;
	int64_t window_us;
};

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
	if (server->suspicions == 0 && server->pardon_request == request_id)
		server->suspicions = server->pardoned;
	server->suspect = request_id;
	if (server->suspicions < VERDICT_SUSPICIONS)
		server->suspicions++;
	return server->suspicions == VERDICT_SUSPICIONS;
}

static void check_good(const struct try_record *try, const struct before *before)
{
	enum backend_state wanted =
	    before->state == BACKEND_UP || try->was_trial ? BACKEND_UP : before->state;

	check("a good answer to a trial brings back, any other does not",
	    try->backend->state == wanted, "%s is %s", try->backend->name,
	    backend_state_word(try->backend));
}

struct hearing {
	const struct ring *ring;
	const struct verdict_case *request;
	const struct backend *answerer;
	int64_t now_us;
};

/* A try that did not end well, of a backend that was up. */
static void check_while_up(
    const struct hearing *hearing, const struct try_record *try, const struct before *before)
{
	const struct ring *ring = hearing->ring;
	const struct backend *backend = try->backend;
	bool soft = outcome_blame(try->outcome) == BLAME_SOFT;
	bool compared = hearing->answerer && hearing->answerer != backend;
	bool convicted = soft && compared;

	if (soft && !compared && (!hearing->request->compared || try->outcome == OUTCOME_CUT_OFF))
		convicted = suspect(server_of(backend), hearing->request->request_id);
	if (backend->state == BACKEND_DOWN) {
		check("nobody is marked for what was not his fault", convicted, "%s for %s",
		    backend->name, outcome_word(try->outcome));
		check("soft marks leave one that is up", count_up(ring) > 0, "%s was the last",
		    backend->name);
		check_window(ring, backend, before, hearing->now_us);
	} else if (convicted && is_open(backend)) {
		check("who fails at what another can do is down at once", count_up(ring) <= 1,
		    "%s is up after %s", backend->name, outcome_word(try->outcome));
	}
}

static void check_on_trial(
    const struct hearing *hearing, const struct try_record *try, const struct before *before)
{
	const struct backend *backend = try->backend;
	bool soft = outcome_blame(try->outcome) == BLAME_SOFT;
	bool compared = hearing->answerer && hearing->answerer != backend;
	bool poison = !compared && hearing->request->compared && try->outcome != OUTCOME_CUT_OFF;
	bool convicted = try->was_trial && soft && !poison;

	check("a failed trial turns back, and nothing else",
	    (backend->state == BACKEND_DOWN) == convicted, "%s after %s", backend->name,
	    outcome_word(try->outcome));
	if (convicted)
		check_window(hearing->ring, backend, before, hearing->now_us);
	else
		check("a trial ends with its request", !try->was_trial || !backend->on_trial, "%s",
		    backend->name);
}

static void note_pardons(const struct verdict_case *request)
{
	for (size_t i = 0; i < request->count; i++) {
		struct server *server = server_of(request->tries[i].backend);

		if (request->tries[i].outcome != OUTCOME_GOOD ||
		    !is_current(request->tries[i].backend))
			continue;
		server->pardoned = server->suspicions;
		server->pardon_request = request->request_id;
		server->suspicions = 0;
	}
}

static void check_trial_flags(const struct verdict_case *request)
{
	struct given *given = find_owner(request->tries, offsetof(struct exchange, tries));

	if (!given || given->is_settled)
		return;
	given->is_settled = true;
	check("every try is judged", given->count == request->count, "%zu of %zu", request->count,
	    given->count);
	for (size_t i = 0; i < request->count; i++)
		check("a try knows whether it was a trial",
		    request->tries[i].was_trial == (given->states[i] != BACKEND_UP),
		    "try %zu, of %s", i, request->tries[i].backend->name);
}

void __real_verdict_settle(struct ring *ring, const struct verdict_case *request, int64_t now_us);
void __wrap_verdict_settle(struct ring *ring, const struct verdict_case *request, int64_t now_us);
void __wrap_verdict_settle(struct ring *ring, const struct verdict_case *request, int64_t now_us)
{
	struct before before[TRIES];
	struct hearing hearing = {.ring = ring, .request = request, .now_us = now_us};

	check_trial_flags(request);
	note_pardons(request);
	for (size_t i = 0; i < request->count; i++) {
		const struct try_record *try = &request->tries[i];

		before[i] = (struct before){try->backend->state, try->backend->window_us};
		if (try->outcome == OUTCOME_GOOD)
			hearing.answerer = try->backend;
	}
	__real_verdict_settle(ring, request, now_us);
	for (size_t i = 0; i < request->count; i++) {
		const struct try_record *try = &request->tries[i];

		if (!is_current(try->backend))
			continue;
		if (try->outcome == OUTCOME_GOOD)
			check_good(try, &before[i]);
		else if (before[i].state == BACKEND_UP)
			check_while_up(&hearing, try, &before[i]);
		else if (before[i].state == BACKEND_TRIAL)
			check_on_trial(&hearing, try, &before[i]);
		else
			check("what a backend does while it is down changes nothing",
			    try->backend->state == BACKEND_DOWN, "%s", try->backend->name);
	}
}

void __real_verdict_hard(struct ring *ring, const struct try_record *try, int64_t now_us);
void __wrap_verdict_hard(struct ring *ring, const struct try_record *try, int64_t now_us);
void __wrap_verdict_hard(struct ring *ring, const struct try_record *try, int64_t now_us)
{
	struct before before = {try->backend->state, try->backend->window_us};

	__real_verdict_hard(ring, try, now_us);
	check("who refuses is down at once", try->backend->state == BACKEND_DOWN, "%s after %s",
	    try->backend->name, outcome_word(try->outcome));
	if (before.state != BACKEND_DOWN)
		check_window(ring, try->backend, &before, now_us);
}

void __real_verdict_probed(struct ring *ring, const struct try_record *probe, int64_t now_us);
void __wrap_verdict_probed(struct ring *ring, const struct try_record *probe, int64_t now_us);
void __wrap_verdict_probed(struct ring *ring, const struct try_record *probe, int64_t now_us)
{
	const struct backend *backend = probe->backend;
	struct before before = {backend->state, backend->window_us};
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

/* ---- the budget of retries */

static size_t slot_of(int64_t now_us)
{
	for (; law.second < now_us / 1000000; law.second++) {
		size_t next = (size_t)(law.second + 1) % SECONDS;

		law.requests[next] = law.retries[next] = 0;
	}
	return (size_t)law.second % SECONDS;
}

void __real_budget_request(struct budget *budget, int64_t now_us);
void __wrap_budget_request(struct budget *budget, int64_t now_us);
void __wrap_budget_request(struct budget *budget, int64_t now_us)
{
	law.requests[slot_of(now_us)]++;
	__real_budget_request(budget, now_us);
}

bool __real_budget_take_retry(struct budget *budget, unsigned percent, int64_t now_us);
bool __wrap_budget_take_retry(struct budget *budget, unsigned percent, int64_t now_us);
bool __wrap_budget_take_retry(struct budget *budget, unsigned percent, int64_t now_us)
{
	bool granted = __real_budget_take_retry(budget, percent, now_us);
	uint64_t requests = 0, retries = 0;

	slot_of(now_us);
	for (int64_t i = 0; i < BUDGET_SECONDS; i++) {
		requests += law.requests[(law.second - i) % SECONDS];
		retries += law.retries[(law.second - i) % SECONDS];
	}
	check("retries keep within their budget",
	    granted == (percent >= 100 || retries < requests * percent / 100 + 10 * BUDGET_SECONDS),
	    "%llu retries of %llu requests at %u percent", (unsigned long long)retries,
	    (unsigned long long)requests, percent);
	law.retries[slot_of(now_us)] += granted;
	law.granted += granted;
	trace("a second sending is granted: #", granted, 0, 0);
	return granted;
}

/* ---- memory */

void *__real_slab_take(struct slab *slab);
void *__wrap_slab_take(struct slab *slab);
void *__wrap_slab_take(struct slab *slab)
{
	void *taken = net_is_short(net_world.faults.memory) ? NULL : __real_slab_take(slab);

	if (!taken)
		net_world.shortages++;
	return taken;
}
