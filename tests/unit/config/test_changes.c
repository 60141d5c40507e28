/* What is said about a reload, and what a reload does not change. */
#include "config/changes.h"
#include "loading.h"

struct said {
	char text[4096];
};

static void say(void *context, const char *line)
{
	struct said *said = context;

	snprintf(
	    said->text + strlen(said->text), sizeof(said->text) - strlen(said->text), "%s\n", line);
}

#define BACKENDS "backends = ( \"h:1\", { url = \"h:2\"; name = \"app\"; weight = 3; }, \"h:3\" );"

static void changes_are_said_line_by_line(void **state)
{
	static const struct {
		const char *old, *new, *said;
	} cases[] = {
	    {BACKENDS, BACKENDS, ""},
	    {BACKENDS, BACKENDS "max_delay_response = \"5000ms\"; retry = { tries = \"3\"; };", ""},
	    {BACKENDS, BACKENDS "retry = { tries = 2; };", "retry.tries 3 -> 2\n"},
	    {BACKENDS "retry = { statuses = [ ]; };", BACKENDS "retry = { statuses = [ 500 ]; };",
		"retry.statuses [ ] -> [ 500 ]\n"},
	    {BACKENDS, BACKENDS "health = { path = \"/ok\"; };", "health.path \"\" -> /ok\n"},
	    {BACKENDS, BACKENDS "listen = ( \":80\", \":81\" );",
		"listen *:8080 -> ( \":80\", \":81\" )\n"},
	    {BACKENDS,
		BACKENDS "limits = { header_bytes = \"32k\"; headers = 50; connections = 5; };"
			 "retry = { body = 0; };",
		"retry.body 64k -> 0 needs a restart\n"
		"limits.connections 10000 -> 5\n"
		"limits.header_bytes 16k -> 32k needs a restart\n"
		"limits.headers 100 -> 50 needs a restart\n"},
	    {BACKENDS, BACKENDS "log = { level = \"debug\"; }; admin = { socket = \"/run/a\"; };",
		"log.level info -> debug\nadmin.socket auto -> /run/a\n"},
	    /* Backends. */
	    {"backends = ( \"h:1\", \"h:2\" );",
		"backends = ( \"h:2\", { url = \"h:3\"; name = \"app3\"; } );",
		"-h:1 http://h:1\n+app3 http://h:3\n"},
	    {BACKENDS,
		"backends = ( \"h:1\", { url = \"h:2\"; name = \"app\"; weight = 5; "
		"max_connections = 9;"
		"max_delay_response = \"1s\"; backup = true; }, \"h:3\" );",
		"app weight 3 -> 5\napp max_connections 0 -> 9\napp max_delay_response 5s -> 1s\n"
		"app backup false -> true\n"},
	    {BACKENDS,
		"backends = ( \"h:1\", { url = \"h:2\"; name = \"new\"; weight = 3; }, \"h:3\" );",
		"app name app -> new\n"},
	    {"backends = ( \"h:1\", \"h:2\", \"h:3\" );",
		"backends = ( \"h:3\", \"h:2\", \"h:1\" );", "backends are in another order\n"},
	    {"backends = ( \"h:1\", \"h:2\" );",
		"backends = ( \"h:9\", \"h:1\", \"h:5\", \"h:2\" );",
		"+h:9 http://h:9\n+h:5 http://h:5\n"},
	    /* A limit for all is said once. */
	    {BACKENDS, BACKENDS "max_delay_response = \"2s\";", "max_delay_response 5s -> 2s\n"},
	    {"backends = { url = \"h:1\"; max_delay_response = \"1s\"; };", "backends = \"h:1\";",
		"h:1 max_delay_response 1s -> 5s\n"},
	    /* Another way to write the same. */
	    {"backends = \"h:1\";", "backends = ( { url = \"http://h:1\"; weight = 1; } );", ""},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct config *old = load_text(cases[i].old);
		struct config *new = load_text(cases[i].new);
		struct said said = {""};
		size_t count = config_describe_changes(old, new, say, &said);
		size_t lines = 0;

		assert_string_equal(said.text, cases[i].said);
		for (const char *c = said.text; *c; c++)
			lines += *c == '\n';
		assert_int_equal(count, lines);
		config_drop(old);
		config_drop(new);
	}
}

static void sizes_of_buffers_stay_until_a_restart(void **state)
{
	struct config *running = load_text(BACKENDS);
	const char *text =
	    BACKENDS "limits = { header_bytes = \"32k\"; uri_bytes = \"20k\"; headers = 50;"
		     "connections = 5; }; retry = { body = \"1m\"; tries = 2; };";
	struct config *new = load_text(text);
	struct config *again = load_text(text);
	struct said said = {""};

	(void)state;
	config_keep_sizes(new, running);
	assert_int_equal(new->rules.limits.head.header_bytes, 16384);
	assert_int_equal(new->rules.limits.head.headers, 100);
	assert_int_equal(new->rules.limits.head.uri_bytes, 16384);
	assert_int_equal(new->rules.retry.body_bytes, 65536);
	assert_int_equal(new->rules.limits.connections, 5);
	assert_int_equal(new->rules.retry.tries, 2);
	config_drop(running); /* `new` holds nothing of it */
	/* The next reload of the same file says again what waits for a restart, and nothing else.
	 */
	config_describe_changes(new, again, say, &said);
	assert_string_equal(said.text, "retry.body 64k -> 1m needs a restart\n"
				       "limits.header_bytes 16k -> 32k needs a restart\n"
				       "limits.headers 100 -> 50 needs a restart\n"
				       "limits.uri_bytes 16k -> 20k\n");
	config_drop(new);
	config_drop(again);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(changes_are_said_line_by_line),
	    cmocka_unit_test(sizes_of_buffers_stay_until_a_restart),
	};

	return cmocka_run_group_tests(tests, enter_directory, leave_directory);
}
