#include "proxy/answer.h"

/* Both ways of a tunnel end with their stream. */
static const struct http_head tunnel_head = {.framing = HTTP_FRAMING_CLOSE};

static int64_t earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static int64_t later(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

/* ---- heads */

/* The framing that the client understands: a 1.0 client knows no chunks, and then only the end of
 * the connection ends the content. */
static enum http_framing client_framing(struct attempt *attempt)
{
	enum http_framing framing = attempt_head(attempt)->framing;

	if (framing != HTTP_FRAMING_CHUNKED && framing != HTTP_FRAMING_CLOSE)
		return framing;
	return attempt->request->head->minor >= 1 ? HTTP_FRAMING_CHUNKED : HTTP_FRAMING_CLOSE;
}

static struct write_response response_of(struct attempt *attempt)
{
	const struct attempt_request *request = attempt->request;
	const struct proxy_headers_options *headers = &request->rules->headers;
	const struct http_head *head = attempt_head(attempt);

	return (struct write_response){
	    .head = head,
	    .request = request->head,
	    .framing = head->framing,
	    .app_url_name = str_from(headers->app_url),
	    .app_url = str_from(attempt->record->backend->url),
	    .attempts_name = str_from(headers->attempts),
	    .request_id_name = str_from(headers->request_id),
	    .request_id = str_from(request->id),
	    .date = proxy_date(request->proxy),
	};
}

bool answer_pass_interim(struct attempt *attempt)
{
	struct write_response response = response_of(attempt);

	return write_interim_head(&attempt->request->client->out, &response);
}

/* The trailers of the answer which the client takes, or NULL. */
static const struct write_trailers *passing_trailers(struct answer *answer)
{
	struct attempt *attempt = answer->attempt;
	const struct proxy_headers_options *headers = &attempt->request->rules->headers;
	const struct buf *in = &attempt->link->conn.in;

	if (!attempt->request->head->accepts_trailers ||
	    client_framing(attempt) != HTTP_FRAMING_CHUNKED)
		return NULL;
	answer->trailers = (struct write_trailers){
	    /* It stays where it is until the content was passed on. */
	    .head = {in->data + in->begin, attempt_head(attempt)->length},
	    .app_url_name = str_from(headers->app_url),
	    .attempts_name = str_from(headers->attempts),
	    .request_id_name = str_from(headers->request_id),
	};
	return &answer->trailers;
}

bool answer_prepare(struct answer *answer, struct attempt *attempt)
{
	const struct attempt_request *request = attempt->request;
	const struct http_head *head = attempt_head(attempt);
	struct conn *conn = &attempt->link->conn;

	answer->attempt = attempt;
	struct content_start down = {
	    .from = conn,
	    .head = head,
	    .limits = &request->rules->limits.head,
	    .base = conn->in.begin + head->length,
	    .trailers = passing_trailers(answer),
	    .pipes = &request->proxy->pipes,
	};
	content_start(&answer->down, &down);
	return content_look(&answer->down);
}

bool answer_begin(struct answer *answer, struct str attempts)
{
	struct attempt *attempt = answer->attempt;
	const struct attempt_request *request = attempt->request;
	const struct http_head *head = attempt_head(attempt);
	enum http_framing framing = client_framing(attempt);
	bool was_sent_whole = attempt->upload == UPLOAD_DONE;
	/* A backend that did not ask for the content may take it for the next request. */
	bool expects = request->head->expects_continue && !attempt->has_continued;

	answer->keeps_link = head->keep_alive && was_sent_whole && !attempt->was_kept && !expects &&
			     !head->may_be_followed;
	answer->keeps_client = request->head->keep_alive && was_sent_whole &&
			       framing != HTTP_FRAMING_CLOSE && !request->proxy->draining;
	struct write_response response = response_of(attempt);
	response.framing = framing;
	response.keep_alive = answer->keeps_client;
	response.attempts = attempts;
	response.trailers = answer->down.trailers;
	if (!write_response_head(&request->client->out, &response))
		return false;
	content_aim(&answer->down, request->client, framing);
	return true;
}

/* ---- passing on */

/* The client has not sent all, and it is its turn: the backend has taken what came. */
static bool waits_for_content(const struct answer *answer)
{
	const struct content *up = answer->attempt->request->up;

	return answer->attempt->upload == UPLOAD_RUNNING && content_wants_read(up) &&
	       !content_wants_write(up);
}

bool answer_awaits_client(const struct answer *answer)
{
	return content_wants_write(&answer->down);
}

/* Passes on the content that the client still sends. */
static void run_upload(struct attempt *attempt)
{
	if (attempt->upload != UPLOAD_RUNNING)
		return;
	switch (content_run(attempt->request->up)) {
	case CONTENT_WAITS:
		break;
	case CONTENT_DONE:
		attempt->upload = UPLOAD_DONE;
		break;
	case CONTENT_SEND_FAILED:
		attempt->upload = UPLOAD_BROKEN;
		break;
	case CONTENT_ENDED:
	case CONTENT_BAD:
	case CONTENT_TOO_LARGE:
	case CONTENT_SHORTAGE:
		attempt->upload = UPLOAD_CUT;
		/* A backend that waits for the rest would wait in vain. */
		conn_end_sending(&attempt->link->conn);
		break;
	}
}

static enum answer_result run_content(struct answer *answer)
{
	run_upload(answer->attempt);
	switch (content_run(&answer->down)) {
	case CONTENT_WAITS:
		break;
	case CONTENT_DONE:
		return ANSWER_SENT;
	case CONTENT_SEND_FAILED:
		return ANSWER_CLIENT_GONE;
	case CONTENT_ENDED:
	case CONTENT_BAD:
	case CONTENT_TOO_LARGE:
		return ANSWER_CUT_OFF;
	case CONTENT_SHORTAGE:
		return ANSWER_SHORTAGE;
	}
	return ANSWER_WAITS;
}

bool answer_link_is_reusable(const struct answer *answer)
{
	const struct conn *conn = &answer->attempt->link->conn;

	return answer->keeps_link && !conn->ended && answer->down.raw == conn->in.end &&
	       buf_len(&conn->out) == 0 &&
	       /* A backend that answers more than was asked for may have it in the kernel. */
	       (!conn->readable || conn_is_quiet(conn));
}

/* The client takes nothing of the answer, or sends nothing of the content. */
static int64_t due_client(const struct answer *answer)
{
	const struct attempt_request *request = answer->attempt->request;
	const struct proxy_timeouts_options *timeouts = &request->rules->timeouts;
	int64_t due_us = TIMER_NEVER;

	if (content_wants_write(&answer->down))
		due_us = answer->down.moved_us + timeouts->send_us;
	if (waits_for_content(answer))
		due_us = earlier(due_us, request->up->moved_us + timeouts->request_body_us);
	return due_us;
}

/* The backend sends nothing of the answer, or takes nothing of the content. */
static int64_t due_backend(const struct answer *answer)
{
	const struct attempt_request *request = answer->attempt->request;
	const struct proxy_timeouts_options *timeouts = &request->rules->timeouts;
	int64_t due_us = TIMER_NEVER;

	/* A backend that takes the request is not silent, and need not have more to say before it
	 * has it all: while the client is to send, only the client's time runs. */
	if (!content_wants_write(&answer->down) && !waits_for_content(answer))
		due_us =
		    later(request->up->moved_us, answer->down.moved_us) + timeouts->response_us;
	if (answer->attempt->upload == UPLOAD_RUNNING && content_wants_write(request->up))
		due_us = earlier(due_us, request->up->moved_us + timeouts->send_us);
	return due_us;
}

/* ---- tunnels */

/* rondo reads no more from the end of a tunnel that has ended its side. */
static void on_tunnel_event(struct conn *conn, unsigned events)
{
	struct answer *answer = container_of(conn, struct backend_conn, conn)->holder;
	const struct attempt_request *request = answer->attempt->request;

	if ((events & LOOP_BROKEN) && answer->down_ended)
		answer->attempt->upload = UPLOAD_DONE;
	request->on_event(request->owner);
}

/* Both directions begin anew: bytes that the client sent early come first on their way. */
static void start_tunnel(struct answer *answer)
{
	struct attempt *attempt = answer->attempt;
	struct attempt_request *request = attempt->request;
	struct conn *conn = &attempt->link->conn;
	struct content_start down = {
	    .from = conn,
	    .head = &tunnel_head,
	    .limits = &request->rules->limits.head,
	    .base = conn->in.begin,
	    .pipes = &request->proxy->pipes,
	};
	struct content_start up = down;

	up.from = request->client;
	up.base = request->up->raw;
	content_start(&answer->down, &down);
	content_aim(&answer->down, request->client, HTTP_FRAMING_CLOSE);
	content_start(request->up, &up);
	content_aim(request->up, conn, HTTP_FRAMING_CLOSE);
	attempt->upload = UPLOAD_RUNNING;
	attempt->link->holder = answer;
	conn->on_event = on_tunnel_event;
}

bool answer_begin_tunnel(struct answer *answer, struct attempt *attempt, struct str attempts)
{
	struct write_response response = response_of(attempt);
	struct buf *in = &attempt->link->conn.in;

	response.attempts = attempts;
	if (!write_response_head(&attempt->request->client->out, &response))
		return false;
	/* The content counts from the front of the block: a block that was empty comes back so. */
	buf_consume(in, attempt_head(attempt)->length);
	buf_compact(in);
	answer->attempt = attempt;
	answer->is_tunnel = true;
	start_tunnel(answer);
	return true;
}

/* Moves one way; false when the tunnel broke. *ended: that way was closed, and the other side was
 * told. */
static bool run_one_way(struct content *content, bool *ended)
{
	if (*ended)
		return true;
	enum content_result result = content_run(content);
	if (result == CONTENT_DONE) {
		*ended = true;
		conn_end_sending(content->to);
	}
	return result == CONTENT_DONE || result == CONTENT_WAITS;
}

static enum answer_result run_tunnel(struct answer *answer)
{
	struct attempt *attempt = answer->attempt;
	bool up_ended = attempt->upload == UPLOAD_DONE;
	bool alive = run_one_way(attempt->request->up, &up_ended) &&
		     run_one_way(&answer->down, &answer->down_ended);

	if (up_ended)
		attempt->upload = UPLOAD_DONE;
	if (!alive)
		return ANSWER_BROKEN;
	return up_ended && answer->down_ended ? ANSWER_SENT : ANSWER_WAITS;
}

/* Both sides are silent, or one takes no bytes. */
static int64_t due_tunnel(const struct answer *answer)
{
	const struct attempt *attempt = answer->attempt;
	const struct content *up = attempt->request->up;
	const struct proxy_timeouts_options *timeouts = &attempt->request->rules->timeouts;
	int64_t due_us = later(up->moved_us, answer->down.moved_us) + timeouts->tunnel_us;

	if (attempt->upload == UPLOAD_RUNNING && content_wants_write(up))
		due_us = earlier(due_us, up->moved_us + timeouts->send_us);
	if (!answer->down_ended && content_wants_write(&answer->down))
		due_us = earlier(due_us, answer->down.moved_us + timeouts->send_us);
	return due_us;
}

/* ---- content and tunnels alike */

enum answer_result answer_run(struct answer *answer)
{
	return answer->is_tunnel ? run_tunnel(answer) : run_content(answer);
}

struct attempt_wants answer_wants(const struct answer *answer)
{
	const struct attempt *attempt = answer->attempt;
	const struct content *up = attempt->request->up;
	const struct content *down = &answer->down;
	bool uploads = attempt->upload == UPLOAD_RUNNING;
	/* A client that is gone takes nothing more: do not wait to read or send bytes for it. */
	bool answers = !answer->down_ended;
	bool writes_client =
	    buf_len(&attempt->request->client->out) > 0 || content_wants_write(down);

	return (struct attempt_wants){
	    .client = (uploads && content_wants_read(up) ? LOOP_READ : 0U) |
		      (answers && writes_client ? LOOP_WRITE : 0U),
	    .backend = (answers && content_wants_read(down) ? LOOP_READ : 0U) |
		       (uploads && content_wants_write(up) ? LOOP_WRITE : 0U),
	};
}

int64_t answer_due_us(const struct answer *answer)
{
	if (answer->is_tunnel)
		return due_tunnel(answer);
	return earlier(due_client(answer), due_backend(answer));
}

/* The backend takes no more of the content. Its answer may be good all the same. */
static bool gives_up_upload(struct attempt *attempt)
{
	const struct attempt_request *request = attempt->request;
	int64_t due_us = request->up->moved_us + request->rules->timeouts.send_us;

	if (attempt->upload != UPLOAD_RUNNING || !content_wants_write(request->up) ||
	    loop_now_us(request->proxy->loop) < due_us)
		return false;
	attempt->upload = UPLOAD_BROKEN;
	return true;
}

enum answer_result answer_on_due(struct answer *answer)
{
	struct attempt *attempt = answer->attempt;

	if (answer->is_tunnel)
		return ANSWER_BROKEN;
	if (loop_now_us(attempt->request->proxy->loop) >= due_client(answer))
		return ANSWER_CLIENT_GONE;
	if (gives_up_upload(attempt))
		return ANSWER_WAITS;
	if (attempt_outcome_of_silence(attempt, OUTCOME_CUT_OFF) == OUTCOME_SHORTAGE)
		return ANSWER_SHORTAGE;
	return ANSWER_CUT_OFF;
}
