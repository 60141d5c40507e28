#include "request.h"

#include "base/log.h"

#include <assert.h>
#include <stdlib.h>

/* The longest time for the head of a request, and between two moments in which a client takes bytes
 * of its answer. */
static const int64_t SLOW_US = 5 * 1000 * 1000;

/* A reload takes no longer than a lookup of names, if the loop turns at all. */
static const int64_t RELOAD_US = 60 * 1000 * 1000;

enum step {
	STEP_AGAIN, /* the state changed, or may go on at once */
	STEP_WAIT   /* for what the state wants, or for its deadline */
};

/* ---- texts */

struct admin_text *admin_text_create(char *data, size_t len)
{
	struct admin_text *text = malloc(sizeof(*text));

	if (text)
		*text = (struct admin_text){.data = data, .len = len, .holders = 1};
	else
		free(data);
	return text;
}

void admin_text_drop(struct admin_text *text)
{
	if (!text || --text->holders > 0)
		return;
	free(text->data);
	free(text);
}

/* ---- states */

static enum step step_reading(struct admin_request *request);
static enum step step_waiting(struct admin_request *request);
static enum step step_answering(struct admin_request *request);
static int64_t due_reading(const struct admin_request *request);
static int64_t due_waiting(const struct admin_request *request);
static int64_t due_answering(const struct admin_request *request);
static void late_reading(struct admin_request *request);
static void late_answer(struct admin_request *request);

#define TO(state) (1U << ADMIN_##state)

/* All that depends on the state: what to do, what to wait for and until when, what it means when
 * that time passes, and what may follow. */
static const struct {
	const char *name;
	enum step (*step)(struct admin_request *request);
	unsigned wants;
	int64_t (*due)(const struct admin_request *request);
	void (*late)(struct admin_request *request);
	unsigned next;
} states[ADMIN_STATES] = {
    [ADMIN_READING] = {"reading", step_reading, LOOP_READ, due_reading, late_reading,
	TO(WAITING) | TO(ANSWERING) | TO(ENDED)},
    [ADMIN_WAITING] = {"waiting", step_waiting, 0, due_waiting, late_answer,
	TO(ANSWERING) | TO(ENDED)},
    [ADMIN_ANSWERING] = {"answering", step_answering, LOOP_WRITE, due_answering, late_answer,
	TO(ENDED)},
    [ADMIN_ENDED] = {"ended", NULL, 0, NULL, NULL, 0},
};

static const struct proxy_timeouts_options *timeouts(const struct admin_request *request)
{
	return &request->admin->with.proxy->rules->timeouts;
}

static int64_t least(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

void request_enter(struct admin_request *request, enum admin_state next)
{
	assert(states[request->state].next & (1U << next));
	log_debug("admin: %s -> %s", states[request->state].name, states[next].name);
	request->state = next;
	request->since_us = loop_now_us(request->admin->loop);
}

/* ---- the end */

static enum step ended(struct admin_request *request, enum session_next next)
{
	const struct admin_control *control = &request->admin->with.control;

	if (request->state == ADMIN_WAITING)
		control->forget_reload(control->context, request);
	request->next = next;
	request_enter(request, ADMIN_ENDED);
	return STEP_AGAIN;
}

static void destroy(struct admin_request *request)
{
	struct buf *in = &request->client->in;

	assert(request->state == ADMIN_ENDED);
	if (buf_len(in) == 0)
		buf_release(in);
	json_decref(request->lines);
	admin_text_drop(request->content);
	slab_give(&request->admin->requests, request);
}

/* ---- reading */

static const struct admin_listener *listener_of(const struct session *session)
{
	return container_of(session->sessions, struct admin_listener, sessions);
}

static enum step step_reading(struct admin_request *request)
{
	listener_of(request->session)->answer(request);
	if (request->state != ADMIN_READING)
		return STEP_AGAIN;
	switch (conn_read(request->client, CONN_HEAD_BYTES)) {
	case IO_OK:
		return STEP_AGAIN;
	case IO_AGAIN:
		return STEP_WAIT;
	case IO_END:
		return ended(request, NEXT_CLOSE);
	case IO_FULL: /* a request is refused before: a block is larger than the limits */
	case IO_SHORTAGE:
	case IO_ERROR:
		break;
	}
	return ended(request, NEXT_RESET);
}

static int64_t due_reading(const struct admin_request *request)
{
	return request->since_us + least(timeouts(request)->request_head_us, SLOW_US);
}

static void late_reading(struct admin_request *request)
{
	ended(request, NEXT_CLOSE);
}

/* ---- answering */

/* commands.c calls session_run when the reload has ended. */
static enum step step_waiting(struct admin_request *request)
{
	(void)request;
	return STEP_WAIT;
}

static int64_t due_waiting(const struct admin_request *request)
{
	return request->since_us + RELOAD_US;
}

static void late_answer(struct admin_request *request)
{
	ended(request, NEXT_RESET);
}

/* The part of `content` that is not sent yet. */
static struct str rest_of_content(const struct admin_request *request)
{
	const struct admin_text *content = request->content;

	if (!content)
		return (struct str){NULL, 0};
	return (struct str){
	    content->data + request->content_sent, content->len - request->content_sent};
}

static enum step step_answering(struct admin_request *request)
{
	struct conn *client = request->client;
	struct str pieces[2] = {rest_of_content(request), {NULL, 0}};

	while (buf_len(&client->out) > 0 || pieces[0].len > 0) {
		size_t taken;
		enum io io = conn_send(client, pieces, &taken);

		if (io == IO_AGAIN)
			return STEP_WAIT;
		if (io != IO_OK)
			return ended(request, NEXT_RESET);
		request->content_sent += taken;
		request->since_us = loop_now_us(request->admin->loop);
		pieces[0] = rest_of_content(request);
	}
	return ended(request, request->keep ? NEXT_KEEP : NEXT_CLOSE);
}

static int64_t due_answering(const struct admin_request *request)
{
	return request->since_us + least(timeouts(request)->send_us, SLOW_US);
}

/* ---- the request of a session */

static void *request_begin(struct session *session)
{
	struct admin *admin = listener_of(session)->admin;
	struct admin_request *request = slab_take(&admin->requests);

	if (!request)
		return NULL;
	*request = (struct admin_request){
	    .admin = admin,
	    .session = session,
	    .client = &session->client,
	    .state = ADMIN_READING,
	    .since_us = loop_now_us(admin->loop),
	};
	parse_init(&request->parse, GUARD_REQUEST);
	return request;
}

static enum session_next request_run(void *context)
{
	struct admin_request *request = context;

	while (request->state != ADMIN_ENDED) {
		if (states[request->state].step(request) == STEP_WAIT) {
			conn_want(request->client, states[request->state].wants);
			timer_arm(loop_timers(request->admin->loop), &request->session->timer,
			    states[request->state].due(request));
			return NEXT_WAIT;
		}
	}
	enum session_next next = request->next;
	destroy(request);
	return next;
}

static void request_on_due(void *context)
{
	struct admin_request *request = context;

	states[request->state].late(request);
}

/* Nothing to do: reading and sending report the error. */
static void request_on_broken(void *context)
{
	struct admin_request *request = context;

	if (request->state == ADMIN_WAITING)
		ended(request, NEXT_RESET);
}

static void request_abort(void *context)
{
	ended(context, NEXT_RESET);
	destroy(context);
}

const struct session_handler request_handler = {
    .begin = request_begin,
    .run = request_run,
    .on_due = request_on_due,
    .on_broken = request_on_broken,
    .abort = request_abort,
    .turn = 1,
};
