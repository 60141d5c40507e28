#include "law.h"

#include "oracle.h"
#include "sim_loop.h"
#include "sim_net.h"
#include "trace.h"
#include "waiting.h"

/* Between two looks at one that is silent. */
enum { LOOK_US = 250000 };

enum { EXCHANGES = 1024, SECONDS = 16, BUDGET_SECONDS = 10, LARGE = 8192, FRONT = 128 };

/* What an exchange was given so far. */
struct given {
	const struct exchange *exchange;
	size_t count;
	enum backend_state states[TRIES]; /* of the backends when they were picked */
	bool had_hard;                    /* one of them was down for a hard reason */
	bool is_settled;
	bool is_repeatable;   /* as it was judged */
	bool was_good[TRIES]; /* then */
	bool is_heard;        /* so is what became of its answer */
	bool found_nobody;    /* in the last pick */
	uint64_t denied;      /* law.denied at the last pick */
	uint64_t unheard;     /* net_world.unheard at the first */
	bool is_promised;     /* ring_preview was asked last, and said yes */
	int64_t first_us;
};

static struct {
	struct given given[EXCHANGES];
	size_t given_count;
	const struct exchange *trial[SERVERS]; /* whose request was sent there as one */
	uint64_t requests[SECONDS], retries[SECONDS];
	int64_t second;
	uint64_t granted;
	/* A stuck request that has found a second server, and still needs a token and its budget. */
	struct given *moving;
	uint64_t tokens, moved; /* what has come in, in hundredths, and requests that moved */
	int last_picked;        /* position in the ring; -1 = none yet */
	bool was_busy;          /* a request was in flight at a pick */
	uint64_t picks[SERVERS], pick_count;
	uint64_t denied; /* second sendings that the budget did not allow */
} law;

struct server *law_server_of(const struct backend *backend)
{
	return &world.servers[backend->name[1] - '1'];
}

void law_start(void)
{
	law.given_count = 0;
	law.second = trace_now_us() / 1000000;
	law.granted = 0;
	law.last_picked = -1;
	law.was_busy = false;
	law.pick_count = law.denied = 0;
	law.tokens = law.moved = 0;
	law.moving = NULL;
	memset(law.picks, 0, sizeof(law.picks));
	memset(law.requests, 0, sizeof(law.requests));
	memset(law.retries, 0, sizeof(law.retries));
	memset(law.trial, 0, sizeof(law.trial));
}

void law_finish(void)
{
	check("nothing is left", law.given_count == 0, "%zu exchanges were not logged",
	    law.given_count);
	check("retries keep within their budget", world.failed_over <= law.granted, "%llu of %llu",
	    (unsigned long long)world.failed_over, (unsigned long long)law.granted);
}

/* The exchange of which these are all tries, or one of them, if it is known. */
static struct given *find_owner(const struct try_record *tries)
{
	for (size_t i = 0; i < law.given_count; i++) {
		const struct exchange *exchange = law.given[i].exchange;

		if (tries >= exchange->dispatch.tries && tries < exchange->dispatch.tries + TRIES)
			return &law.given[i];
	}
	return NULL;
}

void law_exchange_ends(const struct access_record *record)
{
	struct given *given = find_owner(record->tries);

	if (!given)
		return;
	check("every try is judged", given->is_settled, "an exchange ends");
	/* A tunnel that breaks says nothing about its server. */
	for (size_t i = 0; i < record->try_count && record->end == ACCESS_OK; i++)
		check("every answer is judged",
		    !given->was_good[i] || given->is_heard || record->status == 101,
		    "that of %s is not", record->tries[i].backend->name);
	*given = law.given[--law.given_count];
}

bool law_was_rescued(const struct access_record *record)
{
	const struct exchange *exchange =
	    (const struct exchange *)(const void *)((const char *)record->tries -
						    offsetof(struct exchange, dispatch.tries));

	return exchange->dispatch.rescues > 0;
}

/* ---- who may be asked */

