#include "upstream/probe.h"

#include <stdlib.h>

/* As many interim answers as a client would be passed. */
enum { PROBE_INTERIMS = 16 };

/* How long a probe waits that cannot be made now. */
static const int64_t PAUSE_US = 1000000;

enum probe_state {
	PROBE_IDLE,
	PROBE_CONNECTING, /* until deadline_us, then the next address */
	PROBE_ASKING,     /* the GET is under way */
	PROBE_EMPTYING    /* the result is known; the rest of the answer is read and dropped */
};

enum probe_purpose { PROBE_RETURN, PROBE_CHECK };

/* What is done for one backend. */
struct probe {
	struct prober *prober;
	struct backend *backend; /* held */
	enum probe_state state;
	enum probe_purpose purpose;
	int64_t check_us;      /* when the next check is due */
	int64_t not_before_us; /* after a shortage */

	/* While not idle. */
	struct conn conn;
	struct probe_answer answer;
	struct body rest; /* PROBE_EMPTYING */
	int64_t began_us, limit_us, deadline_us;
	size_t addr, addrs_left;
	struct loop_task grave;
};

struct prober {
	struct ring *ring;
	struct backend_env *env;
	struct probe_options options;
	char *path;
	struct probe **probes; /* in the order of the ring when it was looked at; NULL: no memory */
	size_t count;
	struct timer timer; /* for whatever is due next */
	struct http_head head;
	struct http_field fields[PROBE_FIELDS];
};

/* ---- what a probe is, whoever makes it */

bool probe_gets(const struct probe_options *options)
{
	return options->path[0] != '\0';
}

int64_t probe_limit_us(const struct probe_options *options)
{
	return probe_gets(options) ? options->timeout_us : options->connect_timeout_us;
}

bool probe_put_request(const struct probe_options *options, const char *authority, struct buf *out)
{
	return buf_printf(out,
	    "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: rondo\r\nConnection: close\r\n\r\n",
	    options->path, authority);
}

void probe_answer_init(struct probe_answer *answer)
{
	answer->interims = 0;
	parse_init(&answer->parse, GUARD_RESPONSE);
}

enum parse_result probe_answer_look(
    struct probe_answer *answer, struct buf *in, struct http_head *head)
{
	static const struct http_head request = {
	    .method = HTTP_METHOD_GET, .method_text = {"GET", 3}};
	static const struct parse_response_rules rules = {
	    .limits = {.header_bytes = PROBE_HEAD_BYTES, .headers = PROBE_FIELDS},
	    .request = &request,
	};

	for (;;) {
		enum parse_result result = parse_response(&answer->parse, &rules, in, head);

		if (result != PARSE_DONE || head->status >= 200)
			return result;
		if (++answer->interims > PROBE_INTERIMS)
			return PARSE_BAD;
		buf_consume(in, head->length);
		parse_init(&answer->parse, GUARD_RESPONSE);
	}
}

bool probe_expects(const struct probe_options *options, unsigned status)
{
	for (size_t i = 0; i < options->expect_count; i++) {
		const struct probe_range *range = &options->expect[i];

		if (status >= range->from && status <= range->to)
			return true;
	}
	return false;
}

/* ---- the prober */

static int64_t prober_now_us(const struct prober *prober)
{
	return loop_now_us(prober->env->loop);
}

static bool prober_gets(const struct prober *prober)
{
	return prober->path && probe_gets(&prober->options);
}

void prober_wake(struct prober *prober)
{
	int64_t now_us = prober_now_us(prober);

	/* What is overdue comes first: others must not be able to put it off, turn after turn. */
	if (prober->timer.due_us > now_us)
		timer_arm(loop_timers(prober->env->loop), &prober->timer, now_us);
}

/* ---- one probe, from its end to its beginning */

static void probe_note_failure(struct probe *probe, const struct try_record *result)
{
	const struct backend_failure failure = {
	    .source = probe->purpose == PROBE_CHECK ? FAILURE_OF_CHECK : FAILURE_OF_PROBE,
	    .outcome = result->outcome,
	    .status = result->status,
	    .after_us = result->took_us,
	};

	backend_note_failure(probe->backend, &failure);
}

/* The result is known. */
static void probe_report(struct probe *probe, enum outcome outcome, unsigned status)
{
	struct prober *prober = probe->prober;
	int64_t now_us = prober_now_us(prober);
	const struct try_record result = {
	    .backend = probe->backend,
	    .outcome = outcome,
	    .status = status,
	    .took_us = now_us - probe->began_us,
	};

	bool is_result = outcome == OUTCOME_GOOD || outcome_blame(outcome) != BLAME_NONE;
	if (is_result && outcome != OUTCOME_GOOD)
		probe_note_failure(probe, &result);
	if (!is_result)
		probe->not_before_us = now_us + PAUSE_US;
	else if (probe->purpose == PROBE_RETURN)
		verdict_probed(prober->ring, &result, now_us);
	else
		verdict_checked(prober->ring, probe->backend, &prober->options.rules,
		    outcome == OUTCOME_GOOD, now_us);
}

