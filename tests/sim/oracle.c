#include "oracle.h"

#include "judge.h"
#include "law.h"
#include "sim_loop.h"
#include "sim_net.h"
#include "trace.h"
#include "waiting.h"

/* A rule that a request may be served under: it began under one set, and others may have come since. */
#define ANY_RULES(request, rules)                                                                  \
	for (const struct proxy_options *rules = &world.rules[(request)->rules_first];             \
	     rules <=                                                                              \
	     &world.rules[(request)->picked_us ? (request)->rules_last : world.rules_now];         \
	     rules++)

/* Who was kept waiting for so long, in all, has not failed when it gives up. */
enum { IMPATIENCE_US = 1000 * 1000 };

/* What is logged of a request whose client went away before its answer began. */
enum { STATUS_CLIENT_GONE = 499 };

/* How late a client that is not slow takes what is there. */
enum { CLIENT_US = 3 * 1000 * 1000 };

/* ---- at the servers */

static bool is_idempotent(const struct request *request)
{
	return request->method == GET || request->method == HEAD || request->method == PUT ||
	       request->method == DELETE || request->method == OPTIONS;
}

bool oracle_may_repeat(const struct request *request, const struct proxy_retry_options *rules)
{
	return rules->methods == RETRY_ALL ||
	       (rules->methods == RETRY_IDEMPOTENT &&
		   (is_idempotent(request) || (request->has_key && rules->idempotency_header[0])));
}

static bool may_repeat(const struct request *request)
{
	ANY_RULES(request, rules)
	if (oracle_may_repeat(request, &rules->retry))
		return true;
	return false;
}

static bool is_short(const struct request *request, const struct proxy_retry_options *rules)
{
	return request->framing == FRAMING_NONE ||
	       (request->framing == FRAMING_LENGTH && request->length <= rules->body_bytes);
}

bool oracle_must_repeat(const struct request *request, const struct proxy_retry_options *rules)
{
	return is_short(request, rules) && oracle_may_repeat(request, rules);
}

bool oracle_is_gathered(const struct request *request, const struct proxy_retry_options *rules)
{
	return is_short(request, rules) && !request->expects;
}

bool oracle_may_have_lost_client(const struct request *request)
{
	ANY_RULES(request, rules)
	if (!rules->clients.half_close)
		return request->ended_us > 0;
	return false;
}

bool oracle_has_lost_client(const struct request *request)
{
	ANY_RULES(request, rules)
	if (rules->clients.half_close)
		return false;
	return request->ended_us > 0 && request->ended_us < sim_loop_judged_us(world.loop);
}

/* Its client went away, or did what ends a connection; what a reload made of that is known only now. */
static bool is_excused(const struct request *request)
{
	return request->is_excused || oracle_may_have_lost_client(request);
}

bool oracle_was_short(const struct request *request)
{
	return net_world.shortages > request->shortages_before;
}

/* A connection from the pool was of no use any more: it died unheard, or what came first on it was left from before. */
static bool was_stale(const struct visit *visit)
{
	return visit->has_rested &&
	       (visit->is_stray || visit->is_tainted || (visit->is_lost && !visit->got_bytes));
}

/* The second visit to the same server: only where the first was on such a connection. */
static void check_second_visit(const struct visit *first, const struct visit *visit)
{
	check("a request goes to no server twice", was_stale(first) && !visit->is_reused,
	    "request %lld at server %d", (long long)visit->request, visit->server);
}

static bool has_visited(const struct request *request, int server)
{
	for (unsigned i = 0; i < request->visit_count; i++)
		if (world.visits[request->visits[i]].server == server)
			return true;
	return false;
}

