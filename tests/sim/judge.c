#include "judge.h"

#include "book.h"
#include "law.h"
#include "sim_loop.h"
#include "sim_net.h"
#include "trace.h"

/* How many failures in a row ask what the others can do, and how many answers of theirs tell it. */
enum { IN_A_ROW = 3, OTHERS_GOOD = 3 };

/* How many failures are enough while nobody else is down for a soft reason. */
enum { ENOUGH = 3 };

/* How soon rondo looks again at one that it could not reach. */
enum { AGAIN_US = 1000 * 1000 };

static struct book books[SERVERS][RECORDS];

void judge_backend_is_new(struct server *server)
{
	server->seen = BACKEND_UP;
	server->checks_failed = server->checks_good = 0;
	law_trial_ends(server);
	memset(books[server->index], 0, sizeof(books[server->index]));
}

/* Of those that left the configuration nobody keeps a picture any more. */
static bool is_current(const struct backend *backend)
{
	return ring_has(&world.ring, backend);
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
		memset(books[server->index], 0, sizeof(books[server->index]));
}

/* ---- a hearing: what was, and what must come of it */

/* What a backend was, and is to be. */
struct picture {
	const struct backend *backend;
	enum backend_state state;
	enum outcome reason;
	int64_t last_us;   /* its last window */
	int64_t window_us; /* of one that goes down by this; 0 = it does not */
	unsigned epoch;
	bool on_trial;
	bool is_of_request;   /* that trial is one of the request that is decided */
	const char *property; /* that is broken if it is not what it is to be */
};

struct hearing {
	const struct ring *ring;
	int64_t now_us;
	struct picture pictures[SERVERS];
};

static struct hearing begin_hearing(const struct ring *ring, int64_t now_us)
{
	struct hearing hearing = {.ring = ring, .now_us = now_us};

	for (size_t i = 0; i < ring->count; i++) {
		const struct backend *backend = ring->backends[i];

		hearing.pictures[i] = (struct picture){
		    .backend = backend,
		    .state = backend->state,
		    .reason = backend->reason,
		    .last_us = backend->window_us,
		    .epoch = backend->epoch,
		    .on_trial = backend->on_trial,
		    .property = "nobody is judged who was not heard",
		};
	}
	return hearing;
}

/* NULL: it is not in the configuration. */
static struct picture *find_picture(struct hearing *hearing, const struct backend *backend)
{
	for (size_t i = 0; i < hearing->ring->count; i++)
		if (hearing->pictures[i].backend == backend)
			return &hearing->pictures[i];
	return NULL;
}

static struct book *book_of(const struct picture *picture, enum backend_record kind)
{
	return &books[law_server_of(picture->backend)->index][kind];
}

static bool is_up(const struct picture *picture)
{
	return law_is_open(picture->backend) && picture->state == BACKEND_UP;
}

static size_t count_up(const struct hearing *hearing)
{
	size_t up = 0;

	for (size_t i = 0; i < hearing->ring->count; i++)
		up += is_up(&hearing->pictures[i]);
	return up;
}

static bool is_another_down_soft(const struct hearing *hearing, const struct picture *picture)
{
	for (size_t i = 0; i < hearing->ring->count; i++) {
		const struct picture *other = &hearing->pictures[i];

		if (other != picture && law_is_open(other->backend) && other->state != BACKEND_UP &&
		    outcome_blame(other->reason) == BLAME_SOFT)
			return true;
	}
	return false;
}

/* After a failed trial. */
static int64_t doubled(const struct ring *ring, const struct picture *picture)
{
	int64_t most = ring->options.retry_window_max_us > ring->options.retry_window_us
			   ? ring->options.retry_window_max_us
			   : ring->options.retry_window_us;

	return picture->last_us * 2 < most ? picture->last_us * 2 : most;
}

static void goes_down(
    struct picture *picture, enum outcome reason, int64_t window_us, const char *property)
{
	picture->reason = reason;
	picture->state = BACKEND_DOWN;
	picture->window_us = window_us;
	picture->property = property;
}

static void check_window(const struct backend *backend, int64_t window_us, int64_t now_us)
{
	struct server *server = law_server_of(backend);

	server->look_us = now_us + window_us;
	check("windows begin small, and double at each failed trial",
	    backend->window_us == window_us && backend->until_us == server->look_us,
	    "%s is down for %lld us, not %lld", backend->name, (long long)backend->window_us,
	    (long long)window_us);
}