bool law_is_open(const struct backend *backend)
{
	return !backend->draining && !backend->unresolved;
}

/* A request that is to go somewhere, and where it was. */
struct asking {
	const struct ring *ring;
	const struct given *given; /* NULL: it was nowhere yet */
	const struct try_record *tries;
	size_t count;
	bool is_silent; /* whoever was picked */
};

/* Nothing was sent where a connect was given up. */
static bool is_given_up(const struct backend *backend, const struct asking *asking)
{
	for (size_t i = 0; i < asking->count; i++)
		if (asking->tries[i].backend == backend &&
		    asking->tries[i].outcome == OUTCOME_GIVEN_UP)
			return true;
	return false;
}

static bool is_passed_over(const struct backend *backend, const struct asking *asking)
{
	return backend->silent_us > 0 || is_given_up(backend, asking);
}

static bool is_free(const struct backend *backend, const struct asking *asking)
{
	for (size_t i = 0; i < asking->count; i++)
		if (asking->tries[i].backend == backend &&
		    asking->tries[i].outcome != OUTCOME_GIVEN_UP)
			return false;
	return law_is_open(backend) && (backend->options.max_connections == 0 ||
					   backend->active < backend->options.max_connections);
}

static const struct exchange **trial_of(const struct backend *backend)
{
	return &law.trial[law_server_of(backend)->index];
}

/* Nothing of an answer has come, and nothing more of the request, for as long as rondo needs to see that. */
static bool waits_for_client(const struct exchange *exchange)
{
	const struct request *request = oracle_find_request(exchange->request.target);
	const struct visit *visit;
	int64_t since_us;

	if (!request || request->visit_count == 0)
		return false;
	visit = &world.visits[request->visits[request->visit_count - 1]];
	since_us = waiting_since(visit);
	return since_us > 0 && since_us < sim_loop_judged_us(world.loop) &&
	       visit->peer->channel->read == visit->read_before && !visit->peer->channel->in.data;
}

/* Its trial is another's. */
static bool is_busy(const struct backend *backend)
{
	return backend->state == BACKEND_TRIAL && *trial_of(backend) &&
	       !waits_for_client(*trial_of(backend));
}

static bool is_in_turn(const struct backend *backend)
{
	return backend->state == BACKEND_UP ||
	       (backend->state == BACKEND_TRIAL && !is_busy(backend));
}

static bool is_down(const struct backend *backend, enum blame blame)
{
	return backend->state == BACKEND_DOWN && outcome_blame(backend->reason) == blame;
}

/* Of those who are down for a hard reason one is asked, once. */
static bool had_hard(const struct asking *asking)
{
	return asking->given && asking->given->had_hard;
}

/* Somebody who must come before `picked`, or where nobody was picked, or NULL. */
static const struct backend *find_better(const struct asking *asking, const struct backend *picked)
{
	for (size_t i = 0; i < asking->ring->count; i++) {
		const struct backend *other = asking->ring->backends[i];

		if (other == picked || !is_free(other, asking))
			continue;
		/* Who is silent, or did not connect in time, comes after all who are in turn. */
		if (picked && is_in_turn(picked) && is_passed_over(other, asking))
			continue;
		if (is_in_turn(other) && (!picked || !is_in_turn(picked)))
			return other;
		if (is_in_turn(other) && picked->options.backup && !other->options.backup)
			return other;
		if (picked && is_down(picked, BLAME_SOFT) && is_down(other, BLAME_SOFT) &&
		    other->until_us < picked->until_us)
			return other;
		/* Nobody is refused who could be tried, and who refused comes last. */
		if ((!picked || is_down(picked, BLAME_HARD)) && !is_down(other, BLAME_HARD))
			return other;
		if (!picked && !had_hard(asking))
			return other;
	}
	return NULL;
}

