/* rondo -P against servers of all kinds, each a listening socket of this test. */
#include "probe_table.h"
#include "../config/loading.h"

#include <fcntl.h>
#include <sys/wait.h>

/* What a server does with its one connection. */
struct server {
	const char *answer; /* after the request was read; NULL: the connection is never taken */
	int fd;
	struct net_addr addr;
	pid_t child;
};

static void listen_on_loopback(struct server *server)
{
	const struct net_listen_options options = {.backlog = 4};
	struct net_addr any;

	assert_true(net_addr_parse(&any, STR("127.0.0.1:0")));
	server->fd = net_listen(&any, &options);
	assert_true(server->fd >= 0);
	assert_int_equal(net_local_addr(server->fd, &server->addr), 0);
}

/* In a process of its own: takes one connection, reads up to the empty line, answers and closes. */
static void serve(const struct server *server)
{
	struct sockaddr_storage peer;
	socklen_t size = sizeof(peer);
	char addr[NET_ADDR_TEXT_SIZE];
	char wanted[256];
	char request[4096] = "";
	size_t len = 0;
	int fd;

	fcntl(server->fd, F_SETFL, 0); /* this process may wait */
	fd = accept(server->fd, (struct sockaddr *)&peer, &size);
	while (!strstr(request, "\r\n\r\n")) {
		ssize_t got = read(fd, request + len, sizeof(request) - 1 - len);

		if (got <= 0)
			_exit(1);
		len += (size_t)got;
		request[len] = '\0';
	}
	/* As the health check asks. */
	snprintf(wanted, sizeof(wanted),
	    "GET /healthz HTTP/1.1\r\nHost: %s\r\nUser-Agent: rondo\r\nConnection: close\r\n\r\n",
	    net_addr_format(&server->addr, addr));
	if (strcmp(request, wanted) != 0)
		_exit(1);
	if (write(fd, server->answer, strlen(server->answer)) < 0)
		_exit(1);
	_exit(0);
}

static void start(struct server *server)
{
	listen_on_loopback(server);
	if (!server->answer)
		return;
	server->child = fork();
	assert_true(server->child >= 0);
	if (server->child == 0)
		serve(server);
}

static void stop(struct server *server)
{
	int status = 0;

	close(server->fd);
	if (!server->answer)
		return;
	assert_int_equal(waitpid(server->child, &status, 0), server->child);
	assert_int_equal(status, 0);
}

/* The column of results of the table, a line each. */
static bool probe(const struct config *config, char *results, size_t size)
{
	char *table = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&table, &len);
	bool good = probe_table_write(config, out);
	size_t lines = 0;

	fclose(out);
	results[0] = '\0';
	for (char *line = strtok(table, "\n"); line; line = strtok(NULL, "\n")) {
		const char *result = strstr(line, " ms  ");

		assert_true(lines++ == 0 ? strncmp(line, "NAME ", 5) == 0 : result != NULL);
		if (result)
			snprintf(
			    results + strlen(results), size - strlen(results), "%s\n", result + 5);
	}
	assert_int_equal(lines, config->backend_count + 1);
	free(table);
	return good;
}

/* Time is short only where it is to run out. */
static struct config *configure(
    const char *const *backends, size_t count, const char *const path[2])
{
	const char *const sets[] = {path[0], path[1], "timeouts.connect=1m"};

	return load_good(&(struct config_source){
	    .backends = backends, .backend_count = count, .sets = sets, .set_count = COUNT(sets)});
}

static const char *const no_path[] = {"health.path=", "health.timeout=1m"};
static const char *const patient[] = {"health.path=/healthz", "health.timeout=1m"};
static const char *const impatient[] = {"health.path=/healthz", "health.timeout=10ms"};