static void probe_end(struct probe *probe)
{
	conn_close(&probe->conn, false);
	probe->state = PROBE_IDLE;
	prober_wake(probe->prober);
}

static void probe_finish(struct probe *probe, enum outcome outcome, unsigned status)
{
	probe_end(probe);
	probe_report(probe, outcome, status);
}

/* Some servers log an error when the peer closes before it has read the whole answer. */
static void probe_empty(struct probe *probe)
{
	static const struct http_limits limits = {.header_bytes = PROBE_HEAD_BYTES};
	struct buf *in = &probe->conn.in;

	while (!probe->rest.done) {
		struct body_span span = {0};

		if (buf_len(in) > 0 && body_decode(&probe->rest, &limits, in->data + in->begin,
					   buf_len(in), &span) != BODY_MORE)
			break;
		buf_consume(in, span.raw);
		buf_compact(in);
		enum io io = conn_read(&probe->conn, PROBE_HEAD_BYTES);
		if (io == IO_AGAIN)
			return;
		if (io != IO_OK)
			break;
	}
	probe_end(probe);
}

static void probe_answered(struct probe *probe)
{
	const struct http_head *head = &probe->prober->head;
	unsigned status = head->status;
	bool is_good = probe_expects(&probe->prober->options, status);

	probe->state = PROBE_EMPTYING;
	body_init(&probe->rest, head, PROBE_CONTENT_BYTES);
	buf_consume(&probe->conn.in, head->length);
	probe_report(probe, is_good ? OUTCOME_GOOD : OUTCOME_STATUS, status);
	probe_empty(probe);
}

/* Looks at what was read. False when nothing more is to be read for a result. */
static bool probe_parse(struct probe *probe)
{
	struct prober *prober = probe->prober;

	switch (probe_answer_look(&probe->answer, &probe->conn.in, &prober->head)) {
	case PARSE_MORE:
		return true;
	case PARSE_BAD:
		probe_finish(probe, OUTCOME_BAD_RESPONSE, 0);
		break;
	case PARSE_DONE:
		probe_answered(probe);
		break;
	}
	return false;
}

static void probe_read(struct probe *probe)
{
	do {
		buf_compact(&probe->conn.in);
		switch (conn_read(&probe->conn, PROBE_HEAD_BYTES)) {
		case IO_OK:
			break;
		case IO_AGAIN:
			return;
		case IO_FULL:
			probe_finish(probe, OUTCOME_BAD_RESPONSE, 0);
			return;
		case IO_SHORTAGE:
			probe_finish(probe, OUTCOME_SHORTAGE, 0);
			return;
		case IO_END:
		case IO_ERROR:
			probe_finish(probe, OUTCOME_RESET, 0);
			return;
		}
	} while (probe_parse(probe));
}

/* Sends what is left of the request, then waits for the answer. */
static void probe_send(struct probe *probe)
{
	switch (conn_flush(&probe->conn)) {
	case IO_OK:
		conn_want(&probe->conn, LOOP_READ);
		break;
	case IO_AGAIN:
		conn_want(&probe->conn, LOOP_READ | LOOP_WRITE);
		break;
	case IO_SHORTAGE:
		probe_finish(probe, OUTCOME_SHORTAGE, 0);
		break;
	case IO_END:
	case IO_FULL:
	case IO_ERROR:
		probe_finish(probe, OUTCOME_RESET, 0);
		break;
	}
}

static void probe_connected(struct probe *probe)
{
	backend_prefer_address(probe->backend, probe->addr);
	if (!prober_gets(probe->prober)) {
		probe_finish(probe, OUTCOME_GOOD, 0);
		return;
	}
	if (!probe_put_request(
		&probe->prober->options, probe->backend->authority, &probe->conn.out)) {
		probe_finish(probe, OUTCOME_SHORTAGE, 0);
		return;
	}
	probe->state = PROBE_ASKING;
	probe->deadline_us = probe->limit_us;
	probe_answer_init(&probe->answer);
	probe_send(probe);
}

static void probe_on_event(struct conn *conn, unsigned events);

