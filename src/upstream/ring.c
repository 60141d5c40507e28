#include "upstream/ring.h"

#include <stdlib.h>

const char *const ring_balance_words[RING_BALANCES + 1] = {
    [RING_ROUND_ROBIN] = "round_robin",
    [RING_ADAPTIVE] = "adaptive",
    [RING_LEAST_REQUESTS] = "least_requests",
};

enum { WEIGHT_UNIT = 1000, RAMP_FIRST_PERCENT = 10 };

/* Response times change slowly; working out shares at each pick would be waste. */
static const int64_t SHARES_AGE_US = 100000;

/* ---- the list */

void ring_init(struct ring *ring)
{
	*ring = (struct ring){0};
}

void ring_finish(struct ring *ring)
{
	struct ring_list list = {ring->backends, ring->count, ring->weights, ring->averages};

	ring_cancel_list(&list);
	ring_init(ring);
}

/* A round of equals needs no weighing, and no backend is owed a turn. */
static void ring_compare_weights(struct ring *ring)
{
	ring->is_even = true;
	for (size_t i = 1; i < ring->count; i++)
		ring->is_even &= ring->backends[i]->weight == ring->backends[0]->weight;
	for (size_t i = 0; i < ring->count && ring->is_even; i++)
		ring->backends[i]->turn = 0;
}

void ring_set_weight(struct ring *ring, struct backend *backend, unsigned weight)
{
	backend->weight_is_override = weight > 0;
	backend->weight = weight > 0 ? weight : backend->options.weight;
	ring_compare_weights(ring);
}

bool ring_prepare_list(struct ring_list *list, struct backend *const *backends, size_t count)
{
	*list = (struct ring_list){
	    .backends = calloc(count + 1, sizeof(struct backend *)),
	    .weights = calloc(count + 1, sizeof(int64_t)),
	    .averages = calloc(count + 1, sizeof(double)),
	};
	if (!list->backends || !list->weights || !list->averages) {
		ring_cancel_list(list);
		return false;
	}
	for (; list->count < count; list->count++) {
		backend_hold(backends[list->count]);
		list->backends[list->count] = backends[list->count];
	}
	return true;
}

void ring_cancel_list(struct ring_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		backend_drop(list->backends[i]);
	free(list->backends);
	free(list->weights);
	free(list->averages);
	*list = (struct ring_list){0};
}

/* Tells those that the new list does not have from the others. */
static void ring_mark_removed(const struct ring *old, const struct ring_list *list)
{
	for (size_t i = 0; i < old->count; i++)
		old->backends[i]->removed = true;
	for (size_t i = 0; i < list->count; i++)
		list->backends[i]->removed = false;
}

/* The position in the new list where the round goes on: the first backend that would have been next
 * in the old one. */
static size_t ring_find_next(const struct ring *old, const struct ring_list *list)
{
	const struct backend *expected = NULL;
	size_t position = 0;

	for (size_t i = 0; i < old->count && !expected; i++) {
		const struct backend *backend = old->backends[(old->next + i) % old->count];

		if (!backend->removed)
			expected = backend;
	}
	while (expected && list->backends[position] != expected)
		position++;
	return position;
}

/* Those that are removed keep no connection for requests that never come. */
static void ring_part_with(const struct ring_list *old)
{
	for (size_t i = 0; i < old->count; i++) {
		if (old->backends[i]->removed)
			backend_close_idle(old->backends[i]);
	}
}

void ring_commit_list(struct ring *ring, struct ring_list *list)
{
	struct ring_list old = {ring->backends, ring->count, ring->weights, ring->averages};

	ring_mark_removed(ring, list);
	ring->next = ring_find_next(ring, list);
	ring->backends = list->backends;
	ring->count = list->count;
	ring->weights = list->weights;
	ring->averages = list->averages;
	*list = (struct ring_list){0};
	ring_compare_weights(ring);
	ring_part_with(&old);
	ring_cancel_list(&old);
}

bool ring_has(const struct ring *ring, const struct backend *backend)
{
	for (size_t i = 0; i < ring->count; i++) {
		if (ring->backends[i] == backend)
			return true;
	}
	return false;
}

struct backend *ring_find_name(const struct ring *ring, struct str name)
{
	for (size_t i = 0; i < ring->count; i++) {
		if (str_equals(str_from(ring->backends[i]->name), name))
			return ring->backends[i];
	}
	return NULL;
}