/* Of all turns in a round each has its weight, and where all weigh the same the order is that of the list. */
static void check_turns(const struct ring *ring, const struct backend *picked)
{
	uint64_t sum = 0;
	bool is_equal = true;

	law.picks[law_server_of(picked)->index]++;
	law.pick_count++;
	for (size_t i = 0; i < ring->count; i++) {
		sum += ring->backends[i]->options.weight;
		is_equal &= ring->backends[i]->options.weight == ring->backends[0]->options.weight;
	}
	for (size_t i = 0; i < ring->count; i++) {
		const struct backend *backend = ring->backends[i];

		check("backends get turns by their weight",
		    law.pick_count % sum != 0 || law.picks[law_server_of(backend)->index] ==
						     law.pick_count / sum * backend->options.weight,
		    "%s had %llu of %llu", backend->name,
		    (unsigned long long)law.picks[law_server_of(backend)->index],
		    (unsigned long long)law.pick_count);
		if (backend != picked)
			continue;
		check("backends take turns",
		    !is_equal || law.last_picked < 0 ||
			(size_t)(law.last_picked + 1) % ring->count == i,
		    "%zu after %d", i, law.last_picked);
		law.last_picked = (int)i;
	}
}

/* In thousandths: a tenth when it came back, and all of it after slow_start. */
static int64_t weight_of(const struct ring *ring, const struct backend *backend, int64_t now_us)
{
	int64_t weight = (int64_t)backend->weight * 1000, ramp_us = ring->options.slow_start_us;
	int64_t since_us = now_us - backend->ramp_from_us;

	if (backend->ramp_from_us == 0 || since_us >= ramp_us)
		return weight;
	return weight * (10 + 90 * since_us / ramp_us) / 100;
}

/* least_requests: nobody who could be asked has fewer requests in flight for its weight. Who shows whether he answers
 * is asked without regard to that. */
static void check_lightest(
    const struct asking *asking, const struct backend *picked, int64_t now_us)
{
	if (picked->state != BACKEND_UP || asking->is_silent)
		return;
	for (size_t i = 0; i < asking->ring->count; i++) {
		const struct backend *other = asking->ring->backends[i];

		if (!is_free(other, asking) || other->state != BACKEND_UP ||
		    is_passed_over(other, asking) ||
		    other->options.backup != picked->options.backup)
			continue;
		check("who has the fewest requests in flight for its weight is asked",
		    picked->active * weight_of(asking->ring, other, now_us) <=
			other->active * weight_of(asking->ring, picked, now_us),
		    "%s with %u, not %s with %u", picked->name, picked->active, other->name,
		    other->active);
	}
}

/* Of those who have as few, the next of the list is asked; where nothing was ever in flight, turns are those of round
 * robin. For worlds where nothing goes wrong. */
static void check_turns_of_lightest(const struct ring *ring, const struct backend *picked)
{
	bool is_equal = true;
	size_t at;

	for (size_t i = 0; i < ring->count; i++) {
		is_equal &= ring->backends[i]->weight == ring->backends[0]->weight;
		law.was_busy |= ring->backends[i]->active > 0;
	}
	if (!law.was_busy) {
		check_turns(ring, picked);
		return;
	}
	for (at = (size_t)(law.last_picked + 1) % ring->count; ring->backends[at] != picked;
	     at = (at + 1) % ring->count)
		check("of those with the fewest requests in flight the next is asked",
		    !is_equal || ring->backends[at]->active > picked->active,
		    "%s, not %s: both have %u", picked->name, ring->backends[at]->name,
		    picked->active);
	law.last_picked = (int)at;
}

/* Is another in turn, whom nothing speaks against? */
static bool has_sound(const struct asking *asking, const struct backend *picked)
{
	for (size_t i = 0; i < asking->ring->count; i++) {
		const struct backend *other = asking->ring->backends[i];

		if (other != picked && is_free(other, asking) && is_in_turn(other) &&
		    !is_passed_over(other, asking) &&
		    other->options.backup <= picked->options.backup)
			return true;
	}
	return false;
}