void oracle_visited(struct visit *visit)
{
	struct request *request = &world.requests[visit->request];
	unsigned same = 0;

	for (unsigned i = 0; i < request->visit_count; i++) {
		const struct visit *other = &world.visits[request->visits[i]];

		if (other->server != visit->server ||
		    world.servers[visit->server].configured_us > request->began_us)
			continue;
		check_second_visit(other, visit);
		same++;
	}
	check("a request goes to no server twice", same < 2, "request %lld at server %d",
	    (long long)visit->request, visit->server);
	check("what must not be repeated is not", request->visit_count == 0 || may_repeat(request),
	    "request %lld reached server %d too", (long long)visit->request, visit->server);
	check("a request has so many tries", request->visit_count < VISITS_OF_REQUEST,
	    "request %lld", (long long)visit->request);
	check("nothing is sent for a client that has gone", !oracle_has_lost_client(request),
	    "request %lld at server %d", (long long)visit->request, visit->server);
	/* A free second try may come after another server was asked beside this one. */
	world.failed_over += request->visit_count > 0 && !has_visited(request, visit->server);
	waiting_begins(visit);
	request->is_tainted |= visit->is_tainted;
	request->is_excused |= visit->is_tainted;
	request->visits[request->visit_count++] = (uint32_t)(visit - world.visits);
}

/* A reload may have allowed what was too much. */
static bool is_allowed(const struct request *request)
{
	uint64_t most = world.rules[request->rules_last].limits.body_bytes;

	return request->fault == FAULT_NONE ||
	       (request->fault == FAULT_TOO_MUCH && (most == 0 || request->length <= most));
}

void oracle_request_is_whole(const struct visit *visit, const struct reader *reader)
{
	struct request *request = &world.requests[visit->request];

	if (request->whole_us == 0)
		request->whole_us = trace_now_us();

	check("no incomplete request looks complete",
	    is_allowed(request) && reader->content == request->length,
	    "request %lld: %llu of %u bytes", (long long)visit->request,
	    (unsigned long long)reader->content, request->length);
	check("request trailers are dropped", !reader->has_trailers, "request %lld",
	    (long long)visit->request);
}

/* All tries of it together: is it still waited for? */
static void check_deadline(const struct request *request, int64_t judged_us)
{
	int64_t from_us = request->picked_us;
	int64_t most_us = 0;

	ANY_RULES(request, rules)
	{
		if (rules->retry.deadline_us > most_us)
			most_us = rules->retry.deadline_us;
		if (!oracle_is_gathered(request, &rules->retry))
			from_us = request->whole_us;
	}
	check("retry.deadline is not late by more than a turn",
	    from_us == 0 || judged_us < from_us + most_us + 1000, "request %lld",
	    (long long)world_index(request));
}

static bool is_retry_status(const struct request *request, unsigned status)
{
	ANY_RULES(request, rules)
	if (retry_is_status(&rules->retry, status))
		return true;
	return false;
}

/* A head has as much time as its first byte had. It may begin before the request is whole. */
static void check_head_time(const struct visit *visit)
{
	int64_t most_us = world.servers[visit->server].options.max_delay_response_us;
	int64_t from_us = visit->heading_us > visit->sent_us ? visit->heading_us : visit->sent_us;

	check("a head is complete within max_delay_response, or late by no more than a turn",
	    visit->judged_us < from_us + most_us + 1000, "request %lld at server %d",
	    (long long)visit->request, visit->server);
	/* By the clock of the turn in which it was read. */
	check("a head has max_delay_response from its first byte",
	    visit->closed_us >= visit->heading_us + most_us - TURN_US,
	    "request %lld at server %d was left after %lld us", (long long)visit->request,
	    visit->server, (long long)(visit->closed_us - visit->heading_us));
}

/* Its content came as far as it came, and no further. */
static void check_content_time(const struct request *request, const struct visit *visit)
{
	int64_t silent_us = visit->closed_us - visit->read_us, least_us = INT64_MAX, most_us = 0;
	/* One that answers before the request is whole is not waited for until it has the rest. */
	int64_t from_us = visit->read_us > visit->sent_us ? visit->read_us : visit->sent_us;

	ANY_RULES(request, rules)
	{
		if (rules->timeouts.response_us < least_us)
			least_us = rules->timeouts.response_us;
		if (rules->timeouts.response_us > most_us)
			most_us = rules->timeouts.response_us;
	}
	check("a server may be silent for timeouts.response", silent_us >= least_us - TURN_US,
	    "request %lld at server %d: it was left after %lld us, not %lld",
	    (long long)visit->request, visit->server, (long long)silent_us, (long long)least_us);
	/* Its client may have taken the last bytes a little later. */
	check("timeouts.response is not late", visit->judged_us < from_us + most_us + CLIENT_US,
	    "request %lld at server %d: it was left after %lld us, not %lld",
	    (long long)visit->request, visit->server, (long long)silent_us, (long long)most_us);
}

