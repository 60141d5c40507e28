#include "proxy/straggler.h"

#include "upstream/verdict.h"

#include <assert.h>
#include <utlist.h>

/* A longer answer is not read to its end: another connection is cheaper. */
enum { CONTENT_MAX = 64 * 1024 };

/* Connects to one backend that go on without a request: more of them tell nothing new. */
enum { CONNECTS_MAX = 16 };

struct straggler {
	struct straggler *prev, *next;
	struct attempt *attempt;
	struct attempt_request with;
	struct http_head head; /* of the request, without its text */
	struct try_record record;
	bool is_answered;    /* its content is being dropped */
	bool may_keep;       /* the connection may be used again then */
	struct content down; /* the content */
	struct timer timer;
};

static int64_t now_us(const struct straggler *straggler)
{
	return loop_now_us(straggler->with.proxy->loop);
}

/* ---- the end */

static void destroy(struct straggler *straggler)
{
	struct proxy *proxy = straggler->with.proxy;

	content_stop(&straggler->down);
	attempt_destroy(straggler->attempt);
	timer_remove(loop_timers(proxy->loop), &straggler->timer);
	DL_DELETE(proxy->first_straggler, straggler);
	backend_drop(straggler->record.backend);
	proxy_options_drop(straggler->with.rules);
	slab_give(&proxy->stragglers, straggler);
}

static void give_link(struct straggler *straggler)
{
	struct backend_conn *link = straggler->attempt->link;

	straggler->attempt->link = NULL;
	buf_release(&link->conn.in);
	backend_give(link);
}

/* ---- what it tells */

static void record(struct straggler *straggler, enum outcome outcome)
{
	struct try_record *try = &straggler->record;

	try->outcome = outcome;
	try->took_us = now_us(straggler) - straggler->attempt->began_us;
	if (outcome != OUTCOME_GOOD) {
		struct backend_failure failure = {
		    .outcome = outcome,
		    .status = outcome == OUTCOME_STATUS ? try->status : 0,
		    .fault = try->fault,
		    .after_us = try->took_us,
		    .silent_us = attempt_silent_us(straggler->attempt),
		};
		backend_note_failure(try->backend, &failure);
	}
	verdict_straggler(straggler->with.proxy->ring, try, now_us(straggler));
}

static void failed(struct straggler *straggler)
{
	record(straggler, straggler->attempt->outcome);
	destroy(straggler);
}

/* ---- dropping its answer */

static bool is_reusable(const struct straggler *straggler)
{
	const struct conn *conn = &straggler->attempt->link->conn;

	return straggler->may_keep && !conn->ended && straggler->down.raw == conn->in.end &&
	       buf_len(&conn->out) == 0 && (!conn->readable || conn_is_quiet(conn));
}

/* A backend that closes an idle connection may send 408 first: no answer to the request. */
static bool has_crossed(const struct attempt *attempt)
{
	return attempt->record->status == 408 && attempt_is_first_of_reused(attempt);
}

static void answered(struct straggler *straggler)
{
	struct attempt *attempt = straggler->attempt;
	struct try_record *try = &straggler->record;
	const struct proxy_retry_options *rules = &straggler->with.rules->retry;
	const struct http_head *head = attempt_head(attempt);
	struct conn *conn = &attempt->link->conn;
	/* A backend that did not ask for the content may take it for the next request. */
	bool expects = straggler->head.expects_continue && !attempt->has_continued;
	struct content_start down = {
	    .from = conn,
	    .head = head,
	    .limits = &straggler->with.rules->limits.head,
	    .base = conn->in.begin + head->length,
	    .max_bytes = CONTENT_MAX,
	};

	straggler->is_answered = true;
	straggler->may_keep = head->keep_alive && !head->may_be_followed && !expects;
	content_start(&straggler->down, &down);
	try->backend->counters.answers[http_status_class(try->status)]++;
	backend_note_latency(try->backend, attempt->first_byte_us);
	record(straggler, retry_is_status(rules, try->status) ? OUTCOME_STATUS : OUTCOME_GOOD);
}

/* True when it is over. */
static bool drop_content(struct straggler *straggler)
{
	enum content_result result = content_gather(&straggler->down);

	if (result == CONTENT_WAITS)
		return false;
	if (result == CONTENT_DONE && is_reusable(straggler))
		give_link(straggler);
	return true;
}

/* ---- running */