static void without_a_path_a_connection_is_enough(void **state)
{
	struct server server = {0};
	char url[NET_ADDR_TEXT_SIZE];
	char refused[NET_ADDR_TEXT_SIZE];
	char missing[NET_ADDR_TEXT_SIZE];
	const char *backends[] = {url, refused, missing};
	struct net_addr any;
	struct net_addr bound;
	struct config *config;
	char results[512];
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)state;
	start(&server);
	net_addr_format(&server.addr, url);
	/* Bound, but nobody listens: the port is refused and cannot become somebody else's. */
	assert_true(net_addr_parse(&any, STR("127.0.0.1:0")));
	assert_int_equal(bind(fd, &any.any, any.len), 0);
	assert_int_equal(net_local_addr(fd, &bound), 0);
	net_addr_format(&bound, refused);
	snprintf(missing, sizeof(missing), "unix:%s/nobody", directory);
	config = configure(backends, 3, no_path);
	assert_false(probe(config, results, sizeof(results)));
	assert_string_equal(results,
	    "connected\nconnection refused\nconnection refused: No such file or directory\n");
	config_drop(config);
	config = configure(backends, 1, no_path);
	assert_true(probe(config, results, sizeof(results)));
	assert_string_equal(results, "connected\n");
	config_drop(config);
	close(fd);
	stop(&server);
}

#define INTERIM   "HTTP/1.1 103 Early Hints\r\n\r\n"
#define TEN(text) text text text text text text text text text text
#define HUNDRED   TEN(TEN(INTERIM))
#define GOOD      "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"

static void with_a_path_the_answer_counts(void **state)
{
	static const struct {
		const char *answer, *result;
		bool good;
	} cases[] = {
	    {GOOD, "200\n", true},
	    {HUNDRED GOOD, "200\n", true},
	    {HUNDRED INTERIM GOOD, "broken response: more than 100 interim answers\n", false},
	    {"HTTP/1.0 301 Moved\r\n\r\nbody", "301\n", true},
	    {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n", "204\n", true},
	    {"HTTP/1.1 503 Down\r\nContent-Length: 0\r\n\r\n",
		"status 503, which health.expect does not list\n", false},
	    {"SSH-2.0-OpenSSH\r\n", "broken response: no status line of HTTP\n", false},
	    {"", "connection ended before the answer\n", false},
	    {"HTTP/1.1 200 OK\r\nContent-Le", "connection ended before the answer\n", false},
	    {NULL, "no answer in time\n", false},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct server server = {.answer = cases[i].answer};
		char url[NET_ADDR_TEXT_SIZE];
		const char *backends[] = {url};
		struct config *config;
		char results[512];

		start(&server);
		net_addr_format(&server.addr, url);
		config = configure(backends, 1, cases[i].answer ? patient : impatient);
		assert_int_equal(probe(config, results, sizeof(results)), cases[i].good);
		assert_string_equal(results, cases[i].result);
		config_drop(config);
		stop(&server);
	}
}

/* A queue that is full drops the first packet of whoever comes next. */
static void fill_queue(const struct server *server, int fds[static 8])
{
	bool connecting;

	for (size_t i = 0; i < 8; i++)
		fds[i] = net_connect(&server->addr, &connecting);
}

static void with_a_path_its_limit_is_for_the_connection_too(void **state)
{
	struct server server = {0};
	char url[NET_ADDR_TEXT_SIZE];
	const char *backends[] = {url};
	struct config *config;
	char results[512];
	int fds[8];

	(void)state;
	start(&server);
	fill_queue(&server, fds);
	net_addr_format(&server.addr, url);
	config = configure(backends, 1, impatient);
	assert_false(probe(config, results, sizeof(results)));
	assert_string_equal(results, "no connection in time\n");
	config_drop(config);
	for (size_t i = 0; i < 8; i++)
		close(fds[i]);
	stop(&server);
}

static void a_name_is_resolved_and_all_its_addresses_are_tried(void **state)
{
	struct server server = {0};
	char url[64];
	const char *backends[] = {url};
	struct config *config;
	char results[512];

	(void)state;
	/* localhost may be ::1 first, where nobody listens. */
	start(&server);
	snprintf(url, sizeof(url), "localhost:%u", net_addr_port(&server.addr));
	config = configure(backends, 1, no_path);
	assert_true(probe(config, results, sizeof(results)));
	assert_string_equal(results, "connected\n");
	config_drop(config);
	stop(&server);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(without_a_path_a_connection_is_enough),
	    cmocka_unit_test(with_a_path_the_answer_counts),
	    cmocka_unit_test(with_a_path_its_limit_is_for_the_connection_too),
	    cmocka_unit_test(a_name_is_resolved_and_all_its_addresses_are_tried),
	};

	return cmocka_run_group_tests(tests, enter_directory, leave_directory);
}