/* Its request is over, or has the answer of another server; this one is still listened to. */
static bool is_straggler(const struct request *request, const struct visit *visit)
{
	for (unsigned i = 0; i < request->visit_count; i++) {
		const struct visit *other = &world.visits[request->visits[i]];

		if (other != visit && other->is_answered)
			return true;
	}
	/* What ends with its request ends in the same moment. */
	return request->logged > 0 && trace_now_us() > request->logged_us;
}

/* rondo left an answer that had begun, and nobody but the server can be the reason. */
static void check_answer_time(const struct visit *visit)
{
	const struct request *request = &world.requests[visit->request];

	if (!visit->is_answered || visit->is_bad || visit->is_bad_content || visit->switches ||
	    visit->is_stray || visit->taken >= visit->answer_end || !visit->is_whole ||
	    visit->heading_us == 0 || is_excused(request) || request->fault ||
	    oracle_was_short(request) || world.is_draining || world.is_ending || world.tainted > 0)
		return;
	if (visit->taken < visit->content_at)
		check_head_time(visit);
	else if (!is_retry_status(request, visit->status) && !is_straggler(request, visit))
		check_content_time(request, visit);
}

void oracle_visit_ends(const struct visit *visit)
{
	int64_t due_us;

	if (visit->request >= 0 && !visit->is_lost) {
		const struct request *request = &world.requests[visit->request];

		check_answer_time(visit);
		check("nothing is waited for by a client that has gone",
		    !oracle_has_lost_client(request) || visit->switches ||
			is_straggler(request, visit),
		    "request %lld at server %d", (long long)visit->request, visit->server);
	}
	if (visit->request < 0 || visit->got_bytes || visit->sent_us == 0 || visit->is_lost)
		return;
	if (!is_straggler(&world.requests[visit->request], visit))
		check_deadline(&world.requests[visit->request], visit->judged_us);
	/* By the clock that was read before its last byte was accepted and this much later it is late. */
	due_us = visit->sent_us + world.servers[visit->server].options.max_delay_response_us;
	check("max_delay_response is not late by more than a turn",
	    visit->judged_us < due_us + 1000,
	    "request %lld at server %d was left %lld us after its time", (long long)visit->request,
	    visit->server, (long long)(visit->closed_us - due_us));
}

/* ---- at the clients */

static bool is_allowed_own(const struct request *request, unsigned status)
{
	static const unsigned faults[FAULTS] = {[FAULT_TWO_LENGTHS] = 400,
	    [FAULT_LENGTH_AND_CODING] = 400,
	    [FAULT_BARE_LF] = 400,
	    [FAULT_NO_HOST] = 400,
	    [FAULT_VERSION] = 505,
	    [FAULT_METHOD] = 400,
	    [FAULT_CONNECT] = 405,
	    [FAULT_LONG_HEAD] = 431,
	    [FAULT_LONG_TARGET] = 414,
	    [FAULT_EXPECTATION] = 417,
	    [FAULT_CODING] = 400,
	    [FAULT_CHUNK] = 400,
	    [FAULT_TOO_MUCH] = 413};

	/* Its time goes on while the process stands still, and the kernel does not take a whole head meanwhile. */
	if (status == 408)
		return is_excused(request) || request->fault != FAULT_NONE ||
		       world.profile.pauses || oracle_was_short(request);
	if (request->fault != FAULT_NONE && status == faults[request->fault])
		return true;
	if (request->fault != FAULT_NONE && request->fault < FAULT_CHUNK)
		return false;
	if (status < 502 || status > 504)
		return false;
	if (oracle_was_short(request) || request->is_tainted)
		return true;
	return (request->own_status == 0 || status == request->own_status) &&
	       (!request->has_fallen_through || request->has_moved);
}

/* If it was tried, all of it was here; and nothing stands against another. */
static bool may_go_on(const struct request *request)
{
	ANY_RULES(request, rules)
	if (!oracle_is_gathered(request, &rules->retry))
		return false;
	return request->fault == FAULT_NONE && !request->closes && !world.is_draining &&
	       !oracle_was_short(request);
}