/* Who is silent is asked now and then, to see whether he answers. */
static void check_look(const struct asking *asking, const struct backend *picked)
{
	struct server *server = law_server_of(picked);
	int64_t now_us = loop_seen_us(world.loop);

	if (!asking->is_silent || !has_sound(asking, picked))
		return;
	check("who is silent is passed over, but for a look",
	    now_us - server->looked_us >= LOOK_US && now_us - picked->silent_us >= LOOK_US &&
		picked->env->silence.options.rescue_percent > 0,
	    "%s", picked->name);
	server->looked_us = now_us;
}

static void check_picked(const struct asking *asking, const struct backend *picked, int64_t now_us)
{
	const struct ring *ring = asking->ring;

	check("who is asked is free", is_free(picked, asking), "%s", picked->name);
	check_look(asking, picked);
	check("one that refused is tried once", !is_down(picked, BLAME_HARD) || !had_hard(asking),
	    "%s", picked->name);
	if (world.profile.calm && ring->options.balance == RING_ROUND_ROBIN)
		check_turns(ring, picked);
	if (ring->options.balance != RING_LEAST_REQUESTS)
		return;
	check_lightest(asking, picked, now_us);
	if (world.profile.calm)
		check_turns_of_lightest(ring, picked);
}

/* All tries together have so much time, from the first pick or from when the content was sent for the first time. */
static void check_deadline(const struct given *given, int64_t now_us)
{
	const struct exchange *exchange = given->exchange;
	int64_t from_us = given->first_us;

	const struct request *request = oracle_find_request(exchange->request.target);

	if (request && !oracle_is_gathered(request, &exchange->with.rules->retry)) {
		if (request->whole_us == 0)
			return;
		from_us = request->whole_us;
	}
	/* The clock that counts was read a moment later. */
	check("nothing is tried after retry.deadline",
	    now_us < from_us + exchange->with.rules->retry.deadline_us + 5000, "%lld us after it",
	    (long long)(now_us - from_us - exchange->with.rules->retry.deadline_us));
}

static void note_pick(const struct exchange *exchange, int64_t now_us)
{
	struct request *request = oracle_find_request(exchange->request.target);
	const struct channel *client = net_channel(exchange->with.client->watch.fd);

	if (!request || request->picked_us > 0)
		return;
	request->picked_us = now_us;
	request->rules_first = request->rules_last = (size_t)(exchange->with.rules - world.rules);
	check("short content is here before a server is picked",
	    !oracle_is_gathered(request, &exchange->with.rules->retry) ||
		client->read >= request->ends_at,
	    "request %lld: %llu of %llu bytes", (long long)world_index(request),
	    (unsigned long long)(client->read - request->begins_at),
	    (unsigned long long)(request->ends_at - request->begins_at));
}

/* Whoever picks does so for somebody. */
static void check_client(const struct exchange *exchange)
{
	const struct request *request = oracle_find_request(exchange->request.target);

	check("nothing is tried for a client that has gone",
	    !request || !oracle_has_lost_client(request), "request %lld",
	    (long long)world_index(request));
}

enum ring_pick_result __real_ring_pick(struct ring *ring, const struct ring_request *request);
enum ring_pick_result __wrap_ring_pick(struct ring *ring, const struct ring_request *request);
enum ring_pick_result __wrap_ring_pick(struct ring *ring, const struct ring_request *request)
{
	struct try_record *tries = request->tries;
	size_t count = request->count;
	int64_t now_us = request->now_us;
	const struct exchange *exchange =
	    (const struct exchange *)(const void *)((const char *)tries -
						    offsetof(struct exchange, dispatch.tries));
	struct given *given = find_owner(tries);
	const struct backend *picked = NULL, *better;

	if (!given) {
		check(
		    "the oracle has room", law.given_count < EXCHANGES, "%d exchanges", EXCHANGES);
		given = &law.given[law.given_count++];
		*given = (struct given){
		    .exchange = exchange, .unheard = net_world.unheard, .first_us = now_us};
		note_pick(exchange, now_us);
	}
	check_client(exchange);
	struct asking asking = {ring, given, tries, count, false};
	enum ring_pick_result result = __real_ring_pick(ring, request);