static void wait(struct straggler *straggler)
{
	struct attempt *attempt = straggler->attempt;
	struct loop *loop = straggler->with.proxy->loop;
	int64_t due_us = straggler->is_answered ? straggler->down.moved_us +
						      straggler->with.rules->timeouts.response_us
						: attempt_due_us(attempt);

	conn_want(&attempt->link->conn,
	    straggler->is_answered ? LOOP_READ : attempt_wants(attempt).backend);
	timer_arm(loop_timers(loop), &straggler->timer, due_us);
}

static void run(void *owner)
{
	struct straggler *straggler = owner;
	struct attempt *attempt = straggler->attempt;

	while (!straggler->is_answered) {
		switch (attempt_run(attempt)) {
		case ATTEMPT_AGAIN:
			break;
		case ATTEMPT_INTERIM:
			attempt_skip_interim(attempt);
			break;
		case ATTEMPT_HAS_HEAD:
			if (has_crossed(attempt))
				attempt_fail(attempt, OUTCOME_STALE);
			else
				answered(straggler);
			break;
		case ATTEMPT_IS_CONNECTED:
			give_link(straggler);
			destroy(straggler);
			return;
		case ATTEMPT_HAS_FAILED:
			failed(straggler);
			return;
		case ATTEMPT_WAITS:
			wait(straggler);
			return;
		}
	}
	if (drop_content(straggler))
		destroy(straggler);
	else
		wait(straggler);
}

static void on_due(struct timer *timer)
{
	struct straggler *straggler = container_of(timer, struct straggler, timer);

	if (straggler->is_answered) {
		destroy(straggler);
		return;
	}
	attempt_on_due(straggler->attempt);
	run(straggler);
}

/* ---- the begin */

static size_t count_connects(const struct proxy *proxy, const struct backend *backend)
{
	const struct straggler *straggler;
	size_t count = 0;

	DL_FOREACH (proxy->first_straggler, straggler)
		count += straggler->record.backend == backend &&
			 straggler->attempt->state == ATTEMPT_CONNECTING;
	return count;
}

/* Not while a part of the request is unsent: its bytes belong to the exchange. */
static bool may_go_on(const struct attempt *attempt)
{
	const struct proxy *proxy = attempt->request->proxy;

	switch (attempt->state) {
	case ATTEMPT_CONNECTING:
		return attempt->link &&
		       count_connects(proxy, attempt->record->backend) < CONNECTS_MAX;
	case ATTEMPT_WAITING:
	case ATTEMPT_HEADING:
		return attempt->upload == UPLOAD_DONE;
	case ATTEMPT_SENDING:
	case ATTEMPT_ANSWERED:
	case ATTEMPT_FAILED:
	case ATTEMPT_STATES:
		break;
	}
	return false;
}

/* All that the attempt still has to know of its request. */
static void copy_request(struct straggler *straggler, const struct attempt_request *request)
{
	const struct http_head *head = request->head;

	straggler->head = (struct http_head){
	    .method = head->method,
	    .minor = head->minor,
	    .framing = head->framing,
	    .expects_continue = head->expects_continue,
	};
	straggler->with = (struct attempt_request){
	    .proxy = request->proxy,
	    .rules = proxy_options_hold(request->rules),
	    .head = &straggler->head,
	    .may_repeat = request->may_repeat,
	    .deadline_us = TIMER_NEVER,
	    .on_event = run,
	    .owner = straggler,
	};
}

bool stragglers_have_room(const struct proxy *proxy)
{
	return proxy->stragglers.in_use < STRAGGLERS_MAX;
}

void straggler_begin(struct attempt *attempt)
{
	struct proxy *proxy = attempt->request->proxy;
	struct straggler *straggler = may_go_on(attempt) ? slab_take(&proxy->stragglers) : NULL;

	if (!straggler) {
		attempt_destroy(attempt);
		return;
	}
	*straggler = (struct straggler){.attempt = attempt, .record = *attempt->record};
	copy_request(straggler, attempt->request);
	if (attempt->state == ATTEMPT_CONNECTING)
		straggler->with.head = NULL;
	backend_hold(straggler->record.backend);
	attempt_pass_on(attempt, &straggler->with, &straggler->record);
	timer_init(&straggler->timer, on_due);
	DL_APPEND(proxy->first_straggler, straggler);
	wait(straggler);
}

/* ---- all of them */

void stragglers_init(struct proxy *proxy)
{
	slab_init(&proxy->stragglers, sizeof(struct straggler), STRAGGLERS_MAX);
}

void stragglers_abort(struct proxy *proxy)
{
	while (proxy->first_straggler)
		destroy(proxy->first_straggler);
}