/* A 408 on a connection that was used before says nothing of the request. */
static bool has_crossed(const struct request *request, const struct visit *visit)
{
	ANY_RULES(request, rules)
	if (!oracle_must_repeat(request, &rules->retry))
		return false;
	return visit->is_reused && visit->is_stray && visit->is_whole &&
	       visit->sent_us < visit->heading_us;
}

void oracle_answer_begins(struct request *request, const struct message_answer *answer)
{
	if (answer->is_own) {
		check("an answer of rondo's own keeps the connection",
		    !answer->closes || answer->status < 502 || !may_go_on(request),
		    "%u to request %lld", answer->status, (long long)world_index(request));
		check("rondo answers itself where it must",
		    is_allowed_own(request, answer->status) && !world.profile.calm,
		    "%u to request %lld with fault %d", answer->status,
		    (long long)world_index(request), (int)request->fault);
		world.own_answers++;
		return;
	}
	/* Before its server could read whose it is; or it belongs to one whose place was taken so. */
	if ((answer->request < 0 && world.tainted > 0) ||
	    (answer->visit >= 0 && world.visits[answer->visit].is_tainted))
		request->is_tainted = request->is_excused = true;
	check("an answer belongs to its request",
	    request->is_tainted || answer->request == world_index(request), "%lld got that to %lld",
	    (long long)world_index(request), (long long)answer->request);
	check("what is left from before is no answer",
	    answer->visit < 0 || !has_crossed(request, &world.visits[answer->visit]),
	    "%u to request %lld", answer->status, (long long)world_index(request));
}

/* Whichever comes first, the answer or its line in the log. */
static void check_line(const struct request *request)
{
	check("the log tells of what went well",
	    request->logged == 0 || !request->has_servers_answer || request->is_logged_ok ||
		request->is_tainted,
	    "request %lld", (long long)world_index(request));
}

void oracle_answered(
    struct request *request, const struct message_answer *answer, const struct reader *reader)
{
	const struct visit *visit;

	world.answered++;
	if (answer->visit < 0)
		return;
	visit = &world.visits[answer->visit];
	check("no ending is made up", !visit->is_cut && !visit->is_bad_content,
	    "request %lld, visit %lld", (long long)world_index(request), (long long)answer->visit);
	check("no ending is made up",
	    answer->framing == FRAMING_NONE || reader->content == visit->length,
	    "request %lld got %llu of %u bytes", (long long)world_index(request),
	    (unsigned long long)reader->content, visit->length);
	request->has_servers_answer = true;
	check_line(request);
	check("trailers pass to those who take them",
	    reader->has_trailers == (request->takes_trailers && visit->has_trailers),
	    "request %lld", (long long)world_index(request));
	check("trailers pass as they are, without those that frame, route or authenticate",
	    !reader->has_trailers ||
		str_equals((struct str){reader->text, reader->len}, STR(MESSAGE_TRAILERS)),
	    "request %lld", (long long)world_index(request));
}

/* Somebody else may have had a reason: the last server that was asked did not answer in full, or one whose answer fell through, and
 * was passed on for want of a better one. */
static bool has_broken_visit(const struct request *request)
{
	for (unsigned i = 0; i < request->visit_count; i++) {
		const struct visit *visit = &world.visits[request->visits[i]];
		bool is_last = i + 1 == request->visit_count;

		if ((is_last || is_retry_status(request, visit->status)) &&
		    (visit->is_cut || visit->is_bad_content || visit->is_lost ||
			visit->is_forlorn || visit->was_frozen))
			return true;
	}
	return false;
}

void oracle_unanswered(const struct request *request, int64_t visit_index)
{
	const struct visit *visit = visit_index >= 0 ? &world.visits[visit_index] : NULL;

	world.cut++;
	trace("request # has no whole answer (visit #)", world_index(request), visit_index, 0);
	if (is_excused(request) || oracle_was_short(request) || world.is_ending)
		return;
	check("an answer is cut only where it must be",
	    !visit || visit->is_cut || visit->is_bad_content || visit->is_lost ||
		visit->is_forlorn || visit->was_frozen,
	    "request %lld of visit %lld", (long long)world_index(request), (long long)visit_index);
	check("every request gets an answer",
	    visit || request->fault != FAULT_NONE || has_broken_visit(request), "request %lld",
	    (long long)world_index(request));
}

