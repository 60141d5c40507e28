/* A whole load: where values come from, who wins, and what is derived. */
#include "config/settings.h"
#include "loading.h"

#define URL "http://localhost:8001"

/* ---- values */

/* Every default, as the manual promises it. */
static const char all_defaults[] =
    "listen = \"*:8080\";\n"
    "backends = (\n"
    "    { url = \"http://localhost:8001\"; name = \"localhost:8001\"; "
    "weight = 1; max_connections = 0; max_delay_response = \"5s\"; "
    "backup = false; }\n"
    ");\n"
    "balance = \"round_robin\";\n"
    "upgrades = [ \"websocket\" ];\n"
    "max_delay_response = \"5s\";\n"
    "retry_window = \"10s\";\n"
    "retry_window_max = \"60s\";\n"
    "include = \"\";\n"
    "silence = {\n"
    "    after = \"auto\";\n"
    "    rescue = 5;\n"
    "};\n"
    "queue = {\n"
    "    wait = \"2s\";\n"
    "    length = 1024;\n"
    "};\n"
    "retry = {\n"
    "    tries = 3;\n"
    "    methods = \"idempotent\";\n"
    "    statuses = [ 500, 502, 503, 504 ];\n"
    "    body = \"64k\";\n"
    "    deadline = \"30s\";\n"
    "    budget = 20;\n"
    "    idempotency_header = \"Idempotency-Key\";\n"
    "};\n"
    "timeouts = {\n"
    "    connect = \"1s\";\n"
    "    request_head = \"10s\";\n"
    "    request_body = \"30s\";\n"
    "    response = \"60s\";\n"
    "    send = \"60s\";\n"
    "    keep_alive = \"75s\";\n"
    "    backend_idle = \"4s\";\n"
    "    backend_age = \"10m\";\n"
    "    tunnel = \"1h\";\n"
    "    drain = \"30s\";\n"
    "    drain_delay = \"0s\";\n"
    "};\n"
    "health = {\n"
    "    path = \"\";\n"
    "    host = \"\";\n"
    "    port = 0;\n"
    "    interval = \"5s\";\n"
    "    timeout = \"1s\";\n"
    "    fall = 3;\n"
    "    rise = 2;\n"
    "    expect = \"200-399\";\n"
    "    slow_start = \"0s\";\n"
    "};\n"
    "clients = {\n"
    "    half_close = false;\n"
    "};\n"
    "limits = {\n"
    "    connections = 10000;\n"
    "    header_bytes = \"16k\";\n"
    "    headers = 100;\n"
    "    uri_bytes = \"8k\";\n"
    "    body_bytes = 0;\n"
    "};\n"
    "headers = {\n"
    "    app_url = \"x-app-url\";\n"
    "    attempts = \"\";\n"
    "    request_id = \"\";\n"
    "    forwarded = \"x-forwarded\";\n"
    "    trusted_proxies = [ ];\n"
    "};\n"
    "log = {\n"
    "    level = \"info\";\n"
    "    access = \"off\";\n"
    "    format = \"combined+\";\n"
    "};\n"
    "admin = {\n"
    "    http = \"\";\n"
    "    hosts = [ ];\n"
    "    socket = \"auto\";\n"
    "};\n";

/* A value other than the default for every setting: as a file has it, and as the command line has
 * it. */