/* The record that people are shown, and that all depends on. */
static void check_record(const struct picture *picture)
{
	const struct backend *backend = picture->backend;
	struct book_count count = book_count(book_of(picture, RECORD_COMPARED), INT64_MIN);
	struct record_sum sum = record_sum(&backend->records[RECORD_COMPARED]);
	unsigned once = book_of(picture, RECORD_ONCE)->in_a_row;
	unsigned content = book_of(picture, RECORD_CONTENT)->in_a_row;

	check("the record says how the last sixteen answers were",
	    sum.good == count.good && sum.failed == count.failed,
	    "%s: %u good and %u failed, not %u and %u", backend->name, sum.good, sum.failed,
	    count.good, count.failed);
	check("the record tells how many failed in a row",
	    backend_suspicions(backend) == (once > content ? once : content),
	    "%s: %u, not %u of one kind and %u of the other", backend->name,
	    backend_suspicions(backend), once, content);
}

static void end_hearing(const struct hearing *hearing)
{
	for (size_t i = 0; i < hearing->ring->count; i++) {
		const struct picture *picture = &hearing->pictures[i];
		const struct backend *backend = picture->backend;

		check(picture->property, backend->state == picture->state, "%s is %s, not %s",
		    backend->name, backend_state_words[backend->state],
		    backend_state_words[picture->state]);
		check("a mark has its reason",
		    picture->window_us == 0 || backend->reason == picture->reason, "%s is down: %s",
		    backend->name, outcome_text(backend->reason));
		if (picture->window_us > 0)
			check_window(backend, picture->window_us, hearing->now_us);
		check_record(picture);
	}
}

/* ---- evidence */

/* Taken together, could the others that are up do what this one failed at since it did so first? */
static bool others_can(
    const struct hearing *hearing, const struct picture *picture, enum backend_record kind)
{
	struct book_count since = {0, 0}, all = {0, 0};

	for (size_t i = 0; i < hearing->ring->count; i++) {
		const struct picture *other = &hearing->pictures[i];
		struct book_count count;

		if (other == picture || !is_up(other))
			continue;
		count = book_count(book_of(other, kind), book_of(picture, kind)->row_us);
		since.good += count.good;
		since.failed += count.failed;
		count = book_count(book_of(other, kind), INT64_MIN);
		all.good += count.good;
		all.failed += count.failed;
	}
	return since.good >= OTHERS_GOOD && since.failed * 9 <= since.good &&
	       all.failed * 9 <= all.good;
}

static bool is_enough(const struct hearing *hearing, const struct picture *picture,
    enum backend_record kind, enum outcome outcome)
{
	struct book_count count = book_count(book_of(picture, kind), INT64_MIN);

	if (count.failed * 2 >= count.good + count.failed)
		return true;
	if (is_another_down_soft(hearing, picture))
		return false;
	return count.failed >= ENOUGH || outcome == OUTCOME_LATE;
}

enum evidence { EVIDENCE_NONE, EVIDENCE_OF_REQUEST, EVIDENCE_OF_RING };

/* One that is up failed at what is kept in that record. */
static void weigh(struct hearing *hearing, struct picture *picture, enum backend_record kind,
    enum evidence evidence, enum outcome outcome)
{
	struct book *book = book_of(picture, kind);

	book_add(book, true, hearing->now_us);
	if (evidence == EVIDENCE_OF_RING &&
	    (book->in_a_row < IN_A_ROW || !others_can(hearing, picture, kind)))
		picture->property = "nobody is marked whom no other is known to do better than";
	else if (count_up(hearing) <= 1)
		picture->property = "soft marks leave one that is up";
	else if (!is_enough(hearing, picture, kind, outcome))
		picture->property = "who mostly answers well stays";
	else
		goes_down(picture, outcome, hearing->ring->options.retry_window_us,
		    "who fails at what another can do is down");
}

/* ---- a request is decided */

static unsigned count_soft(const struct verdict_case *request)
{
	unsigned soft = 0;

	for (size_t i = 0; i < request->count; i++)
		soft += outcome_blame(request->tries[i].outcome) == BLAME_SOFT;
	return soft;
}

/* What is it compared by that this try failed? */
static enum evidence compare(const struct verdict_case *request, const struct backend *answerer,
    const struct try_record *try)
{
	if (outcome_blame(try->outcome) != BLAME_SOFT)
		return EVIDENCE_NONE;
	if (answerer)
		return answerer != try->backend ? EVIDENCE_OF_REQUEST : EVIDENCE_NONE;
	/* It failed wherever it was sent, or could have been sent elsewhere. */
	if (request->is_repeatable || count_soft(request) > 1)
		return EVIDENCE_NONE;
	return EVIDENCE_OF_RING;
}