void oracle_idle_client_ends(int64_t idle_us, uint64_t shortages_before)
{
	int64_t least_us = INT64_MAX;

	if (net_world.shortages > shortages_before || world.is_draining || world.is_ending)
		return;
	for (size_t i = 0; i <= world.rules_now; i++)
		if (world.rules[i].timeouts.keep_alive_us < least_us)
			least_us = world.rules[i].timeouts.keep_alive_us;
	/* Its time runs from the clock of the turn in which it was answered. */
	check("an idle client may stay for timeouts.keep_alive",
	    trace_now_us() - idle_us >= least_us - TURN_US, "it ended after %lld us, not %lld",
	    (long long)(trace_now_us() - idle_us), (long long)least_us);
}

void oracle_tunnel_broke(const struct request *request, const struct visit *visit)
{
	trace("the tunnel of request # broke", world_index(request), 0, 0);
	check("a tunnel delivers what is on its way",
	    is_excused(request) || oracle_was_short(request) || world.is_draining ||
		world.is_ending || visit->is_cut || visit->is_lost || visit->was_frozen ||
		world.profile.client > 0,
	    "request %lld", (long long)world_index(request));
}

/* ---- the line of a request */

static int64_t least_connect_us(const struct request *request)
{
	int64_t least = INT64_MAX;

	ANY_RULES(request, rules)
	if (rules->timeouts.connect_us < least)
		least = rules->timeouts.connect_us;
	return least;
}

static int64_t least_deadline_us(const struct request *request)
{
	int64_t least = INT64_MAX;

	ANY_RULES(request, rules)
	if (rules->retry.deadline_us < least)
		least = rules->retry.deadline_us;
	return least;
}

/* It may have been kept waiting long enough, on the connections of one try together. */
static bool may_be_impatient(const struct request *request, const struct server *server)
{
	int64_t most_us = 0;

	for (unsigned i = 0; i < request->visit_count; i++) {
		const struct visit *visit = &world.visits[request->visits[i]];

		if (visit->server == server->index)
			most_us += waiting_most_us(visit);
	}
	return most_us >= IMPATIENCE_US - TURN_US;
}

/* Did the server do that in this visit, or without one? */
static bool is_true_of(const struct request *request, const struct try_record *try,
    const struct server *server, const struct visit *visit)
{
	switch (try->outcome) {
	case OUTCOME_GOOD:
		return visit && visit->is_answered && visit->status == try->status &&
		       !visit->is_bad && !is_retry_status(request, try->status);
	case OUTCOME_STATUS:
		return visit && visit->is_answered && visit->status == try->status &&
		       is_retry_status(request, try->status);
	case OUTCOME_REFUSED:
	case OUTCOME_UNREACHABLE:
	case OUTCOME_BUSY:
		return server->outcomes[try->outcome] > 0;
	case OUTCOME_CONNECT_TIMEOUT:
		return server->outcomes[try->outcome] > 0 &&
		       try->took_us >= least_connect_us(request);
	case OUTCOME_LATE:
		return visit && visit->sent_us > 0 &&
		       (visit->closed_us > 0 ? visit->closed_us : trace_now_us()) >=
			   visit->sent_us + server->options.max_delay_response_us;
	case OUTCOME_STALLED:
		return visit ? visit->sent_us == 0 : server->outcomes[OUTCOME_STALLED] > 0;
	case OUTCOME_RESET:
		return visit ? visit->is_lost && waiting_least_us(visit) < IMPATIENCE_US
			     : server->outcomes[OUTCOME_RESET] > 0;
	case OUTCOME_BAD_RESPONSE:
		return visit && visit->is_answered && !(visit->is_reused && visit->is_stray) &&
		       (visit->is_bad || visit->is_bad_content ||
			   (visit->switches && !visit->is_whole));
	case OUTCOME_CUT_OFF:
		return visit && waiting_least_us(visit) < IMPATIENCE_US &&
		       (visit->is_cut || (visit->is_lost && !visit->is_forlorn) ||
			   visit->is_bad_content || visit->was_frozen);
	case OUTCOME_STALE:
		/* One that was rescued is with its second server, though that may not have got it. */
		check("a connection that was stale is followed by a fresh one to the same server",
		    request->visit_count > 1 || request->was_rescued ||
			!oracle_must_repeat(request, &world.rules[request->rules_last].retry) ||
			request->rules_first != request->rules_last,
		    "request %lld, server %d", (long long)world_index(request), server->index);
		if (visit)
			return was_stale(visit);
		/* What may not be repeated went there because it was alive just before. */
		return may_repeat(request) ? server->outcomes[OUTCOME_STALE] > 0
					   : server->lost_in_head;
	case OUTCOME_IMPATIENT:
		if (!visit)
			return server->outcomes[OUTCOME_RESET] > 0;
		/* Who is not told of room takes it for a wait. */
		return (visit->is_lost || visit->is_cut || visit->is_bad_content ||
			   visit->was_frozen || !visit->is_whole) &&
		       (may_be_impatient(request, server) || oracle_was_short(request));
	case OUTCOME_CLIENT:
		return is_excused(request) || request->fault || world.is_draining ||
		       world.is_ending || oracle_was_short(request);
	case OUTCOME_SHORTAGE:
		return oracle_was_short(request);
	case OUTCOME_DEADLINE:
		return trace_now_us() >= request->began_us + least_deadline_us(request);
	case OUTCOME_SILENT:
		return visit && visit->sent_us > 0;
	case OUTCOME_LOST:
	case OUTCOME_GIVEN_UP:
		return true;
	case OUTCOME_CHECK:
	case OUTCOMES:
		break;
	}
	return false;
}

