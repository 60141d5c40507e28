#include "proxy/retry.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const struct http_field KEY = {.name = {"idempotency-KEY", 15}, .value = {"7", 1}};

static void what_may_be_sent_twice_depends_on_method_header_and_setting(void **state)
{
	static const struct {
		enum http_method method;
		bool has_key;
		bool idempotent, all, none; /* what each setting of retry.methods allows */
	} cases[] = {
	    {HTTP_METHOD_GET, false, true, true, false},
	    {HTTP_METHOD_HEAD, false, true, true, false},
	    {HTTP_METHOD_OPTIONS, false, true, true, false},
	    {HTTP_METHOD_TRACE, false, true, true, false},
	    {HTTP_METHOD_PUT, false, true, true, false},
	    {HTTP_METHOD_DELETE, false, true, true, false},
	    {HTTP_METHOD_POST, false, false, true, false},
	    {HTTP_METHOD_OTHER, false, false, true, false},
	    {HTTP_METHOD_POST, true, true, true, false},
	    {HTTP_METHOD_OTHER, true, true, true, false},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct http_field field = KEY;
		struct http_head head = {.method = cases[i].method,
		    .fields = &field,
		    .field_count = cases[i].has_key ? 1 : 0};
		struct proxy_retry_options rules = {.idempotency_header = "Idempotency-Key"};
		rules.methods = RETRY_IDEMPOTENT;
		assert_int_equal(retry_may_repeat(&rules, &head), cases[i].idempotent);
		rules.methods = RETRY_ALL;
		assert_int_equal(retry_may_repeat(&rules, &head), cases[i].all);
		rules.methods = RETRY_NONE;
		assert_int_equal(retry_may_repeat(&rules, &head), cases[i].none);
	}
}

static void no_header_makes_a_post_idempotent_when_none_is_configured(void **state)
{
	struct http_field field = KEY;
	struct http_head head = {.method = HTTP_METHOD_POST, .fields = &field, .field_count = 1};
	struct proxy_retry_options rules = {.methods = RETRY_IDEMPOTENT, .idempotency_header = ""};
	(void)state;
	assert_false(retry_may_repeat(&rules, &head));
}

static void a_key_that_no_backend_is_shown_makes_nothing_idempotent(void **state)
{
	/* Connection named it. */
	struct http_field field = {.name = KEY.name, .value = KEY.value, .hop_by_hop = true};
	struct http_head head = {.method = HTTP_METHOD_POST, .fields = &field, .field_count = 1};
	struct proxy_retry_options rules = {
	    .methods = RETRY_IDEMPOTENT, .idempotency_header = "Idempotency-Key"};

	(void)state;
	assert_false(retry_may_repeat(&rules, &head));
}

static void only_the_listed_statuses_fall_through(void **state)
{
	struct proxy_retry_options rules = {.statuses = {500, 503}, .status_count = 2};
	(void)state;
	assert_true(retry_is_status(&rules, 500));
	assert_true(retry_is_status(&rules, 503));
	assert_false(retry_is_status(&rules, 502));
	assert_false(retry_is_status(&rules, 200));
	rules.status_count = 0;
	assert_false(retry_is_status(&rules, 500));
}

static void the_most_informative_failure_is_told(void **state)
{
	static const struct {
		enum outcome outcomes[3];
		size_t count;
		enum ring_pick_result picked;
		unsigned status;
		const char *proxy_error;
		enum access_end end;
	} cases[] = {
	    {{0}, 0, RING_NOBODY, 503, "destination_unavailable", ACCESS_NO_BACKEND},
	    {{0}, 0, RING_ALL_FULL, 503, "connection_limit_reached", ACCESS_LIMIT},
	    {{OUTCOME_SHORTAGE}, 1, RING_NOBODY, 503, "proxy_internal_error", ACCESS_LIMIT},
	    {{OUTCOME_REFUSED}, 1, RING_NOBODY, 502, "connection_refused", ACCESS_REFUSED},
	    {{OUTCOME_REFUSED}, 1, RING_ALL_FULL, 502, "connection_refused", ACCESS_REFUSED},
	    {{OUTCOME_UNREACHABLE}, 1, RING_NOBODY, 502, "destination_ip_unroutable",
		ACCESS_REFUSED},
	    {{OUTCOME_RESET, OUTCOME_REFUSED}, 2, RING_NOBODY, 502, "connection_terminated",
		ACCESS_RESET},
	    {{OUTCOME_STALE}, 1, RING_NOBODY, 502, "connection_terminated", ACCESS_RESET},
	    {{OUTCOME_IMPATIENT}, 1, RING_NOBODY, 502, "connection_terminated", ACCESS_RESET},
	    {{OUTCOME_REFUSED, OUTCOME_BAD_RESPONSE}, 2, RING_NOBODY, 502, "http_protocol_error",
		ACCESS_BAD_RESPONSE},
	    {{OUTCOME_STATUS}, 1, RING_NOBODY, 502, "http_response_incomplete",
		ACCESS_BAD_RESPONSE},
	    {{OUTCOME_LATE, OUTCOME_REFUSED, OUTCOME_RESET}, 3, RING_NOBODY, 504,
		"http_response_timeout", ACCESS_TIMEOUT},
	    {{OUTCOME_REFUSED, OUTCOME_CONNECT_TIMEOUT}, 2, RING_NOBODY, 504, "connection_timeout",
		ACCESS_TIMEOUT},
	    {{OUTCOME_STALLED}, 1, RING_NOBODY, 504, "connection_write_timeout", ACCESS_TIMEOUT},
	    {{OUTCOME_RESET, OUTCOME_DEADLINE}, 2, RING_NOBODY, 504, "http_response_timeout",
		ACCESS_TIMEOUT},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct try_record tries[3] = {{0}};
		for (size_t t = 0; t < cases[i].count; t++)
			tries[t].outcome = cases[i].outcomes[t];
		struct retry_answer answer =
		    retry_final_answer(tries, cases[i].count, cases[i].picked);
		assert_int_equal(answer.status, cases[i].status);
		assert_string_equal(answer.proxy_error, cases[i].proxy_error);
		assert_int_equal(answer.end, cases[i].end);
		assert_int_equal(answer.retry_after_s > 0, answer.status == 503);
	}
}

