#include "proxy/retry.h"

#include "base/text.h"

static bool is_idempotent(enum http_method method)
{
	switch (method) {
	case HTTP_METHOD_GET:
	case HTTP_METHOD_HEAD:
	case HTTP_METHOD_OPTIONS:
	case HTTP_METHOD_TRACE:
	case HTTP_METHOD_PUT:
	case HTTP_METHOD_DELETE:
		return true;
	case HTTP_METHOD_OTHER:
	case HTTP_METHOD_POST:
	case HTTP_METHOD_CONNECT:
		break;
	}
	return false;
}

bool retry_may_repeat(const struct proxy_retry_options *rules, const struct http_head *request)
{
	switch (rules->methods) {
	case RETRY_NONE:
		return false;
	case RETRY_ALL:
		return true;
	case RETRY_IDEMPOTENT:
		break;
	}
	if (is_idempotent(request->method))
		return true;
	struct str name = str_from(rules->idempotency_header);
	const struct http_field *key = name.len > 0 ? http_head_find(request, name) : NULL;

	/* A key that Connection named is not passed on, and no backend can tell the second time
	 * from the first. */
	return key && !key->hop_by_hop;
}

const char *retry_refusal_word(enum retry_refusal refusal)
{
	static const char *const words[RETRY_REFUSALS] = {
	    [RETRY_ALLOWED] = "allowed",
	    [RETRY_REFUSED_TRIES] = "tries",
	    [RETRY_REFUSED_DEADLINE] = "deadline",
	    [RETRY_REFUSED_METHOD] = "method",
	    [RETRY_REFUSED_BODY] = "body",
	    [RETRY_REFUSED_NOBODY] = "nobody",
	    [RETRY_REFUSED_BUDGET] = "budget",
	};

	return words[refusal];
}

bool retry_is_status(const struct proxy_retry_options *rules, unsigned status)
{
	for (size_t i = 0; i < rules->status_count; i++)
		if (rules->statuses[i] == status)
			return true;
	return false;
}

/* The final answer for each outcome; the higher rank is the more informative. */
struct final_answer {
	unsigned rank, status;
	const char *detail, *proxy_error;
	unsigned retry_after_s;
	enum access_end end;
};

static const struct final_answer final_answers[OUTCOMES] = {
    [OUTCOME_SHORTAGE] = {1, 503, "The proxy is short of resources.", "proxy_internal_error", 1,
	ACCESS_LIMIT},
    [OUTCOME_BUSY] = {1, 503, "The backends take no more connections at the moment.",
	"connection_limit_reached", 1, ACCESS_LIMIT},
    [OUTCOME_REFUSED] = {2, 502, "The backends refused the connection.", "connection_refused", 0,
	ACCESS_REFUSED},
    [OUTCOME_UNREACHABLE] = {2, 502, "The backends cannot be reached.", "destination_ip_unroutable",
	0, ACCESS_REFUSED},
    [OUTCOME_RESET] = {3, 502, "A backend closed the connection before it answered.",
	"connection_terminated", 0, ACCESS_RESET},
    [OUTCOME_STALE] = {3, 502, "A backend closed the connection before it answered.",
	"connection_terminated", 0, ACCESS_RESET},
    [OUTCOME_IMPATIENT] = {3, 502, "A backend closed the connection before it answered.",
	"connection_terminated", 0, ACCESS_RESET},
    [OUTCOME_BAD_RESPONSE] = {4, 502, "A backend sent something that is no HTTP response.",
	"http_protocol_error", 0, ACCESS_BAD_RESPONSE},
    [OUTCOME_STATUS] = {4, 502, "The backends failed.", "http_response_incomplete", 0,
	ACCESS_BAD_RESPONSE},
    [OUTCOME_CONNECT_TIMEOUT] = {5, 504, "No connection to a backend in time.",
	"connection_timeout", 0, ACCESS_TIMEOUT},
    [OUTCOME_STALLED] = {6, 504, "A backend did not take the request in time.",
	"connection_write_timeout", 0, ACCESS_TIMEOUT},
    [OUTCOME_DEADLINE] = {7, 504, "No backend answered in time.", "http_response_timeout", 0,
	ACCESS_TIMEOUT},
    [OUTCOME_LATE] = {8, 504, "No backend answered in time.", "http_response_timeout", 0,
	ACCESS_TIMEOUT},
};

struct retry_answer retry_final_answer(
    const struct try_record *tries, size_t count, enum ring_pick_result picked)
{
	static const struct final_answer untried = {
	    0, 503, "No backend is available.", "destination_unavailable", 1, ACCESS_NO_BACKEND};
	static const struct final_answer full = {0, 503,
	    "All backends are at their connection limit.", "connection_limit_reached", 1,
	    ACCESS_LIMIT};
	const struct final_answer *best = picked == RING_ALL_FULL ? &full : &untried;
	enum http_fault fault = HTTP_FAULT_NONE;

	for (size_t i = 0; i < count; i++) {
		if (final_answers[tries[i].outcome].rank <= best->rank)
			continue;
		best = &final_answers[tries[i].outcome];
		fault = tries[i].fault;
	}
	return (struct retry_answer){
	    .status = best->status,
	    .detail = best->detail,
	    .proxy_error = best->proxy_error,
	    .retry_after_s = best->retry_after_s,
	    .end = best->end,
	    .fault = fault,
	};
}

static void put_attempt(struct text *out, const struct try_record *try)
{
	text_put(out, str_from(try->backend->name));
	text_put(out, STR("("));
	if (try->outcome == OUTCOME_GOOD || try->outcome == OUTCOME_STATUS)
		text_put_number(out, try->status);
	else
		text_put(out, str_from(outcome_word(try->outcome)));
	text_put(out, STR(","));
	text_put_number(out, (uint64_t)(try->took_us / 1000));
	text_put(out, STR("ms)"));
}

struct str retry_attempts(
    const struct try_record *tries, size_t count, char text[static RETRY_ATTEMPTS_SIZE])
{
	struct text out = text_begin(text, RETRY_ATTEMPTS_SIZE);
	size_t len = 0;

	for (size_t i = 0; i < count; i++) {
		if (i > 0)
			text_put(&out, STR(" "));
		put_attempt(&out, &tries[i]);
		if (!text_is_whole(&out))
			break;
		len = (size_t)(out.at - text);
	}
	return (struct str){text, len};
}