static const struct {
	const char *path, *in_file, *on_command_line;
} others[] = {
    {"listen", "( \"127.0.0.1:81\", \"[::1]:82\" )", "127.0.0.1:81,[::1]:82"},
    {"balance", "\"adaptive\"", "adaptive"},
    {"upgrades", "[ \"websocket\", \"SPDY/3.1\" ]", "websocket,SPDY/3.1"},
    {"max_delay_response", "\"250ms\"", "250ms"},
    {"retry_window", "\"11s\"", "11s"},
    {"retry_window_max", "\"61s\"", "61s"},
    {"silence.after", "\"50ms\"", "50ms"},
    {"silence.rescue", "7", "7"},
    {"queue.wait", "\"3s\"", "3s"},
    {"queue.length", "9", "9"},
    {"retry.tries", "5", "5"},
    {"retry.methods", "\"none\"", "none"},
    {"retry.statuses", "[ 502, 404 ]", "502,404"},
    {"retry.body", "\"1m\"", "1m"},
    {"retry.deadline", "\"31s\"", "31s"},
    {"retry.budget", "100", "100"},
    {"retry.idempotency_header", "\"X-Key\"", "X-Key"},
    {"timeouts.connect", "\"101ms\"", "101ms"},
    {"timeouts.request_head", "\"102ms\"", "102ms"},
    {"timeouts.request_body", "\"103ms\"", "103ms"},
    {"timeouts.response", "\"104ms\"", "104ms"},
    {"timeouts.send", "\"105ms\"", "105ms"},
    {"timeouts.keep_alive", "\"106ms\"", "106ms"},
    {"timeouts.backend_idle", "\"0s\"", "0"},
    {"timeouts.backend_age", "\"117ms\"", "117ms"},
    {"timeouts.tunnel", "\"108ms\"", "108ms"},
    {"timeouts.drain", "\"0s\"", "0"},
    {"timeouts.drain_delay", "\"5s\"", "5s"},
    {"health.path", "\"/healthz\"", "/healthz"},
    {"health.host", "\"app.example\"", "app.example"},
    {"health.port", "9000", "9000"},
    {"health.interval", "\"110ms\"", "110ms"},
    {"health.timeout", "\"111ms\"", "111ms"},
    {"health.fall", "4", "4"},
    {"health.rise", "1", "1"},
    {"health.expect", "\"200,204\"", "200,204"},
    {"health.slow_start", "\"30s\"", "30s"},
    {"clients.half_close", "true", "true"},
    {"limits.connections", "7", "7"},
    {"limits.header_bytes", "\"32k\"", "32k"},
    {"limits.headers", "50", "50"},
    {"limits.uri_bytes", "\"4k\"", "4k"},
    {"limits.body_bytes", "\"10m\"", "10m"},
    {"headers.app_url", "\"\"", ""},
    {"headers.attempts", "\"x-attempts\"", "x-attempts"},
    {"headers.request_id", "\"X-Request-ID\"", "X-Request-ID"},
    {"headers.forwarded", "\"rfc7239\"", "rfc7239"},
    {"headers.trusted_proxies", "[ \"10.0.0.0/8\", \"::1/128\" ]", "10.0.0.0/8,::1"},
    {"log.level", "\"debug\"", "debug"},
    {"log.access", "\"/var/log/rondo/access.log\"", "/var/log/rondo/access.log"},
    {"log.format", "\"json\"", "json"},
    {"admin.http", "\"127.0.0.1:9180\"", "127.0.0.1:9180"},
    {"admin.hosts", "[ \"rondo.example.org\", \"b\" ]", "rondo.example.org,b"},
    {"admin.socket", "\"/run/rondo/admin.sock\"", "/run/rondo/admin.sock"},
};

static const struct config_value *value_of(const struct config *config, const char *path)
{
	const struct setting *setting = settings_find(settings_all(), str_from(path));

	assert_non_null(setting);
	return &config->values[setting - settings_all().items];
}

static void the_automatic_admin_socket_is_where_systemd_says(void **state)
{
	struct config *config;

	(void)state;
	setenv("RUNTIME_DIRECTORY", "/run/one:/run/other", 1);
	config = load_text("backends = ( \"" URL "\" );");
	assert_string_equal(config->admin_socket_path, "/run/one/admin.sock");
	config_drop(config);
	config = load_text("backends = ( \"" URL "\" ); admin = { socket = \"\"; };");
	assert_string_equal(config->admin_socket_path, "");
	config_drop(config);
	unsetenv("RUNTIME_DIRECTORY");
}