	if (result == RING_PICKED)
		picked = tries[count].backend;
	better = find_better(&asking, picked);
	check(
	    "who is up is asked first", !better, "%s was passed over", better ? better->name : "");
	if (picked) {
		asking.is_silent = backend_is_silent(tries[count].backend, request->seen_us);
		check_picked(&asking, picked, now_us);
	}
	if (count > 0) {
		check_deadline(given, now_us);
		/* An answer that falls through is kept in its attempt. */
		const struct attempt *last = exchange->dispatch.attempt ? exchange->dispatch.attempt
									: exchange->dispatch.other;
		int64_t ended_us = last ? last->began_us + last->record->took_us : now_us;
		check("the next try begins at once",
		    now_us == ended_us || tries[count - 1].outcome == OUTCOME_GIVEN_UP,
		    "%lld us later", (long long)(now_us - ended_us));
	}
	check("who could be picked is picked", picked || !given->is_promised, "%zu tries", count);
	given->is_promised = false;
	given->found_nobody = !picked;
	given->denied = law.denied;
	if (picked) {
		given->states[given->count++] = picked->state;
		given->had_hard |= is_down(picked, BLAME_HARD);
		if (picked->state == BACKEND_TRIAL && !*trial_of(picked))
			*trial_of(picked) = exchange;
	}
	return result;
}

/* ---- silence */

bool __real_ring_pick_second(
    struct ring *ring, const struct ring_request *request, int64_t since_us);
bool __wrap_ring_pick_second(
    struct ring *ring, const struct ring_request *request, int64_t since_us);
bool __wrap_ring_pick_second(
    struct ring *ring, const struct ring_request *request, int64_t since_us)
{
	struct given *given = find_owner(request->tries);
	const struct asking asking = {ring, given, request->tries, request->count, false};
	bool is_picked = __real_ring_pick_second(ring, request, since_us);

	law.moving = is_picked ? given : NULL;
	if (!is_picked)
		return false;
	const struct backend *picked = request->tries[request->count].backend;
	const struct silence *silence = &picked->silence;
	check("a stuck request goes to a second server that is free and up",
	    is_free(picked, &asking) && picked->state == BACKEND_UP, "%s", picked->name);
	check("a stuck request goes to a server that answers",
	    (silence->owed_count == 0 || silence->heard_us > since_us) && picked->silent_us == 0,
	    "%s", picked->name);
	check("a stuck request has been sent", given && given->count > 0, "%s", picked->name);
	return true;
}

void __real_silence_request(struct silence_common *common, int64_t now_us);
void __wrap_silence_request(struct silence_common *common, int64_t now_us);
void __wrap_silence_request(struct silence_common *common, int64_t now_us)
{
	law.tokens += common->options.rescue_percent;
	__real_silence_request(common, now_us);
}

bool __real_silence_take_token(struct silence_common *common, int64_t now_us);
bool __wrap_silence_take_token(struct silence_common *common, int64_t now_us);
bool __wrap_silence_take_token(struct silence_common *common, int64_t now_us)
{
	bool is_taken = __real_silence_take_token(common, now_us);

	law.moved += is_taken;
	/* Ten, and those of one second once more. */
	check("no more requests move than the tokens allow",
	    !is_taken || law.moved * 100 <= 1000 + 2 * law.tokens, "%llu of %llu requests",
	    (unsigned long long)law.moved, (unsigned long long)world.request_count);
	if (!is_taken)
		law.moving = NULL;
	return is_taken;
}