static void hear_good(
    struct hearing *hearing, const struct verdict_case *request, const struct try_record *try)
{
	struct picture *picture = find_picture(hearing, try->backend);

	if (!picture)
		return;
	picture->property = "a good answer to a trial brings back, any other does not";
	bool was_down = try->standing == STANDING_SOFT || try->standing == STANDING_HARD;
	if (picture->epoch == try->epoch ||
	    (was_down && picture->state == BACKEND_TRIAL && picture->epoch == try->epoch + 1))
		picture->state = BACKEND_UP;
	if (picture->state == BACKEND_UP && request->is_repeatable)
		book_add(book_of(picture, RECORD_COMPARED), false, hearing->now_us);
}

static void hear_on_trial(
    struct hearing *hearing, const struct try_record *try, enum evidence evidence)
{
	struct picture *picture = find_picture(hearing, try->backend);
	const struct backend *backend = try->backend;
	bool is_trial = picture->is_of_request;

	picture->property = "a failed trial turns back, and nothing else";
	/* What is no trial fails it only where another did better. */
	if (evidence == EVIDENCE_OF_REQUEST || (is_trial && evidence == EVIDENCE_OF_RING))
		goes_down(
		    picture, try->outcome, doubled(hearing->ring, picture), picture->property);
	else
		check("a trial ends with its request, and with no other",
		    backend->on_trial == (picture->on_trial && !is_trial), "%s", backend->name);
}

/* A try that did not end well. */
static void hear_bad(struct hearing *hearing, const struct verdict_case *request,
    const struct backend *answerer, const struct try_record *try)
{
	struct picture *picture = find_picture(hearing, try->backend);
	enum evidence evidence = compare(request, answerer, try);

	if (!picture)
		return;
	if (picture->epoch != try->epoch) {
		picture->property = "what began in an earlier state changes nothing";
		return;
	}
	switch (picture->state) {
	case BACKEND_UP:
		picture->property = "nobody is marked for what was not his fault";
		if (evidence != EVIDENCE_NONE)
			weigh(hearing, picture,
			    request->is_repeatable ? RECORD_COMPARED : RECORD_ONCE, evidence,
			    try->outcome);
		break;
	case BACKEND_TRIAL:
		hear_on_trial(hearing, try, evidence);
		break;
	case BACKEND_DOWN:
	case BACKEND_STATES:
		picture->property = "what a backend does while it is down changes nothing";
		break;
	}
	if (law_is_trial(law_server_of(try->backend), request->tries))
		law_trial_ends(law_server_of(try->backend));
}

void __real_verdict_settle(struct ring *ring, const struct verdict_case *request, int64_t now_us);
void __wrap_verdict_settle(struct ring *ring, const struct verdict_case *request, int64_t now_us);
void __wrap_verdict_settle(struct ring *ring, const struct verdict_case *request, int64_t now_us)
{
	struct hearing hearing = begin_hearing(ring, now_us);
	const struct backend *answerer = NULL;

	law_check_tries(request);
	for (size_t i = 0; i < ring->count; i++)
		hearing.pictures[i].is_of_request =
		    law_is_trial(law_server_of(ring->backends[i]), request->tries);
	__real_verdict_settle(ring, request, now_us);
	for (size_t i = 0; i < request->count; i++) {
		if (request->tries[i].outcome != OUTCOME_GOOD)
			continue;
		answerer = request->tries[i].backend;
		hear_good(&hearing, request, &request->tries[i]);
	}
	for (size_t i = 0; i < request->count; i++)
		if (request->tries[i].outcome != OUTCOME_GOOD)
			hear_bad(&hearing, request, answerer, &request->tries[i]);
	end_hearing(&hearing);
}