/* ---- which backends are usable */

static bool is_open(const struct backend *backend)
{
	return !backend->draining && !backend->unresolved;
}

static bool is_regular(const struct backend *backend)
{
	enum standing standing = backend_standing(backend);

	return is_open(backend) && (standing == STANDING_UP || standing == STANDING_TRIAL);
}

static bool is_full(const struct backend *backend, int64_t now_us)
{
	unsigned limit = backend->options.max_connections;

	return (limit > 0 && backend->active >= limit) || backend->busy_until_us > now_us;
}

size_t ring_count_up(const struct ring *ring)
{
	size_t up = 0;

	for (size_t i = 0; i < ring->count; i++)
		up += backend_is_up(ring->backends[i]);
	return up;
}

bool ring_is_another_down_soft(const struct ring *ring, const struct backend *backend)
{
	for (size_t i = 0; i < ring->count; i++) {
		const struct backend *other = ring->backends[i];

		if (other != backend && is_open(other) && other->state != BACKEND_UP &&
		    outcome_blame(other->reason) == BLAME_SOFT)
			return true;
	}
	return false;
}

bool ring_is_open(const struct ring *ring)
{
	for (size_t i = 0; i < ring->count; i++) {
		if (is_open(ring->backends[i]))
			return true;
	}
	return false;
}

bool ring_is_usable(const struct ring *ring)
{
	for (size_t i = 0; i < ring->count; i++) {
		const struct backend *backend = ring->backends[i];

		if (is_open(backend) && backend_standing(backend) != STANDING_HARD)
			return true;
	}
	return false;
}

/* ---- weights */

int64_t ring_effective_weight(
    const struct ring *ring, const struct backend *backend, int64_t now_us)
{
	int64_t weight = (int64_t)backend->weight * WEIGHT_UNIT;
	int64_t ramp_us = ring->options.slow_start_us;
	int64_t since_us = now_us - backend->ramp_from_us;

	if (backend->ramp_from_us > 0 && since_us < ramp_us) {
		int64_t grown = (100 - RAMP_FIRST_PERCENT) * since_us / ramp_us;

		weight = weight * (RAMP_FIRST_PERCENT + grown) / 100;
	}
	if (ring->options.balance == RING_ADAPTIVE)
		weight = weight * backend->latency_share / BACKEND_WHOLE_SHARE;
	return weight > 0 ? weight : 1;
}

/* The response time a backend is compared by. */
static double ring_own_average(const struct backend *backend, double median, int64_t now_us)
{
	double average = latency_average_us(&backend->latency, now_us);

	if (average <= 0 || (backend->latency.at_least && average < median))
		return median;
	return average;
}

/* Compares the response times of the backends of one kind that are in turn. */
static void ring_work_out_shares(struct ring *ring, bool backup, int64_t now_us)
{
	size_t sampled = 0;
	double best = 0;

	for (size_t i = 0; i < ring->count; i++) {
		const struct backend *backend = ring->backends[i];
		double average = latency_average_us(&backend->latency, now_us);

		if (backend->options.backup == backup && is_regular(backend) && average > 0 &&
		    !backend->latency.at_least)
			ring->averages[sampled++] = average;
	}
	double median = latency_median(ring->averages, sampled);

	for (size_t i = 0; i < ring->count; i++) {
		const struct backend *backend = ring->backends[i];
		double own = ring_own_average(backend, median, now_us);

		if (backend->options.backup == backup && is_regular(backend) && own > 0 &&
		    (best <= 0 || own < best))
			best = own;
	}
	for (size_t i = 0; i < ring->count; i++) {
		struct backend *backend = ring->backends[i];
		double own = ring_own_average(backend, median, now_us);

		if (backend->options.backup == backup && is_regular(backend))
			backend->latency_share =
			    (unsigned)(latency_factor(own, best) * BACKEND_WHOLE_SHARE);
	}
}

static void ring_refresh_shares(struct ring *ring, int64_t now_us)
{
	if (ring->options.balance != RING_ADAPTIVE)
		return;
	if (ring->shares_us > 0 && now_us - ring->shares_us < SHARES_AGE_US)
		return;
	ring->shares_us = now_us;
	ring_work_out_shares(ring, false, now_us);
	ring_work_out_shares(ring, true, now_us);
}