static void the_smallest_file_has_all_defaults(void **state)
{
	struct config *config = load_text("backends = ( \"" URL "\" );");
	char *dumped = dump_bare(config);

	(void)state;
	assert_string_equal(dumped, all_defaults);
	assert_string_equal(value_of(config, "listen")->origin, "default");
	assert_int_equal(config->rules.holders, 1);
	assert_int_equal(config->rules.retry.tries, 3);
	assert_int_equal(config->rules.retry.methods, RETRY_IDEMPOTENT);
	assert_int_equal(config->rules.retry.status_count, 4);
	assert_int_equal(config->rules.retry.statuses[3], 504);
	assert_int_equal(config->rules.retry.body_bytes, 65536);
	assert_int_equal(config->rules.retry.deadline_us, 30000000);
	assert_int_equal(config->rules.timeouts.tunnel_us, 3600000000);
	assert_int_equal(config->rules.limits.head.header_bytes, 16384);
	assert_int_equal(config->rules.limits.head.headers, 100);
	assert_int_equal(config->rules.limits.body_bytes, 0);
	assert_int_equal(config->rules.headers.forwarded, WRITE_FORWARDED_X);
	assert_int_equal(config->rules.headers.trusted_count, 0);
	assert_int_equal(config->ring.balance, RING_ROUND_ROBIN);
	assert_int_equal(config->ring.retry_window_us, 10000000);
	assert_int_equal(config->check.connect_timeout_us, 1000000);
	assert_int_equal(config->check.expect_count, 1);
	assert_int_equal(config->check.expect[0].to, 399);
	assert_int_equal(config->access_log.format, ACCESS_COMBINED_PLUS);
	assert_string_equal(config->access_log.path, "off");
	assert_int_equal(config->log_level, LOG_LEVEL_INFO);
	assert_int_equal(config->listen_count, 1);
	assert_true(config->listen[0].dual_stack);
	assert_null(config->admin_http);
	assert_string_equal(config->admin_socket_path, "");
	assert_int_equal(config->file_count, 1);
	assert_string_equal(config->files[0], "rondo.conf");
	free(dumped);
	config_drop(config);
}

/* What is dumped reads as the same configuration again. */
static void expect_same_again(const struct config *config)
{
	char *dumped = dump_bare(config);
	struct config *again = load_text(dumped);
	char *dumped_again = dump_bare(again);

	assert_string_equal(dumped_again, dumped);
	free(dumped_again);
	free(dumped);
	config_drop(again);
}

static char *file_with(const char *path, const char *value)
{
	const char *point = strchr(path, '.');
	char *text;
	int len;

	if (point)
		len = asprintf(&text, "backends = \"%s\";\n%.*s = {\n %s = %s; };", URL,
		    (int)(point - path), path, point + 1, value);
	else
		len = asprintf(&text, "backends = \"%s\";\n\n%s = %s;", URL, path, value);
	assert_true(len > 0);
	return text;
}

static bool has_other(const char *path)
{
	for (size_t i = 0; i < COUNT(others); i++)
		if (strcmp(others[i].path, path) == 0)
			return true;
	return false;
}

static void every_setting_has_another_value_here(void **state)
{
	(void)state;
	for (size_t i = 0; i < settings_all().count; i++) {
		const char *path = settings_all().items[i].path;
		bool has_own_tests = !strcmp(path, "backends") || !strcmp(path, "include");

		if (has_other(path) == has_own_tests)
			fail_msg("the table `others` is wrong about %s", path);
	}
}

static void every_setting_is_read_from_a_file_and_dumped(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(others); i++) {
		char *text = file_with(others[i].path, others[i].in_file);
		struct config *config = load_text(text);
		const struct config_value *value = value_of(config, others[i].path);
		char *dumped = dump_bare(config);

		assert_string_equal(value->text, others[i].in_file);
		assert_string_equal(value->origin, "rondo.conf:3");
		assert_string_not_equal(dumped, all_defaults);
		expect_same_again(config);
		free(dumped);
		config_drop(config);
		free(text);
	}
}

static void every_setting_is_overridden_by_the_command_line(void **state)
{
	static const char *const backends[] = {URL};

	(void)state;
	for (size_t i = 0; i < COUNT(others); i++) {
		const char *sets[1];
		struct config_source source = {
		    .backends = backends, .backend_count = 1, .sets = sets, .set_count = 1};
		struct config *config;
		char *set;

		assert_true(asprintf(&set, "%s=%s", others[i].path, others[i].on_command_line) > 0);
		sets[0] = set;
		config = load_good(&source);
		assert_string_equal(value_of(config, others[i].path)->text, others[i].in_file);
		assert_string_equal(value_of(config, others[i].path)->origin, "command line");
		assert_int_equal(config->file_count, 0);
		config_drop(config);
		free(set);
	}
}