/* A server that nobody waits for any more answers, or does not. */
void __real_verdict_straggler(struct ring *ring, const struct try_record *try, int64_t now_us);
void __wrap_verdict_straggler(struct ring *ring, const struct try_record *try, int64_t now_us);
void __wrap_verdict_straggler(struct ring *ring, const struct try_record *try, int64_t now_us)
{
	static const struct backend other;
	struct hearing hearing = begin_hearing(ring, now_us);
	const struct verdict_case good = {.tries = try, .count = 1};
	const struct verdict_case bad = {.tries = try, .count = 1, .is_repeatable = true};
	struct picture *picture = find_picture(&hearing, try->backend);
	bool is_hard = outcome_blame(try->outcome) == BLAME_HARD;
	int64_t window_us = ring->options.retry_window_us;

	if (picture && picture->state == BACKEND_TRIAL)
		window_us = doubled(ring, picture);
	__real_verdict_straggler(ring, try, now_us);
	if (try->outcome == OUTCOME_GOOD)
		hear_good(&hearing, &good, try);
	else if (!is_hard && outcome_blame(try->outcome) == BLAME_SOFT)
		hear_bad(&hearing, &bad, &other, try);
	else if (is_hard && picture && picture->epoch == try->epoch &&
		 picture->state != BACKEND_DOWN)
		goes_down(picture, try->outcome, window_us, "who does not connect is down");
	end_hearing(&hearing);
}

/* ---- what became of an answer */

static enum backend_record record_of_content(bool is_repeatable)
{
	return is_repeatable ? RECORD_CONTENT : RECORD_ONCE;
}

/* Its answer brought it back, or it was up before. */
static bool was_brought_back(const struct try_record *try)
{
	return try->standing != STANDING_UP;
}

/* It is up, and was so ever since it gave the answer. */
static bool is_up_since(const struct picture *picture, const struct try_record *try)
{
	return picture && picture->state == BACKEND_UP &&
	       picture->epoch == try->epoch + was_brought_back(try);
}

void __real_verdict_completed(const struct try_record *try, bool is_repeatable, int64_t now_us);
void __wrap_verdict_completed(const struct try_record *try, bool is_repeatable, int64_t now_us);
void __wrap_verdict_completed(const struct try_record *try, bool is_repeatable, int64_t now_us)
{
	struct hearing hearing = begin_hearing(&world.ring, now_us);
	struct picture *picture = find_picture(&hearing, try->backend);

	law_check_ending(try, is_repeatable);
	__real_verdict_completed(try, is_repeatable, now_us);
	if (is_up_since(picture, try))
		book_add(book_of(picture, record_of_content(is_repeatable)), false, now_us);
	end_hearing(&hearing);
}

void __real_verdict_cut_off(
    struct ring *ring, const struct try_record *try, bool is_repeatable, int64_t now_us);
void __wrap_verdict_cut_off(
    struct ring *ring, const struct try_record *try, bool is_repeatable, int64_t now_us);
void __wrap_verdict_cut_off(
    struct ring *ring, const struct try_record *try, bool is_repeatable, int64_t now_us)
{
	struct hearing hearing = begin_hearing(ring, now_us);
	struct picture *picture = find_picture(&hearing, try->backend);

	law_check_ending(try, is_repeatable);
	__real_verdict_cut_off(ring, try, is_repeatable, now_us);
	if (picture)
		picture->property = "what began in an earlier state changes nothing";
	if (is_up_since(picture, try)) {
		if (!was_brought_back(try))
			weigh(&hearing, picture, record_of_content(is_repeatable), EVIDENCE_OF_RING,
			    try->outcome);
		else if (count_up(&hearing) > 1)
			goes_down(picture, try->outcome, doubled(ring, picture),
			    "a trial that is cut off has failed");
		else
			picture->property = "soft marks leave one that is up";
	}
	end_hearing(&hearing);
}

/* ---- hard failures, probes and checks */

void __real_verdict_hard(struct ring *ring, const struct try_record *try, int64_t now_us);
void __wrap_verdict_hard(struct ring *ring, const struct try_record *try, int64_t now_us);
void __wrap_verdict_hard(struct ring *ring, const struct try_record *try, int64_t now_us)
{
	struct hearing hearing = begin_hearing(ring, now_us);
	struct picture *picture = find_picture(&hearing, try->backend);
	int64_t window_us = ring->options.retry_window_us;

	if (picture && picture->state == BACKEND_TRIAL)
		window_us = doubled(ring, picture);
	__real_verdict_hard(ring, try, now_us);
	if (picture && picture->epoch != try->epoch)
		picture->property = "what began in an earlier state changes nothing";
	else if (picture && picture->state != BACKEND_DOWN)
		goes_down(picture, try->outcome, window_us, "who refuses is down at once");
	end_hearing(&hearing);
}

/* Of one that is looked at in time the window has become another, or its trial has begun: a check
 * that is under way, and then the probe itself, may take as long as a connect. */