/* ---- turns */

struct search {
	const struct ring_request *request;
	/* least_requests: of those that can be picked, none has fewer requests for its weight; NULL
	 * when there is none, or when their number does not matter. */
	const struct backend *lightest;
	/* A silent backend is as good as another, and so is one whose connect was given up. */
	bool takes_silent;
	bool found_silent; /* a backend was skipped only for this */
	bool found_full;   /* a backend was skipped only for its max_connections */
	bool is_weighted;  /* ring->weights decided, and are those of this search */
};

/* A silent backend is passed over, but for a request that looks whether it answers. */
static bool search_avoids(struct search *search, struct backend *backend)
{
	const struct ring_request *request = search->request;

	if (search->takes_silent || !backend_is_silent(backend, request->seen_us))
		return false;
	search->found_silent = true;
	return !request->may_move || !backend_allows_look(backend, request->seen_us);
}

static bool has_come_up_since(const struct backend *backend, const struct try_record *try)
{
	return backend->epoch != try->epoch && backend->state != BACKEND_DOWN;
}

/* Was it tried by the request? A connect that was given up is no try, but others come first. */
static bool search_had(struct search *search, const struct backend *backend)
{
	const struct ring_request *request = search->request;
	bool was_given_up = false;

	for (size_t i = 0; i < request->count; i++) {
		const struct try_record *try = &request->tries[i];

		if (try->backend != backend)
			continue;
		if (request->has_waited && has_come_up_since(backend, try))
			continue;
		if (try->outcome != OUTCOME_GIVEN_UP)
			return true;
		was_given_up = true;
	}
	search->found_silent |= was_given_up;
	return was_given_up && !search->takes_silent;
}

static bool search_accepts(struct search *search, struct backend *backend)
{
	if (search_had(search, backend))
		return false;
	if (is_full(backend, search->request->now_us)) {
		search->found_full = true;
		return false;
	}
	return !search_avoids(search, backend);
}

/* Has it fewer requests in flight for its weight, where that decides? */
static bool ring_is_lighter(const struct ring *ring, const struct backend *backend,
    const struct backend *other, int64_t now_us)
{
	return ring->options.balance == RING_LEAST_REQUESTS &&
	       backend->active * ring_effective_weight(ring, other, now_us) <
		   other->active * ring_effective_weight(ring, backend, now_us);
}

/* The request is to show whether it answers. It may have old requests that never end: its turn
 * comes all the same. */
static bool search_looks_at(const struct search *search, struct backend *backend)
{
	return backend_standing(backend) == STANDING_TRIAL ||
	       (!search->takes_silent && backend_is_silent(backend, search->request->seen_us));
}

static void ring_find_lightest(const struct ring *ring, struct search *search, bool backup)
{
	int64_t now_us = search->request->now_us;

	search->lightest = NULL;
	if (ring->options.balance != RING_LEAST_REQUESTS)
		return;
	for (size_t i = 0; i < ring->count; i++) {
		struct backend *backend = ring->backends[i];

		if (backend->options.backup != backup || !is_regular(backend) ||
		    !search_accepts(search, backend) || search_looks_at(search, backend))
			continue;
		if (!search->lightest || ring_is_lighter(ring, backend, search->lightest, now_us))
			search->lightest = backend;
	}
}

/* May it be picked, if it is its turn? */
static bool ring_lets_take(const struct ring *ring, struct search *search, struct backend *backend)
{
	if (!search_accepts(search, backend))
		return false;
	return !search->lightest || search_looks_at(search, backend) ||
	       !ring_is_lighter(ring, search->lightest, backend, search->request->now_us);
}

/* Are all effective weights the same, whichever backends are in turn? */
static bool ring_needs_no_weighing(const struct ring *ring)
{
	return ring->is_even && ring->options.balance != RING_ADAPTIVE &&
	       ring->options.slow_start_us == 0;
}

/* The backends that take part in a pick. */
struct round {
	bool is_equal; /* they all weigh the same */
	int64_t sum;   /* of their weights */
};

/* Fills ring->weights for those of one kind that are in turn. */
static struct round ring_weigh(struct ring *ring, bool backup, int64_t now_us)
{
	struct round round = {.is_equal = true};
	int64_t first = 0;