/* ---- who wins */

static void the_command_line_wins(void **state)
{
	static const char *const listens[] = {"127.0.0.1:0", "unix:/tmp/x"};
	static const char *const backends[] = {"localhost:1", "http://[::1]:2", "unix:/run/a"};
	static const char *const sets[] = {"retry.tries=2", "retry.tries=4", "listen=:1"};
	const struct config_source source = {.file = "main.conf",
	    .listens = listens,
	    .listen_count = COUNT(listens),
	    .backends = backends,
	    .backend_count = COUNT(backends),
	    .sets = sets,
	    .set_count = COUNT(sets)};
	const char *text =
	    "backends = ( \"localhost:1\", \"localhost:9\" );\nretry = { tries = 9; };\n";
	struct config *config;

	(void)state;
	write_file("main.conf", text, strlen(text));
	config = load_good(&source);
	unlink("main.conf");
	assert_int_equal(config->rules.retry.tries, 4);
	assert_int_equal(config->listen_count, 2);
	assert_string_equal(config->listen[1].text, "unix:/tmp/x");
	assert_int_equal(config->backend_count, 3);
	assert_string_equal(config->backends[0].options.url, "http://localhost:1");
	assert_string_equal(config->backends[0].origin, "command line");
	expect_same_again(config);
	config_drop(config);
}

static void faults_of_the_command_line(void **state)
{
	static const char *const listens[] = {"localhost:80"};
	static const char *const backends[] = {"localhost:1", "https://x", "localhost:1"};
	static const char *const sets[] = {"retry.tires=2", "retry.tries", "backends=x",
	    "retry.tries=x", "=", "tries=1", "retry=3"};
	const struct config_source source = {.listens = listens,
	    .listen_count = COUNT(listens),
	    .backends = backends,
	    .backend_count = COUNT(backends),
	    .sets = sets,
	    .set_count = COUNT(sets)};
	struct config *config;
	char *printed = load_and_print(&source, &config);

	(void)state;
	assert_string_equal(printed,
	    "--set retry.tires=2: unknown setting `retry.tires`\n"
	    "        hint: did you mean `retry.tries`?\n"
	    "--set retry.tries: write --set KEY=VALUE, as in --set retry.tries=2\n"
	    "--set backends=x: write --backend URL instead\n"
	    "--set retry.tries=x: retry.tries: \"x\" is not a whole number\n"
	    "--set =: unknown setting ``\n"
	    "--set tries=1: unknown setting `tries`\n"
	    "        hint: did you mean `retry.tries`?\n"
	    "--set retry=3: unknown setting `retry`\n"
	    "--listen localhost:80: listen: \"localhost:80\" is not an address; write \"*:8080\", "
	    "\"127.0.0.1:8080\", \"[::1]:8080\" or \"unix:/path\"\n"
	    "--backend https://x: backend \"https://x\": https is not supported: write "
	    "http://HOST:PORT\n"
	    "--backend localhost:1: backend \"http://localhost:1\" is listed twice, first at "
	    "command "
	    "line\n");
	free(printed);
}

static void nothing_at_all_is_not_enough(void **state)
{
	struct config *config;
	char *printed = load_and_print(&(struct config_source){0}, &config);

	(void)state;
	assert_string_equal(printed,
	    "command line: no backends\n        hint: add --backend http://localhost:8001\n");
	free(printed);
}