enum ring_pick_result __real_ring_preview(struct ring *ring, const struct ring_request *request);
enum ring_pick_result __wrap_ring_preview(struct ring *ring, const struct ring_request *request);
enum ring_pick_result __wrap_ring_preview(struct ring *ring, const struct ring_request *request)
{
	const struct try_record *tries = request->tries;
	size_t count = request->count;
	struct given *given = find_owner(tries);
	const struct asking asking = {ring, given, tries, count, false};
	const struct backend *left = find_better(&asking, NULL);
	enum ring_pick_result result = __real_ring_preview(ring, request);
	bool can = result == RING_PICKED;

	check(
	    "whoever is left is found", can || !left, "%s was passed over", left ? left->name : "");
	if (given) {
		given->is_promised = can;
		given->found_nobody = !can;
	}
	return result;
}

/* Is the client still sending it? Of chunks that is over when a server has them all. */
static bool is_being_sent(const struct exchange *exchange, const struct request *request)
{
	if (request->framing == FRAMING_NONE || request->whole_us > 0)
		return false;
	return request->framing == FRAMING_CHUNKED ||
	       exchange->with.client->received <
		   request->begins_at + exchange->request.length + request->length;
}

static bool is_out_of_time(const struct given *given, const struct request *request)
{
	/* Before it is sent anywhere, the client is not waited for. */
	return (request->visit_count == 0 || !is_being_sent(given->exchange, request)) &&
	       trace_now_us() >= given->first_us + given->exchange->with.rules->retry.deadline_us;
}

/* Did the kernel take bytes of it for a server, or of one that no server could tell? */
static bool may_have_been_sent(const struct given *given, const struct request *request)
{
	for (size_t i = 0; i < world.profile.servers; i++)
		if (world.servers[i].lost_in_head || world.servers[i].outcomes[OUTCOME_STALLED] > 0)
			return true;
	return request->visit_count > 0 || net_world.unheard > given->unheard;
}

static size_t count_given_up(const struct verdict_case *verdict)
{
	size_t count = 0;

	for (size_t i = 0; i < verdict->count; i++)
		count += verdict->tries[i].outcome == OUTCOME_GIVEN_UP;
	return count;
}

/* The last try failed, and there will be no other: is there a reason? */
static bool has_reason_to_give_up(const struct given *given, const struct verdict_case *verdict)
{
	const struct exchange *exchange = given->exchange;
	const struct proxy_retry_options *rules = &exchange->with.rules->retry;
	const struct request *request = oracle_find_request(exchange->request.target);

	if (!request || given->found_nobody || given->denied < law.denied ||
	    oracle_was_short(request) || oracle_may_have_lost_client(request))
		return true;
	return verdict->count - count_given_up(verdict) >= rules->tries ||
	       is_out_of_time(given, request) ||
	       (may_have_been_sent(given, request) && !oracle_must_repeat(request, rules));
}

/* An outcome after which another server may be asked. */
static bool is_failure(enum outcome outcome)
{
	return outcome == OUTCOME_STALE || outcome == OUTCOME_IMPATIENT ||
	       outcome == OUTCOME_BUSY ||
	       (outcome_blame(outcome) != BLAME_NONE && outcome != OUTCOME_CUT_OFF);
}

/* May it be sent again, by its rules? Of chunks nobody knows how much is kept. */
static void check_repeatable(const struct given *given, bool is_repeatable)
{
	const struct proxy_retry_options *rules = &given->exchange->with.rules->retry;
	const struct request *request = oracle_find_request(given->exchange->request.target);
	bool is_long;

	if (!request)
		return;
	is_long = request->framing == FRAMING_LENGTH && request->length > rules->body_bytes;
	check("what may not be sent again is compared by the ring",
	    !is_repeatable || (rules->tries > 1 && oracle_may_repeat(request, rules) &&
				  !(is_long && request->whole_us > 0)),
	    "request %lld", (long long)world_index(request));
	check("what could have been sent again is not compared by the ring",
	    is_repeatable || rules->tries == 1 || !oracle_must_repeat(request, rules),
	    "request %lld", (long long)world_index(request));
}

/* Of two that were asked at a time, the first may have answered after the second failed, or was still asked when the request was
 * given up. */