	for (size_t i = 0; i < ring->count; i++) {
		const struct backend *backend = ring->backends[i];

		ring->weights[i] = 0;
		if (backend->options.backup != backup || !is_regular(backend))
			continue;
		ring->weights[i] = ring_effective_weight(ring, backend, now_us);
		round.sum += ring->weights[i];
		if (first == 0)
			first = ring->weights[i];
		round.is_equal = round.is_equal && ring->weights[i] == first;
	}
	for (size_t i = 0; i < ring->count && round.is_equal; i++)
		if (ring->weights[i] > 0)
			ring->backends[i]->turn = 0;
	return round;
}

/* The next in the order of the list. */
static struct backend *ring_pick_next(struct ring *ring, struct search *search, bool backup)
{
	size_t position = ring->next;

	for (size_t i = 0; i < ring->count; i++) {
		struct backend *backend = ring->backends[position];

		if (backend->options.backup == backup && is_regular(backend) &&
		    ring_lets_take(ring, search, backend))
			return backend;
		position = position + 1 < ring->count ? position + 1 : 0;
	}
	return NULL;
}

/* Smooth weighted round robin: the backend whose turn it would be. */
static struct backend *ring_pick_weighted(
    struct ring *ring, struct search *search, int64_t round_sum)
{
	struct backend *picked = NULL;
	int64_t best = 0;

	for (size_t i = 0; i < ring->count; i++) {
		struct backend *backend = ring->backends[i];

		if (ring->weights[i] == 0)
			continue;
		/* Turns owed from before a change of weights must not become a burst. */
		if (backend->turn > round_sum)
			backend->turn = round_sum;
		if (backend->turn < -round_sum)
			backend->turn = -round_sum;
		if (!ring_lets_take(ring, search, backend))
			continue;
		if (!picked || backend->turn + ring->weights[i] > best) {
			picked = backend;
			best = backend->turn + ring->weights[i];
		}
	}
	search->is_weighted = picked != NULL;
	return picked;
}

static struct backend *ring_pick_regular(struct ring *ring, struct search *search, bool backup)
{
	struct round round = {.is_equal = ring_needs_no_weighing(ring)};

	if (!round.is_equal)
		round = ring_weigh(ring, backup, search->request->now_us);
	ring_find_lightest(ring, search, backup);
	if (round.is_equal)
		return ring_pick_next(ring, search, backup);
	return ring_pick_weighted(ring, search, round.sum);
}

/* ---- when no backend that is up is left for the request */

/* Among the backends with this standing, the one whose window ends, or ended, first; equals in
 * turn. */
static struct backend *ring_pick_soonest(
    struct ring *ring, struct search *search, enum standing standing)
{
	struct backend *picked = NULL;

	for (size_t i = 0; i < ring->count; i++) {
		struct backend *backend = ring->backends[(ring->next + i) % ring->count];

		if (!is_open(backend) || backend_standing(backend) != standing ||
		    !search_accepts(search, backend))
			continue;
		if (!picked ||
		    (backend->state == BACKEND_DOWN && backend->until_us < picked->until_us))
			picked = backend;
	}
	return picked;
}

/* A request tries at most one backend that is down for a hard reason. */
static bool search_had_hard(const struct search *search)
{
	const struct ring_request *request = search->request;

	for (size_t i = 0; i < request->count; i++) {
		if (request->tries[i].standing == STANDING_HARD)
			return true;
	}
	return false;
}

static struct backend *ring_pick_last_resort(struct ring *ring, struct search *search)
{
	const struct ring_request *request = search->request;
	struct backend *picked = NULL;

	if (request->may_wait && request->has_waited)
		return NULL;
	if (!request->may_wait)
		picked = ring_pick_soonest(ring, search, STANDING_BUSY);
	if (!picked)
		picked = ring_pick_soonest(ring, search, STANDING_SOFT);
	if (!picked && !search_had_hard(search))
		picked = ring_pick_soonest(ring, search, STANDING_HARD);
	return picked;
}

static struct backend *ring_pick_well(struct ring *ring, struct search *search)
{
	struct backend *found = ring_pick_regular(ring, search, false);

	return found ? found : ring_pick_regular(ring, search, true);
}