/* Connects to the next address; `outcome` is what became of the one before. */
static void probe_connect(struct probe *probe, enum outcome outcome)
{
	struct prober *prober = probe->prober;
	struct backend *backend = probe->backend;
	int64_t now_us = prober_now_us(prober);
	bool connecting = false;

	conn_close(&probe->conn, false);
	while (probe->addrs_left > 0 && outcome != OUTCOME_SHORTAGE) {
		int64_t share_us = (probe->limit_us - now_us) / (int64_t)probe->addrs_left--;

		probe->addr = (probe->addr + 1) % backend_address_count(backend);
		int fd = net_connect(&backend->addrs[probe->addr], &connecting);
		if (fd < 0) {
			outcome = outcome_of_connect_error(fd);
			continue;
		}
		if (conn_open(&probe->conn, prober->env->loop, prober->env->blocks, fd,
			connecting ? LOOP_WRITE : LOOP_READ) != 0) {
			net_close(fd, false);
			outcome = OUTCOME_SHORTAGE;
			continue;
		}
		probe->deadline_us = now_us + share_us;
		probe->conn.writable = !connecting;
		if (!connecting) {
			probe_connected(probe);
			return;
		}
		return;
	}
	probe_finish(probe, outcome, 0);
}

static void probe_on_event(struct conn *conn, unsigned events)
{
	struct probe *probe = container_of(conn, struct probe, conn);

	if (probe->state == PROBE_CONNECTING) {
		int error = conn_connect_result(conn);

		if (error != 0)
			probe_connect(probe, outcome_of_connect_error(error));
		else if (events & LOOP_WRITE)
			probe_connected(probe);
		return;
	}
	if (events & LOOP_WRITE)
		probe_send(probe);
	if (!(events & (LOOP_READ | LOOP_BROKEN)))
		return;
	if (probe->state == PROBE_ASKING)
		probe_read(probe);
	else if (probe->state == PROBE_EMPTYING)
		probe_empty(probe);
}

static void probe_start(struct probe *probe, enum probe_purpose purpose)
{
	const struct probe_options *options = &probe->prober->options;
	int64_t now_us = prober_now_us(probe->prober);

	probe->state = PROBE_CONNECTING;
	probe->purpose = purpose;
	probe->began_us = now_us;
	probe->limit_us = now_us + probe_limit_us(options);
	probe->addrs_left = backend_address_count(probe->backend);
	probe->addr = probe->backend->addr_first + probe->addrs_left - 1;
	probe->conn.on_event = probe_on_event;
	probe_connect(probe, OUTCOME_UNREACHABLE);
}

/* ---- when */

static int64_t probe_return_us(const struct probe *probe)
{
	const struct backend *backend = probe->backend;

	if (backend->state != BACKEND_DOWN)
		return TIMER_NEVER;
	if (backend->reason == OUTCOME_CHECK && prober_gets(probe->prober))
		return TIMER_NEVER;
	return backend->until_us > probe->not_before_us ? backend->until_us : probe->not_before_us;
}

/* When there is something to do for it. */
static int64_t probe_next_us(const struct probe *probe)
{
	int64_t return_us = probe_return_us(probe);

	if (probe->state != PROBE_IDLE)
		return probe->deadline_us;
	return probe->check_us < return_us ? probe->check_us : return_us;
}

static void probe_on_deadline(struct probe *probe)
{
	if (probe->state == PROBE_CONNECTING)
		probe_connect(probe, OUTCOME_CONNECT_TIMEOUT);
	else if (probe->state == PROBE_ASKING)
		probe_finish(probe, OUTCOME_LATE, 0);
	else
		probe_end(probe);
}

static void probe_begin(struct probe *probe)
{
	const struct backend *backend = probe->backend;
	int64_t now_us = prober_now_us(probe->prober);
	enum probe_purpose purpose = PROBE_RETURN;

	if (probe_return_us(probe) > now_us) {
		purpose = PROBE_CHECK;
		probe->check_us = now_us + probe->prober->options.interval_us;
	}
	if (backend->draining || backend_address_count(backend) == 0)
		probe->not_before_us = now_us + PAUSE_US;
	else
		probe_start(probe, purpose);
}

static void prober_arm(struct prober *prober)
{
	int64_t next_us = TIMER_NEVER;

	for (size_t i = 0; i < prober->count; i++) {
		int64_t due_us = prober_now_us(prober) + PAUSE_US;

		if (prober->probes[i])
			due_us = probe_next_us(prober->probes[i]);
		if (due_us < next_us)
			next_us = due_us;
	}
	timer_arm(loop_timers(prober->env->loop), &prober->timer, next_us);
}

/* ---- for whom */

static void probe_on_burial(struct loop_task *task)
{
	free(container_of(task, struct probe, grave));
}