/* Did the server really do what rondo says of it? */
static bool is_true(
    struct request *request, const struct try_record *try, const struct server *server)
{
	for (unsigned i = 0; i < request->visit_count; i++) {
		const struct visit *visit = &world.visits[request->visits[i]];

		if (visit->server == server->index && visit->is_tainted)
			return true;
		if (visit->server == server->index && is_true_of(request, try, server, visit))
			return true;
	}
	/* It was answered before enough of it came to the server to be told from another. */
	if (server->tainted > 0) {
		request->is_tainted = request->is_excused = true;
		return true;
	}
	return is_true_of(request, try, server, NULL);
}

static void check_tries(struct request *request, const struct access_record *record)
{
	unsigned most = 0;
	size_t tries = 0;

	ANY_RULES(request, rules)
	if (rules->retry.tries > most)
		most = rules->retry.tries;
	request->was_rescued = record->try_count > 0 && law_was_rescued(record);
	for (size_t i = 0; i < record->try_count; i++)
		tries += record->tries[i].outcome != OUTCOME_GIVEN_UP;
	check("a request has so many tries", tries <= most, "request %lld: %zu",
	    (long long)world_index(request), tries);
	for (size_t i = 0; i < record->try_count; i++) {
		const struct try_record *try = &record->tries[i];

		for (size_t j = 0; j < i; j++)
			check("a request goes to no server twice",
			    record->tries[j].backend != try->backend ||
				record->tries[j].outcome == OUTCOME_GIVEN_UP,
			    "request %lld, tries %zu and %zu", (long long)world_index(request), j,
			    i);
		trace_word("request #: @ of server #", outcome_word(try->outcome),
		    world_index(request), try->backend->name[1] - '1');
		check("nobody is blamed for what he did not do",
		    is_true(request, try, &world.servers[try->backend->name[1] - '1']),
		    "request %lld: %s of %s", (long long)world_index(request),
		    outcome_word(try->outcome), try->backend->name);
	}
}

/* Did rondo take that server's answer for one that falls through? */
static bool is_answer_of(const struct access_record *record, const struct visit *visit)
{
	for (size_t i = 0; i < record->try_count; i++)
		if (record->tries[i].outcome == OUTCOME_STATUS &&
		    record->tries[i].backend->name[1] - '1' == visit->server)
			return true;
	return false;
}