/* Finds the backend whose turn it is; changes nothing yet. */
static struct backend *ring_find(struct ring *ring, struct search *search)
{
	ring_refresh_shares(ring, search->request->now_us);
	struct backend *found = ring_pick_well(ring, search);

	if (found)
		return found;
	/* A silent backend may answer yet; that is better than no answer. */
	search->takes_silent = true;
	if (search->found_silent)
		found = ring_pick_well(ring, search);
	return found ? found : ring_pick_last_resort(ring, search);
}

static enum ring_pick_result search_result(const struct search *search, const struct backend *found)
{
	if (found)
		return RING_PICKED;
	return search->found_full ? RING_ALL_FULL : RING_NOBODY;
}

enum ring_pick_result ring_preview(struct ring *ring, const struct ring_request *request)
{
	struct search search = {.request = request};
	const struct backend *found = ring_find(ring, &search);

	return search_result(&search, found);
}

bool ring_can_pick_well(struct ring *ring, const struct ring_request *request)
{
	struct search search = {.request = request};

	ring_refresh_shares(ring, request->now_us);
	return ring_pick_well(ring, &search) != NULL;
}

/* Each backend that took part gains its weight; the picked one loses the sum. */
static void ring_settle_turns(struct ring *ring, struct search *search, struct backend *picked)
{
	int64_t sum = 0;

	for (size_t i = 0; i < ring->count; i++) {
		if (ring->weights[i] == 0 || !ring_lets_take(ring, search, ring->backends[i]))
			continue;
		ring->backends[i]->turn += ring->weights[i];
		sum += ring->weights[i];
	}
	picked->turn -= sum;
}

static void ring_note_pick(struct ring *ring, struct backend *picked)
{
	/* It is seldom far from the one before. */
	while (ring->backends[ring->next] != picked)
		ring->next = (ring->next + 1) % ring->count;
	ring->next = (ring->next + 1) % ring->count;
	if (picked->state == BACKEND_TRIAL)
		picked->on_trial = true;
}

static void ring_begin_try(const struct ring_request *request, struct backend *picked)
{
	request->tries[request->count] = (struct try_record){
	    .backend = picked,
	    .standing = backend_standing(picked),
	    .epoch = picked->epoch,
	};
	if (backend_is_silent(picked, request->seen_us))
		picked->silence.looked_us = request->seen_us;
}

void ring_pick_bound(const struct ring_request *request, struct backend *backend)
{
	struct try_record *try = &request->tries[request->count];

	ring_begin_try(request, backend);
	if (try->standing == STANDING_TRIAL)
		try->standing = STANDING_BUSY;
}

enum ring_pick_result ring_pick(struct ring *ring, const struct ring_request *request)
{
	struct search search = {.request = request};
	struct backend *picked = ring_find(ring, &search);

	if (!picked)
		return search_result(&search, picked);
	if (search.is_weighted)
		ring_settle_turns(ring, &search, picked);
	ring_begin_try(request, picked);
	ring_note_pick(ring, picked);
	return RING_PICKED;
}

/* Would it answer a request that another backend has been silent about since then? */
static bool answers_surely(
    struct backend *backend, const struct ring_request *request, int64_t since_us)
{
	const struct silence *silence = &backend->silence;
	struct search search = {.request = request};

	return is_open(backend) && backend_standing(backend) == STANDING_UP &&
	       !search_had(&search, backend) && !is_full(backend, request->now_us) &&
	       (silence->owed_count == 0 || silence->heard_us > since_us) &&
	       !backend_has_just_woken(backend, request->seen_us) &&
	       !backend_is_silent(backend, request->seen_us);
}

static bool ring_is_better_second(const struct ring *ring, const struct backend *backend,
    const struct backend *other, int64_t now_us)
{
	if (backend->options.backup != other->options.backup)
		return other->options.backup;
	return ring_is_lighter(ring, backend, other, now_us);
}

bool ring_pick_second(struct ring *ring, const struct ring_request *request, int64_t since_us)
{
	struct backend *picked = NULL;

	for (size_t i = 0; i < ring->count; i++) {
		struct backend *backend = ring->backends[(ring->next + i) % ring->count];

		if (answers_surely(backend, request, since_us) &&
		    (!picked || ring_is_better_second(ring, backend, picked, request->now_us)))
			picked = backend;
	}
	if (picked)
		ring_begin_try(request, picked);
	return picked != NULL;
}