static void a_file_that_cannot_be_read(void **state)
{
	static const struct {
		const char *file, *printed;
	} cases[] = {
	    {"nothing.conf", "nothing.conf: cannot be read: No such file or directory\n"},
	    {"/", "/: cannot be read: Is a directory\n"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct config *config;
		char *printed =
		    load_and_print(&(struct config_source){.file = cases[i].file}, &config);

		assert_string_equal(printed, cases[i].printed);
		free(printed);
	}
}

static void a_file_that_is_too_large(void **state)
{
	size_t len = (4 << 20) + 1;
	char *text = malloc(len);
	struct config *config;
	char *printed;

	(void)state;
	memset(text, '\n', len);
	write_file("large.conf", text, len);
	printed = load_and_print(&(struct config_source){.file = "large.conf"}, &config);
	unlink("large.conf");
	assert_string_equal(printed, "large.conf: cannot be read: File too large\n");
	free(printed);
	free(text);
}

/* ---- backends */

static void backends_in_all_forms(void **state)
{
	struct config *config =
	    load_text("max_delay_response = \"2s\";\n"
		      "backends = (\n"
		      "  \"http://localhost\",\n"
		      "  \"localhost:8001\",\n"
		      "  { url = \"http://[::1]:8002\"; name = \"six\"; weight = 1000; },\n"
		      "  { url = \"unix:/run/app.sock\"; max_connections = 5; backup = true; },\n"
		      "  { url = \"10.0.0.1:8003\"; max_delay_response = \"1s\"; },\n"
		      "  \"http://Under_score.example:65535\"\n"
		      ");\n");
	static const struct {
		const char *url, *name, *host, *path, *origin;
		int64_t delay_us;
		unsigned port, weight, max_connections;
		bool backup;
	} expected[] = {
	    {"http://localhost", "localhost:80", "localhost", NULL, "rondo.conf:3", 2000000, 80, 1,
		0, false},
	    {"http://localhost:8001", "localhost:8001", "localhost", NULL, "rondo.conf:4", 2000000,
		8001, 1, 0, false},
	    {"http://[::1]:8002", "six", "::1", NULL, "rondo.conf:5", 2000000, 8002, 1000, 0,
		false},
	    {"unix:/run/app.sock", "unix:/run/app.sock", NULL, "/run/app.sock", "rondo.conf:6",
		2000000, 0, 1, 5, true},
	    {"http://10.0.0.1:8003", "10.0.0.1:8003", "10.0.0.1", NULL, "rondo.conf:7", 1000000,
		8003, 1, 0, false},
	    {"http://Under_score.example:65535", "Under_score.example:65535", "Under_score.example",
		NULL, "rondo.conf:8", 2000000, 65535, 1, 0, false},
	};

	(void)state;
	assert_int_equal(config->backend_count, COUNT(expected));
	for (size_t i = 0; i < COUNT(expected); i++) {
		const struct backend_options *options = &config->backends[i].options;

		assert_string_equal(options->url, expected[i].url);
		assert_string_equal(options->name, expected[i].name);
		assert_string_equal(
		    options->host ? options->host : "-", expected[i].host ? expected[i].host : "-");
		assert_string_equal(
		    options->path ? options->path : "-", expected[i].path ? expected[i].path : "-");
		assert_int_equal(options->port, expected[i].port);
		assert_int_equal(options->weight, expected[i].weight);
		assert_int_equal(options->max_connections, expected[i].max_connections);
		assert_int_equal(options->max_delay_response_us, expected[i].delay_us);
		assert_int_equal(options->backup, expected[i].backup);
		assert_string_equal(config->backends[i].origin, expected[i].origin);
	}
	expect_same_again(config);
	config_drop(config);
}

/* ---- the environment */

static void variables_are_replaced(void **state)
{
	static const struct {
		const char *written, *read;
	} cases[] = {
	    {"${RONDO_TEST_SET}", "value"},
	    {"a${RONDO_TEST_SET}b${RONDO_TEST_SET}c", "avaluebvaluec"},
	    {"${RONDO_TEST_SET:-default}", "value"},
	    {"${RONDO_TEST_UNSET:-default}", "default"},
	    {"${RONDO_TEST_UNSET:-}x", "x"},
	    {"${RONDO_TEST_EMPTY}x", "x"},
	    {"${RONDO_TEST_EMPTY:-default}", "default"},
	    {"${RONDO_TEST_UNSET:-a:-b}", "a:-b"},
	    {"${RONDO_TEST_NESTED}", "${RONDO_TEST_SET}"},
	    {"$RONDO_TEST_SET $ {} }", "$RONDO_TEST_SET $ {} }"},
	    {"$${RONDO_TEST_SET}", "${RONDO_TEST_SET}"},
	    {"$${$${", "${${"},
	    {"a$${b ${RONDO_TEST_SET}$${RONDO_TEST_SET} $$", "a${b value${RONDO_TEST_SET} $$"},
	};

	(void)state;
	setenv("RONDO_TEST_SET", "value", 1);
	setenv("RONDO_TEST_EMPTY", "", 1);
	setenv("RONDO_TEST_NESTED", "${RONDO_TEST_SET}", 1);
	unsetenv("RONDO_TEST_UNSET");
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct config *config;
		char *text;

		assert_true(asprintf(&text, "backends = \"%s\"; log = { access = \"%s\"; };", URL,
				cases[i].written) > 0);
		config = load_text(text);
		assert_string_equal(config->access_log.path, cases[i].read);
		config_drop(config);
		free(text);
	}
}