static bool has_other(const struct verdict_case *request)
{
	for (size_t i = 0; i < request->count; i++)
		if (request->tries[i].outcome == OUTCOME_GOOD ||
		    request->tries[i].outcome == OUTCOME_CLIENT)
			return true;
	return false;
}

void law_check_tries(const struct verdict_case *request)
{
	struct given *given = find_owner(request->tries);

	if (!given)
		return;
	check("every request is judged once", !given->is_settled, "of %zu tries", request->count);
	check_repeatable(given, request->is_repeatable);
	given->is_settled = true;
	given->is_repeatable = request->is_repeatable;
	for (size_t i = 0; i < request->count; i++)
		given->was_good[i] = request->tries[i].outcome == OUTCOME_GOOD;
	check("every try is judged", given->count == request->count, "%zu of %zu", request->count,
	    given->count);
	for (size_t i = 0; i < request->count; i++)
		check("a try knows whether it was a trial",
		    (request->tries[i].standing != STANDING_UP) == (given->states[i] != BACKEND_UP),
		    "try %zu, of %s", i, request->tries[i].backend->name);
	check("a request is tried again where it may be",
	    request->count == 0 || has_other(request) ||
		!is_failure(request->tries[request->count - 1].outcome) ||
		has_reason_to_give_up(given, request),
	    "it ends after %zu tries", request->count);
}

void law_check_ending(const struct try_record *try, bool is_repeatable)
{
	struct given *given = find_owner(try);

	if (!given)
		return;
	check("what has failed is judged once",
	    given->is_settled && given->was_good[try - given->exchange->dispatch.tries], "as %s",
	    outcome_word(try->outcome));
	check("what has failed is judged once", !given->is_heard, "as %s",
	    outcome_word(try->outcome));
	check("a request is of one kind", given->is_repeatable == is_repeatable, "try of %s",
	    try->backend->name);
	given->is_heard = true;
}

void law_trial_ends(const struct server *server)
{
	law.trial[server->index] = NULL;
}

bool law_is_trial(const struct server *server, const struct try_record *tries)
{
	return law.trial[server->index] && law.trial[server->index]->dispatch.tries == tries;
}

void __real_verdict_pass_trial_on(struct ring *ring, struct try_record *try);
void __wrap_verdict_pass_trial_on(struct ring *ring, struct try_record *try);
void __wrap_verdict_pass_trial_on(struct ring *ring, struct try_record *try)
{
	const struct server *server = law_server_of(try->backend);
	const struct given *given = find_owner(try);
	bool was_busy = try->backend->on_trial;
	const struct request *request;

	__real_verdict_pass_trial_on(ring, try);
	if (!was_busy || try->backend->on_trial || !given)
		return;
	request = oracle_find_request(given->exchange->request.target);
	check("a trial is passed on by whoever has it, while it waits for its client or connects",
	    law.trial[server->index] == given->exchange &&
		(!request || is_being_sent(given->exchange, request) ||
		    given->exchange->dispatch.attempt->state == ATTEMPT_CONNECTING),
	    "that of %s", try->backend->name);
	law_trial_ends(server);
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

static void note_move(struct given *given)
{
	struct request *request = oracle_find_request(given->exchange->request.target);

	given->states[given->count++] = BACKEND_UP;
	if (request)
		request->has_moved = true;
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
	if (granted && law.moving)
		note_move(law.moving);
	if (!granted && law.moving)
		law.moved--; /* and its token comes back */
	law.moving = NULL;
	law.retries[slot_of(now_us)] += granted;
	law.granted += granted;
	law.denied += !granted;
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

void __real_slab_give(struct slab *slab, void *object);
void __wrap_slab_give(struct slab *slab, void *object);
void __wrap_slab_give(struct slab *slab, void *object)
{
	/* Whoever still looks at it must not find what was there; of a large one the front will do. */
	if (object)
		memset(object, 0xdb, slab->object_size > LARGE ? FRONT : slab->object_size);
	__real_slab_give(slab, object);
}