/* After these the answer has begun, or another try answers, or the client has gone. CHECK ends no try. */
static bool told_nothing(enum outcome outcome)
{
	static const enum outcome list[] = {OUTCOME_GOOD, OUTCOME_CHECK, OUTCOME_CUT_OFF,
	    OUTCOME_SILENT, OUTCOME_LOST, OUTCOME_GIVEN_UP, OUTCOME_CLIENT};

	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++)
		if (list[i] == outcome)
			return true;
	return false;
}

static void every_other_outcome_has_an_answer_of_its_own(void **state)
{
	const char *fallback = retry_final_answer(NULL, 0, RING_NOBODY).proxy_error;

	(void)state;
	for (enum outcome outcome = OUTCOME_GOOD; outcome < OUTCOMES; outcome++) {
		const struct try_record try = {.outcome = outcome};
		struct retry_answer answer = retry_final_answer(&try, 1, RING_NOBODY);

		assert_int_equal(strcmp(answer.proxy_error, fallback) == 0, told_nothing(outcome));
	}
}

static void every_error_that_is_told_is_registered(void **state)
{
	/* RFC 9209, 2.3, without those of TLS. */
	static const char registered[] =
	    " dns_timeout dns_error destination_not_found destination_unavailable"
	    " destination_ip_prohibited destination_ip_unroutable connection_refused"
	    " connection_terminated connection_timeout connection_read_timeout"
	    " connection_write_timeout connection_limit_reached http_request_error"
	    " http_request_denied http_response_incomplete"
	    " http_response_header_section_size http_response_header_size"
	    " http_response_body_size http_response_trailer_section_size"
	    " http_response_trailer_size http_response_transfer_coding"
	    " http_response_content_coding http_response_timeout http_upgrade_failed"
	    " http_protocol_error proxy_internal_response proxy_internal_error"
	    " proxy_configuration_error proxy_loop_detected ";

	(void)state;
	for (int outcome = 0; outcome < OUTCOMES; outcome++) {
		const struct try_record try = {.outcome = (enum outcome)outcome};
		struct retry_answer answer = retry_final_answer(&try, 1, RING_NOBODY);
		char word[64];

		snprintf(word, sizeof(word), " %s ", answer.proxy_error);
		assert_non_null(strstr(registered, word));
	}
}

static void attempts_name_every_try_and_never_overflow(void **state)
{
	static char long_name[RETRY_ATTEMPTS_SIZE];
	struct backend first = {.name = (char[]){"app2"}}, second = {.name = (char[]){"app3"}};
	struct try_record tries[] = {
	    {.backend = &first, .outcome = OUTCOME_LATE, .took_us = 5000 * 1000},
	    {.backend = &second, .outcome = OUTCOME_GOOD, .status = 200, .took_us = 13999},
	};
	char text[RETRY_ATTEMPTS_SIZE];
	(void)state;
	struct str got = retry_attempts(tries, 2, text);
	struct str wanted = STR("app2(timeout,5000ms) app3(200,13ms)");
	assert_true(str_equals(got, wanted));

	/* The head was well, the content was not. */
	tries[0].status = 200;
	for (int outcome = 0; outcome < OUTCOMES; outcome++) {
		char expected[64];
		tries[0].outcome = (enum outcome)outcome;
		snprintf(expected, sizeof(expected), "app2(%s,5000ms)",
		    outcome == OUTCOME_GOOD || outcome == OUTCOME_STATUS
			? "200"
			: outcome_word((enum outcome)outcome));
		assert_true(str_equals(retry_attempts(tries, 1, text), str_from(expected)));
	}
	tries[0].outcome = OUTCOME_LATE;

	memset(long_name, 'x', sizeof(long_name) - 1);
	second.name = long_name;
	got = retry_attempts(tries, 2, text);
	assert_true(str_equals(got, STR("app2(timeout,5000ms)")));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_may_be_sent_twice_depends_on_method_header_and_setting),
	    cmocka_unit_test(no_header_makes_a_post_idempotent_when_none_is_configured),
	    cmocka_unit_test(a_key_that_no_backend_is_shown_makes_nothing_idempotent),
	    cmocka_unit_test(only_the_listed_statuses_fall_through),
	    cmocka_unit_test(the_most_informative_failure_is_told),
	    cmocka_unit_test(every_other_outcome_has_an_answer_of_its_own),
	    cmocka_unit_test(every_error_that_is_told_is_registered),
	    cmocka_unit_test(attempts_name_every_try_and_never_overflow),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