static void variables_reach_every_type(void **state)
{
	struct config *config;

	(void)state;
	setenv("RONDO_TEST_NUMBER", "7", 1);
	setenv("RONDO_TEST_TRUTH", "true", 1);
	config = load_text(
	    "backends = ( { url = \"localhost:${RONDO_TEST_NUMBER}\";\n"
	    "  weight = \"${RONDO_TEST_NUMBER}\"; backup = \"${RONDO_TEST_TRUTH}\"; } );\n"
	    "retry = { tries = \"${RONDO_TEST_NUMBER}\"; statuses = [ \"50${RONDO_TEST_UNSET:-4}\" "
	    "]; };\n"
	    "timeouts = { connect = \"${RONDO_TEST_NUMBER}s\"; };\n");
	assert_int_equal(config->backends[0].options.port, 7);
	assert_int_equal(config->backends[0].options.weight, 7);
	assert_true(config->backends[0].options.backup);
	assert_int_equal(config->rules.retry.tries, 7);
	assert_int_equal(config->rules.retry.statuses[0], 504);
	assert_int_equal(config->rules.timeouts.connect_us, 7000000);
	config_drop(config);
}

/* The shell has replaced what was to be replaced there. */
static void variables_stay_on_the_command_line(void **state)
{
	static const char *const backends[] = {URL};
	static const char *const sets[] = {"log.access=${RONDO_TEST_UNSET}"};
	struct config *config = load_good(&(struct config_source){
	    .backends = backends, .backend_count = 1, .sets = sets, .set_count = 1});

	(void)state;
	assert_string_equal(config->access_log.path, "${RONDO_TEST_UNSET}");
	config_drop(config);
}

/* ---- included files */

static void included_files_add_backends_in_the_order_of_their_names(void **state)
{
	static const char *const urls[] = {
	    "http://localhost:8001", "http://localhost:8002", "http://localhost:8003"};
	static const char *const origins[] = {
	    "good_include.conf:2", "good.d/a.conf:1", "good.d/b.conf:1"};
	struct config *config;
	char *dumped;

	(void)state;
	assert_int_equal(chdir(RONDO_TESTS_DIR "/config"), 0);
	config = load_good(&(struct config_source){.file = "good_include.conf"});
	assert_int_equal(chdir(directory), 0);
	assert_int_equal(config->backend_count, 3);
	for (size_t i = 0; i < 3; i++) {
		assert_string_equal(config->backends[i].options.url, urls[i]);
		assert_string_equal(config->backends[i].origin, origins[i]);
	}
	assert_int_equal(config->file_count, 3);
	assert_string_equal(config->files[2], "good.d/b.conf");
	config_drop(config);
	/* The pattern is relative to the file, wherever one stands. */
	config =
	    load_good(&(struct config_source){.file = RONDO_TESTS_DIR "/config/good_include.conf"});
	assert_int_equal(config->backend_count, 3);
	/* In the dump the pattern is a comment: the backends of those files are listed in it. */
	dumped = dump_bare(config);
	config_drop(config);
	config = load_text(dumped);
	assert_int_equal(config->backend_count, 3);
	assert_string_equal(config->include, "");
	free(dumped);
	config_drop(config);
}

/* ---- what depends on each other */