void judge_look_around(void)
{
	bool is_excused = net_world.shortages > 0 || world.profile.operator|| world.profile.pauses;

	for (size_t i = 0; i < world.ring.count && !is_excused; i++) {
		const struct backend *backend = world.ring.backends[i];
		const struct server *server = law_server_of(backend);
		int64_t late_us = sim_loop_judged_us(world.loop) - server->look_us;

		check("who is down is looked at again when his window is over",
		    backend->state != BACKEND_DOWN || backend->reason == OUTCOME_CHECK ||
			server->outcomes[OUTCOME_BUSY] > 0 ||
			late_us < 2 * world.connect_most_us + 1000000,
		    "%s, %lld us late", backend->name, (long long)late_us);
	}
}

/* It could not be reached, and rondo will look again soon; how long it stays away depends on its trials alone. */
static void check_pause(
    const struct ring *ring, const struct backend *backend, int64_t window_us, int64_t now_us)
{
	struct server *server = law_server_of(backend);

	server->look_us =
	    now_us +
	    (ring->options.retry_window_us < AGAIN_US ? ring->options.retry_window_us : AGAIN_US);
	check("a failed connect of rondo's own lengthens no window",
	    backend->window_us == window_us, "%s is down for %lld us, not %lld", backend->name,
	    (long long)backend->window_us, (long long)window_us);
	check("rondo looks again a second later", backend->until_us == server->look_us,
	    "%s, %lld us later", backend->name, (long long)(backend->until_us - now_us));
}

void __real_verdict_probed(struct ring *ring, const struct try_record *probe, int64_t now_us);
void __wrap_verdict_probed(struct ring *ring, const struct try_record *probe, int64_t now_us);
void __wrap_verdict_probed(struct ring *ring, const struct try_record *probe, int64_t now_us)
{
	const struct backend *backend = probe->backend;
	enum backend_state before = backend->state;
	int64_t window_us = backend->window_us;
	int64_t look_us = law_server_of(backend)->look_us, began_us = now_us - probe->took_us;

	__real_verdict_probed(ring, probe, now_us);
	if (before != BACKEND_DOWN || !is_current(backend))
		return;
	check("nobody comes back before his window is over",
	    began_us >= look_us || backend->since_us > began_us, "%s is probed %lld us early",
	    backend->name, (long long)(look_us - began_us));
	check("a good probe, and only that, is followed by a trial",
	    (backend->state == BACKEND_TRIAL) == (probe->outcome == OUTCOME_GOOD), "%s after %s",
	    backend->name, outcome_word(probe->outcome));
	if (backend->state == BACKEND_DOWN && outcome_blame(probe->outcome) != BLAME_NONE)
		check_pause(ring, backend, window_us, now_us);
}

void __real_verdict_checked(struct ring *ring, struct backend *backend,
    const struct verdict_check_rules *rules, bool good, int64_t now_us);
void __wrap_verdict_checked(struct ring *ring, struct backend *backend,
    const struct verdict_check_rules *rules, bool good, int64_t now_us);
void __wrap_verdict_checked(struct ring *ring, struct backend *backend,
    const struct verdict_check_rules *rules, bool good, int64_t now_us)
{
	struct server *server = law_server_of(backend);
	struct hearing hearing = begin_hearing(ring, now_us);
	struct picture *picture = find_picture(&hearing, backend);
	int64_t window_us = ring->options.retry_window_us;

	/* One that was under way when a reload ended checks is a connect now. */
	check("a check is passed by who answers it well",
	    !good || server->has_passed || !world.check.path[0], "%s", backend->name);
	server->has_passed = false;
	if (!picture) {
		__real_verdict_checked(ring, backend, rules, good, now_us);
		return;
	}
	server->checks_failed = good ? 0 : server->checks_failed + 1;
	server->checks_good = good ? server->checks_good + 1 : 0;
	picture->property = "health.fall and health.rise are kept";
	if (picture->state == BACKEND_TRIAL)
		window_us = doubled(ring, picture);
	if (server->checks_failed >= rules->fall && picture->state != BACKEND_DOWN)
		goes_down(picture, OUTCOME_CHECK, window_us, picture->property);
	else if (server->checks_failed < rules->fall && server->checks_good >= rules->rise &&
		 outcome_blame(picture->reason) == BLAME_HARD)
		picture->state = BACKEND_UP;
	__real_verdict_checked(ring, backend, rules, good, now_us);
	end_hearing(&hearing);
}