static void probe_destroy(struct probe *probe)
{
	if (!probe)
		return;
	conn_close(&probe->conn, false);
	backend_drop(probe->backend);
	probe->grave.run = probe_on_burial;
	loop_bury(probe->prober->env->loop, &probe->grave);
}

static struct probe *probe_create(struct prober *prober, struct backend *backend)
{
	struct probe *probe = calloc(1, sizeof(*probe));

	if (!probe)
		return NULL;
	probe->prober = prober;
	probe->backend = backend;
	probe->check_us = TIMER_NEVER;
	backend_hold(backend);
	return probe;
}

/* Spreads the next checks over the interval. */
static void prober_spread(struct prober *prober)
{
	int64_t now_us = prober_now_us(prober);

	for (size_t i = 0; i < prober->count; i++) {
		int64_t offset_us = prober->options.interval_us * (int64_t)i;

		if (!prober->probes[i])
			continue;
		prober->probes[i]->check_us = TIMER_NEVER;
		if (prober_gets(prober))
			prober->probes[i]->check_us = now_us + offset_us / (int64_t)prober->count;
	}
}

static bool prober_is_in_step(const struct prober *prober)
{
	if (prober->count != prober->ring->count)
		return false;
	for (size_t i = 0; i < prober->count; i++) {
		const struct probe *probe = prober->probes[i];

		if (!probe || probe->backend != prober->ring->backends[i])
			return false;
	}
	return true;
}

static struct probe **prober_find(const struct prober *prober, const struct backend *backend)
{
	for (size_t i = 0; i < prober->count; i++) {
		if (prober->probes[i] && prober->probes[i]->backend == backend)
			return &prober->probes[i];
	}
	return NULL;
}

/* The same backends as before, in whatever order. */
static bool prober_knows_all(const struct prober *prober)
{
	const struct ring *ring = prober->ring;

	for (size_t i = 0; i < ring->count; i++) {
		if (!prober_find(prober, ring->backends[i]))
			return false;
	}
	return prober->count == ring->count;
}

static struct probe *prober_take_over(struct prober *prober, struct backend *backend)
{
	struct probe **place = prober_find(prober, backend);

	if (!place)
		return probe_create(prober, backend);
	struct probe *probe = *place;
	*place = NULL;
	return probe;
}

static void prober_destroy_probes(struct prober *prober)
{
	for (size_t i = 0; i < prober->count; i++)
		probe_destroy(prober->probes[i]);
	free(prober->probes);
}

/* Follows the ring: one probe for each of its backends. Probes under way go on. */
static void prober_follow(struct prober *prober)
{
	const struct ring *ring = prober->ring;

	if (prober_is_in_step(prober))
		return;
	bool is_other_set = !prober_knows_all(prober);
	struct probe **probes = calloc(ring->count + 1, sizeof(struct probe *));
	if (!probes)
		return;
	for (size_t i = 0; i < ring->count; i++)
		probes[i] = prober_take_over(prober, ring->backends[i]);
	prober_destroy_probes(prober);
	prober->probes = probes;
	prober->count = ring->count;
	if (is_other_set)
		prober_spread(prober);
}

static void prober_on_due(struct timer *timer)
{
	struct prober *prober = container_of(timer, struct prober, timer);
	int64_t now_us = prober_now_us(prober);

	prober_follow(prober);
	for (size_t i = 0; i < prober->count; i++) {
		struct probe *probe = prober->probes[i];

		if (!probe || probe_next_us(probe) > now_us)
			continue;
		if (probe->state != PROBE_IDLE)
			probe_on_deadline(probe);
		else
			probe_begin(probe);
	}
	prober_arm(prober);
}

struct prober *prober_create(struct ring *ring, struct backend_env *env)
{
	struct prober *prober = calloc(1, sizeof(*prober));

	if (!prober)
		return NULL;
	prober->ring = ring;
	prober->env = env;
	prober->head.fields = prober->fields;
	prober->head.field_limit = PROBE_FIELDS;
	timer_init(&prober->timer, prober_on_due);
	return prober;
}

void prober_destroy(struct prober *prober)
{
	if (!prober)
		return;
	timer_remove(loop_timers(prober->env->loop), &prober->timer);
	prober_destroy_probes(prober);
	free(prober->path);
	free(prober);
}

void prober_configure(struct prober *prober, const struct probe_options *options, char *path)
{
	/* Else the first ones would be checked at every reload, and the last ones never. */
	bool is_other_schedule = !prober->path || strcmp(prober->path, path) != 0 ||
				 prober->options.interval_us != options->interval_us;
	free(prober->path);
	prober->path = path;
	prober->options = *options;
	prober->options.path = path;
	if (is_other_schedule)
		prober_spread(prober);
	prober_wake(prober);
}