static void a_default_gives_way_to_what_was_set(void **state)
{
	struct config *config =
	    load_text("backends = \"" URL "\"; limits = { header_bytes = \"4k\"; };\n"
		      "retry_window = \"2m\";");

	(void)state;
	assert_int_equal(config->rules.limits.head.uri_bytes, 4096);
	assert_int_equal(config->ring.retry_window_max_us, 120000000);
	expect_same_again(config);
	config_drop(config);
	config = load_text("backends = \"" URL "\"; retry_window_max = \"3s\";");
	assert_int_equal(config->ring.retry_window_us, 3000000);
	config_drop(config);
}

static void a_deadline_that_leaves_no_time_to_judge_is_a_warning(void **state)
{
#define NOT_MORE     "is not more than max_delay_response, "
#define NOT_DETECTED ": a backend that hangs will not be detected"
	static const struct {
		const char *text, *warning;
	} rows[] = {
	    {"backends = \"" URL "\";", NULL},
	    {"backends = \"" URL "\";\nretry = { deadline = \"5001ms\"; };", NULL},
	    {"backends = \"" URL "\";\nretry = { deadline = \"5s\"; };",
		"rondo.conf:2: retry.deadline, \"5s\", " NOT_MORE "\"5s\"" NOT_DETECTED},
	    {"backends = \"" URL "\";\n\nmax_delay_response = \"2m\";",
		"rondo.conf:3: retry.deadline, \"30s\", " NOT_MORE "\"2m\"" NOT_DETECTED},
	    {"max_delay_response = \"2m\";\n"
	     "backends = { url = \"" URL "\"; max_delay_response = \"5s\"; };",
		NULL},
	    {"retry = { deadline = \"10s\"; };\n"
	     "backends = ( \"h:1\",\n{ url = \"h:2\"; max_delay_response = \"20s\"; } );",
		"rondo.conf:3: retry.deadline, \"10s\", " NOT_MORE
		"\"20s\" of backend h:2" NOT_DETECTED},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct config *config = load_text(rows[i].text);

		if (rows[i].warning)
			assert_string_equal(config->warning, rows[i].warning);
		else
			assert_null(config->warning);
		config_drop(config);
	}
}

static void the_time_for_a_connect_is_that_of_probes_too(void **state)
{
	struct config *config =
	    load_text("backends = \"" URL "\"; timeouts = { connect = \"3s\"; };");

	(void)state;
	assert_int_equal(config->rules.timeouts.connect_us, 3000000);
	assert_int_equal(config->check.connect_timeout_us, 3000000);
	config_drop(config);
}

static void the_last_holder_frees_it(void **state)
{
	struct config *config = load_text("backends = \"" URL "\";");
	struct proxy_options *rules = proxy_options_hold(&config->rules);

	(void)state;
	config_drop(config);
	assert_int_equal(rules->retry.tries, 3);
	proxy_options_drop(rules); /* the leak checker sees whether that was the last */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_smallest_file_has_all_defaults),
	    cmocka_unit_test(the_automatic_admin_socket_is_where_systemd_says),
	    cmocka_unit_test(every_setting_has_another_value_here),
	    cmocka_unit_test(every_setting_is_read_from_a_file_and_dumped),
	    cmocka_unit_test(every_setting_is_overridden_by_the_command_line),
	    cmocka_unit_test(the_command_line_wins),
	    cmocka_unit_test(faults_of_the_command_line),
	    cmocka_unit_test(nothing_at_all_is_not_enough),
	    cmocka_unit_test(a_file_that_cannot_be_read),
	    cmocka_unit_test(a_file_that_is_too_large),
	    cmocka_unit_test(backends_in_all_forms),
	    cmocka_unit_test(variables_are_replaced),
	    cmocka_unit_test(variables_reach_every_type),
	    cmocka_unit_test(variables_stay_on_the_command_line),
	    cmocka_unit_test(included_files_add_backends_in_the_order_of_their_names),
	    cmocka_unit_test(a_default_gives_way_to_what_was_set),
	    cmocka_unit_test(a_deadline_that_leaves_no_time_to_judge_is_a_warning),
	    cmocka_unit_test(the_time_for_a_connect_is_that_of_probes_too),
	    cmocka_unit_test(the_last_holder_frees_it),
	};

	return cmocka_run_group_tests(tests, enter_directory, leave_directory);
}