/* Had an answer with that status begun? */
static bool has_begun(const struct request *request, unsigned status)
{
	for (unsigned i = 0; i < request->visit_count; i++) {
		const struct visit *visit = &world.visits[request->visits[i]];

		if (visit->is_answered && visit->status == status)
			return true;
	}
	return request->is_tainted;
}

/* What is said of a client that went away. */
static void check_leaving(const struct request *request, const struct access_record *record)
{
	bool is_gone = record->end == ACCESS_CLIENT_GONE;

	check("who goes before his answer begins is logged as such",
	    !is_gone || record->status == STATUS_CLIENT_GONE || has_begun(request, record->status),
	    "%u of request %lld", record->status, (long long)world_index(request));
	/* An answer of rondo's own and a tunnel go on. */
	check("who has gone is logged as such",
	    is_gone || record->status == 101 || record->status >= 400 ||
		!oracle_has_lost_client(request),
	    "%u of request %lld", record->status, (long long)world_index(request));
}

/* What rondo itself may say, should nobody else have had the last word. */
static void note_prospects(struct request *request, const struct access_record *record)
{
	bool is_late = false, is_tried = false;

	for (size_t i = 0; i < record->try_count; i++) {
		enum outcome outcome = record->tries[i].outcome;

		is_late |= outcome == OUTCOME_LATE || outcome == OUTCOME_STALLED ||
			   outcome == OUTCOME_CONNECT_TIMEOUT || outcome == OUTCOME_DEADLINE;
		is_tried |= outcome != OUTCOME_CLIENT && outcome != OUTCOME_SHORTAGE &&
			    outcome != OUTCOME_BUSY && outcome != OUTCOME_GIVEN_UP;
	}
	request->own_status = is_late ? 504 : is_tried ? 502 : 503;
	for (unsigned i = 0; i < request->visit_count; i++) {
		const struct visit *visit = &world.visits[request->visits[i]];

		if (visit->status > 0 && !visit->is_bad)
			request->has_fallen_through =
			    is_answer_of(record, visit) && !visit->is_bad_content;
	}
}

bool __wrap_access_log_is_on(const struct access_log *log);
bool __wrap_access_log_is_on(const struct access_log *log)
{
	(void)log;
	return true;
}

struct request *oracle_find_request(struct str target)
{
	size_t at = str_starts_with(target, STR("http://sim.example")) ? 18 : 0;
	uint32_t index;

	if (target.len < at + 11 ||
	    !str_starts_with((struct str){target.data + at, target.len - at}, STR("/r/")) ||
	    !read_hex((struct str){target.data + at + 3, 8}, &index) ||
	    index >= world.request_count)
		return NULL;
	return &world.requests[index];
}

void __wrap_access_log_write(struct access_log *log, const struct access_record *record);
void __wrap_access_log_write(struct access_log *log, const struct access_record *record)
{
	struct request *request = NULL;

	(void)log;
	law_exchange_ends(record);
	if (record->request)
		request = oracle_find_request(record->request->target);
	if (!request)
		return;
	trace_word("request # ends: @", access_end_word(record->end), world_index(request), 0);
	check("a request is served once", request->logged++ == 0, "request %lld",
	    (long long)world_index(request));
	request->logged_us = trace_now_us();
	request->logged_judged_us = sim_loop_judged_us(world.loop);
	request->is_logged_ok = record->end == ACCESS_OK;
	check_line(request);
	check_leaving(request, record);
	check_tries(request, record);
	note_prospects(request, record);
}

/* ---- the whole */

void oracle_start(void)
{
	law_start();
}

void oracle_finish(void)
{
	law_finish();
	for (size_t i = 0; i < world.request_count && world.profile.calm; i++) {
		check("where nothing goes wrong every request is answered",
		    world.requests[i].answer == ANSWER_WHOLE, "request %zu", i);
		/* Else nobody listens to rondo's calls. */
		check("every request is logged", world.requests[i].logged == 1, "request %zu", i);
	}
}

void oracle_state_changed(struct backend *backend)
{
	judge_state_changed(backend);
	trace_word(
	    "backend # is @", backend_state_word(backend), backend->name[1] - '0', backend->reason);
	check(
	    "where nothing goes wrong nobody is marked", !world.profile.calm, "%s", backend->name);
	totals.marks += backend->state == BACKEND_DOWN;
}
