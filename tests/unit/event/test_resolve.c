#include "event/resolve.h"

#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static bool out_of_memory;
static time_t resolv_conf_time;
static int channels_opened;
static const char *servers_of_the_system;
static bool slow_library; /* c-ares does nothing more */

struct ares_channeldata;
struct ares_options;

int ares_set_servers_ports_csv(struct ares_channeldata *channel, const char *servers);
void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);
int __real_stat(const char *path, struct stat *status);
int __wrap_stat(const char *path, struct stat *status);
int __real_ares_init_options(
    struct ares_channeldata **channel, const struct ares_options *options, int mask);
int __wrap_ares_init_options(
    struct ares_channeldata **channel, const struct ares_options *options, int mask);

void __real_ares_process_fd(struct ares_channeldata *channel, int read_fd, int write_fd);
void __wrap_ares_process_fd(struct ares_channeldata *channel, int read_fd, int write_fd);

struct ares_addrinfo_hints;
struct ares_addrinfo;
typedef void on_addrinfo(void *context, int status, int timeouts, struct ares_addrinfo *info);

void __real_ares_getaddrinfo(struct ares_channeldata *channel, const char *name,
    const char *service, const struct ares_addrinfo_hints *hints, on_addrinfo *callback,
    void *context);
void __wrap_ares_getaddrinfo(struct ares_channeldata *channel, const char *name,
    const char *service, const struct ares_addrinfo_hints *hints, on_addrinfo *callback,
    void *context);

static unsigned lookups_begun;

void __wrap_ares_getaddrinfo(struct ares_channeldata *channel, const char *name,
    const char *service, const struct ares_addrinfo_hints *hints, on_addrinfo *callback,
    void *context)
{
	lookups_begun++;
	__real_ares_getaddrinfo(channel, name, service, hints, callback, context);
}

void *__wrap_calloc(size_t count, size_t size)
{
	return out_of_memory ? NULL : __real_calloc(count, size);
}

int __wrap_stat(const char *path, struct stat *status)
{
	if (strcmp(path, "/etc/resolv.conf") != 0)
		return __real_stat(path, status);
	*status = (struct stat){.st_mtim.tv_sec = resolv_conf_time};
	errno = ENOENT;
	return resolv_conf_time ? 0 : -1;
}

int __wrap_ares_init_options(
    struct ares_channeldata **channel, const struct ares_options *options, int mask)
{
	int status = __real_ares_init_options(channel, options, mask);

	channels_opened++;
	if (status == 0 && servers_of_the_system)
		status = ares_set_servers_ports_csv(*channel, servers_of_the_system);
	return status;
}

void __wrap_ares_process_fd(struct ares_channeldata *channel, int read_fd, int write_fd)
{
	if (!slow_library)
		__real_ares_process_fd(channel, read_fd, write_fd);
}

/* ---- a name server
 *
 * It answers what its zone says over UDP, or over TCP where the zone says that UDP is too small. A
 * name that is not in the zone does not exist. */

enum record_type { TYPE_A = 1, TYPE_CNAME = 5, TYPE_AAAA = 28 };
enum reply { REPLY_RECORDS, REPLY_FAILURE, REPLY_GARBAGE, REPLY_SILENCE, REPLY_TRUNCATED };

struct zone_entry {
	const char *name;
	enum record_type type;
	enum reply reply;
	int copies; /* of the last record, each with another last byte; 0 is one */
	struct {
		enum record_type type;
		uint32_t ttl;
		const char *address; /* none for a CNAME: it is to "x" in the root */
	} records[3];
};

static const struct zone_entry zone[] = {
    {"two.test", TYPE_A, REPLY_RECORDS, 0,
	{{TYPE_A, 300, "127.0.0.9"}, {TYPE_A, 60, "127.0.0.2"}, {TYPE_A, 90, "127.0.0.9"}}},
    {"two.test", TYPE_AAAA, REPLY_RECORDS, 0, {{0}}},
    {"both.test", TYPE_A, REPLY_RECORDS, 0, {{TYPE_A, 300, "127.0.0.3"}}},
    {"both.test", TYPE_AAAA, REPLY_RECORDS, 0, {{TYPE_AAAA, 200, "::1"}}},
    {"alias.test", TYPE_A, REPLY_RECORDS, 0, {{TYPE_CNAME, 30, NULL}, {TYPE_A, 300, "127.0.0.4"}}},
    {"alias.test", TYPE_AAAA, REPLY_RECORDS, 0, {{TYPE_CNAME, 30, NULL}}},
    {"empty.test", TYPE_A, REPLY_RECORDS, 0, {{0}}},
    {"empty.test", TYPE_AAAA, REPLY_RECORDS, 0, {{0}}},
    {"half.test", TYPE_A, REPLY_RECORDS, 0, {{TYPE_A, 300, "127.0.0.5"}}},
    {"half.test", TYPE_AAAA, REPLY_FAILURE, 0, {{0}}},
    {"broken.test", TYPE_A, REPLY_FAILURE, 0, {{0}}},
    {"broken.test", TYPE_AAAA, REPLY_FAILURE, 0, {{0}}},
    {"garbage.test", TYPE_A, REPLY_GARBAGE, 0, {{0}}},
    {"garbage.test", TYPE_AAAA, REPLY_GARBAGE, 0, {{0}}},
    {"silent.test", TYPE_A, REPLY_SILENCE, 0, {{0}}},
    {"silent.test", TYPE_AAAA, REPLY_SILENCE, 0, {{0}}},
    {"now.test", TYPE_A, REPLY_RECORDS, 0, {{TYPE_A, 0, "127.0.0.7"}}},
    {"now.test", TYPE_AAAA, REPLY_RECORDS, 0, {{0}}},
    {"many.test", TYPE_A, REPLY_RECORDS, 60, {{TYPE_A, 300, "127.0.1.0"}}},
    {"many.test", TYPE_AAAA, REPLY_RECORDS, 10, {{TYPE_AAAA, 300, "fe80::1:0"}}},
    {"large.test", TYPE_A, REPLY_TRUNCATED, 0, {{TYPE_A, 300, "127.0.0.6"}}},
    {"large.test", TYPE_AAAA, REPLY_RECORDS, 0, {{0}}},
};

struct message {
	unsigned char bytes[2 + 2048]; /* the length that TCP wants comes first */
	size_t len;
};

static void put(struct message *message, const void *bytes, size_t len)
{
	assert_true(message->len + len <= sizeof(message->bytes));
	memcpy(message->bytes + message->len, bytes, len);
	message->len += len;
}

static void put16(struct message *message, unsigned value)
{
	uint16_t wire = htons((uint16_t)value);

	put(message, &wire, sizeof(wire));
}

/* The name in dotted form; returns the length of the question section. */
static size_t read_question(
    const unsigned char *question, size_t len, char name[256], unsigned *type)
{
	size_t at = 0, to = 0;

	while (at < len && question[at] && to + question[at] + 1 < 256) {
		memcpy(name + to, question + at + 1, question[at]);
		to += question[at];
		name[to++] = '.';
		at += question[at] + 1U;
	}
	name[to ? to - 1 : 0] = '\0';
	assert_true(at + 5 <= len);
	*type = (unsigned)question[at + 1] << 8 | question[at + 2];
	return at + 5;
}

static const struct zone_entry *find_entry(const char *name, unsigned type)
{
	for (size_t i = 0; i < COUNT(zone); i++)
		if (strcasecmp(zone[i].name, name) == 0 && zone[i].type == type)
			return &zone[i];
	return NULL;
}

static unsigned put_records(struct message *reply, const struct zone_entry *entry)
{
	unsigned count = 0;

	for (size_t i = 0; i < COUNT(entry->records) && entry->records[i].type; i++) {
		enum record_type type = entry->records[i].type;
		bool last = i + 1 == COUNT(entry->records) || !entry->records[i + 1].type;
		int copies = last && entry->copies ? entry->copies : 1;
		unsigned char data[16] = {1, 'x', 0};
		size_t len = type == TYPE_A ? 4 : type == TYPE_AAAA ? 16 : 3;

		if (type != TYPE_CNAME)
			inet_pton(
			    type == TYPE_A ? AF_INET : AF_INET6, entry->records[i].address, data);
		for (; copies > 0; copies--, count++) {
			bool behind_alias = i > 0 && entry->records[0].type == TYPE_CNAME;

			if (behind_alias)
				put(reply, "\1x", 3);
			else
				put16(reply, 0xc00c);
			put16(reply, type);
			put16(reply, 1);
			put16(reply, entry->records[i].ttl >> 16);
			put16(reply, entry->records[i].ttl & 0xffff);
			put16(reply, (unsigned)len);
			put(reply, data, len);
			data[len - 1]++;
		}
	}
	return count;
}

/* An empty reply is none. */
static struct message reply_to(const unsigned char *query, size_t len, bool is_tcp)
{
	struct message reply = {.len = 2};
	char name[256];
	unsigned type;
	size_t question_len = read_question(query + 12, len - 12, name, &type);
	const struct zone_entry *entry = find_entry(name, type);
	unsigned flags = 0x8180;
	unsigned count = 0;
	uint16_t wire;

	if (!entry)
		flags |= 3;
	else if (entry->reply == REPLY_FAILURE)
		flags |= 2;
	else if (entry->reply == REPLY_TRUNCATED && !is_tcp)
		flags |= 0x200;
	else if (entry->reply == REPLY_SILENCE)
		return (struct message){.len = 0};
	put(&reply, query, 2);
	put16(&reply, flags);
	put16(&reply, 1);
	put16(&reply, 0);
	put16(&reply, 0);
	put16(&reply, 0);
	put(&reply, query + 12, question_len);
	if (entry && entry->reply == REPLY_GARBAGE) {
		count = 9;
		put(&reply, "\xc0\xff\xff", 3);
	} else if (!(flags & 0x20f)) {
		count = put_records(&reply, entry);
	}
	wire = htons((uint16_t)count);
	memcpy(reply.bytes + 2 + 6, &wire, 2);
	wire = htons((uint16_t)(reply.len - 2));
	memcpy(reply.bytes, &wire, 2);
	return reply;
}

struct name_server {
	struct loop *loop;
	struct watch udp, listener, tcp;
	char address[NET_ADDR_TEXT_SIZE];
	int questions;
};

static void on_udp(struct watch *watch, unsigned events)
{
	struct name_server *server = container_of(watch, struct name_server, udp);
	unsigned char query[1024];
	struct net_addr from = {.len = sizeof(from.v6)};
	struct message reply;
	ssize_t len = recvfrom(watch->fd, query, sizeof(query), 0, &from.any, &from.len);

	assert_int_equal(events, LOOP_READ);
	assert_true(len > 12);
	server->questions++;
	reply = reply_to(query, (size_t)len, false);
	if (reply.len)
		assert_int_equal(
		    sendto(watch->fd, reply.bytes + 2, reply.len - 2, 0, &from.any, from.len),
		    reply.len - 2);
}

static void on_tcp(struct watch *watch, unsigned events)
{
	struct name_server *server = container_of(watch, struct name_server, tcp);
	unsigned char query[1024];
	struct message reply;
	ssize_t len = recv(watch->fd, query, sizeof(query), 0);

	(void)events;
	if (len <= 0) {
		int fd = watch->fd;

		loop_unwatch(server->loop, watch);
		close(fd);
		return;
	}
	/* On loopback a question this small comes in one piece. */
	assert_true(len > 14);
	reply = reply_to(query + 2, (size_t)len - 2, true);
	assert_int_equal(send(watch->fd, reply.bytes, reply.len, 0), reply.len);
}

static void on_listener(struct watch *watch, unsigned events)
{
	struct name_server *server = container_of(watch, struct name_server, listener);
	struct net_addr peer;
	int fd = net_accept(watch->fd, &peer);

	(void)events;
	assert_true(fd >= 0);
	server->tcp.on_event = on_tcp;
	assert_int_equal(loop_watch(server->loop, &server->tcp, fd, LOOP_READ), 0);
}

/* UDP and TCP on one port that is free for both. */
static void server_open(struct name_server *server, struct loop *loop)
{
	const struct net_listen_options options = {.backlog = 4};
	struct net_addr addr;
	int tcp, udp;

	for (int attempts = 0;; attempts++) {
		assert_true(attempts < 100);
		assert_true(net_addr_from_ip(&addr, STR("127.0.0.1"), 0));
		tcp = net_listen(&addr, &options);
		assert_true(tcp >= 0);
		assert_int_equal(net_local_addr(tcp, &addr), 0);
		udp = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
		assert_true(udp >= 0);
		if (bind(udp, &addr.any, addr.len) == 0)
			break;
		close(tcp);
		close(udp);
	}
	*server = (struct name_server){
	    .loop = loop,
	    .udp = {.on_event = on_udp},
	    .listener = {.on_event = on_listener},
	    .tcp = {.fd = -1},
	};
	net_addr_format(&addr, server->address);
	assert_int_equal(loop_watch(loop, &server->udp, udp, LOOP_READ), 0);
	assert_int_equal(loop_watch(loop, &server->listener, tcp, LOOP_READ), 0);
}

static void watch_close(struct loop *loop, struct watch *watch)
{
	int fd = watch->fd;

	loop_unwatch(loop, watch);
	if (fd >= 0)
		close(fd);
}

static void server_close(struct name_server *server)
{
	watch_close(server->loop, &server->udp);
	watch_close(server->loop, &server->listener);
	watch_close(server->loop, &server->tcp);
}

/* ---- the ones who ask */

struct caller {
	struct resolve_query query;
	struct loop *loop;
	struct resolver *resolver;
	int calls;
	struct resolve_answer answer;
	struct net_addr addrs[RESOLVE_ADDRS_MAX];
	void (*then)(struct caller *caller);
	struct caller *other;
};

static void on_done(struct resolve_query *query, const struct resolve_answer *answer)
{
	struct caller *caller = container_of(query, struct caller, query);

	assert_null(query->lookup);
	assert_true(answer->count <= RESOLVE_ADDRS_MAX);
	assert_int_equal(answer->count == 0, answer->error != NULL);
	caller->calls++;
	caller->answer = *answer;
	for (size_t i = 0; i < answer->count; i++)
		caller->addrs[i] = answer->addrs[i];
	if (caller->then)
		caller->then(caller);
	loop_stop(caller->loop);
}

struct world {
	struct loop *loop;
	struct name_server server;
	struct resolver *resolver;
};

static int set_up(void **state)
{
	static struct world world;
	struct resolver_options options;

	out_of_memory = false;
	resolv_conf_time = 0;
	channels_opened = 0;
	servers_of_the_system = NULL;
	slow_library = false;
	world.loop = loop_create();
	if (!world.loop)
		return -1;
	server_open(&world.server, world.loop);
	options = (struct resolver_options){.servers = world.server.address};
	world.resolver = resolver_create(world.loop, &options);
	*state = &world;
	return world.resolver ? 0 : -1;
}

static int tear_down(void **state)
{
	struct world *world = *state;

	resolver_destroy(world->resolver);
	server_close(&world->server);
	loop_destroy(world->loop);
	return 0;
}

static void caller_init(struct caller *caller, struct world *world)
{
	*caller = (struct caller){.loop = world->loop, .resolver = world->resolver};
	resolve_init(&caller->query, on_done);
}

static void start(struct caller *caller, const char *name)
{
	int calls = caller->calls;

	assert_true(resolve_start(caller->resolver, &caller->query, str_from(name), 8080));
	assert_int_equal(caller->calls, calls);
	assert_non_null(caller->query.lookup);
}

static struct caller ask(struct world *world, const char *name)
{
	struct caller caller;

	caller_init(&caller, world);
	start(&caller, name);
	assert_int_equal(loop_run(world->loop), 0);
	assert_int_equal(caller.calls, 1);
	return caller;
}

/* Lets what is on its way arrive: a question asked now is answered later than all before it. */
static void wait_until_all_has_come(struct world *world)
{
	static int round;
	char name[32];

	snprintf(name, sizeof(name), "unheard%d.test.", round++);
	assert_string_equal(ask(world, name).answer.error, "no such name");
}

/* The addresses as one line. */
static const char *addresses(const struct caller *caller)
{
	static char line[RESOLVE_ADDRS_MAX * (NET_ADDR_TEXT_SIZE + 1)];
	char text[NET_ADDR_TEXT_SIZE];

	line[0] = '\0';
	for (size_t i = 0; i < caller->answer.count; i++) {
		strcat(line, i ? " " : "");
		strcat(line, net_addr_format(&caller->addrs[i], text));
	}
	return line;
}

/* ---- tests */

static void names_get_what_their_servers_say(void **state)
{
	static const struct {
		const char *name, *addresses;
		uint32_t ttl_seconds;
		const char *error;
	} cases[] = {
	    {"two.test", "127.0.0.9:8080 127.0.0.2:8080", 60, NULL},
	    {"alias.test", "127.0.0.4:8080", 30, NULL},
	    {"half.test", "127.0.0.5:8080", 300, NULL},
	    {"large.test", "127.0.0.6:8080", 300, NULL},
	    {"now.test", "127.0.0.7:8080", 0, NULL},
	    {"none.test.", "", 0, "no such name"},
	    {"empty.test.", "", 0, "the name has no address"},
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct caller caller = ask(*state, cases[i].name);

		assert_string_equal(addresses(&caller), cases[i].addresses);
		assert_int_equal(caller.answer.ttl_seconds, cases[i].ttl_seconds);
		if (cases[i].error)
			assert_string_equal(caller.answer.error, cases[i].error);
		else
			assert_null(caller.answer.error);
	}
}

static void both_families_are_asked(void **state)
{
	struct caller caller = ask(*state, "both.test");
	const char *got = addresses(&caller);

	/* Which comes first is for RFC 6724 and the routes of this machine. */
	if (strcmp(got, "127.0.0.3:8080 [::1]:8080") != 0)
		assert_string_equal(got, "[::1]:8080 127.0.0.3:8080");
	assert_int_equal(caller.answer.ttl_seconds, 200);
}

static void failing_servers_are_an_error(void **state)
{
	struct caller broken = ask(*state, "broken.test.");
	struct caller garbage = ask(*state, "garbage.test.");

	assert_non_null(broken.answer.error);
	assert_non_null(garbage.answer.error);
}

static void more_addresses_than_fit_are_left_out(void **state)
{
	struct caller caller = ask(*state, "many.test");

	assert_int_equal(caller.answer.count, RESOLVE_ADDRS_MAX);
	assert_int_equal(caller.answer.left_out, 70 - RESOLVE_ADDRS_MAX);
}

static void addresses_need_no_name_server(void **state)
{
	struct world *world = *state;
	struct caller caller = ask(world, "127.0.0.7");

	assert_string_equal(addresses(&caller), "127.0.0.7:8080");
	assert_true(caller.answer.ttl_seconds == RESOLVE_TTL_UNKNOWN);
	caller = ask(world, "2001:db8::1");
	assert_string_equal(addresses(&caller), "[2001:db8::1]:8080");
	assert_int_equal(world->server.questions, 0);
}

static void localhost_is_this_machine_and_nobody_is_asked(void **state)
{
	static const char *const names[] = {
	    "localhost", "LocalHost", "localhost.", "app.localhost", "a.b.LOCALHOST."};
	static const char *const others[] = {
	    "xlocalhost.", "localhost.test.", "localhos.", "localhost.x."};
	struct world *world = *state;

	for (size_t i = 0; i < COUNT(names); i++) {
		struct caller caller = ask(world, names[i]);

		assert_string_equal(addresses(&caller), "[::1]:8080 127.0.0.1:8080");
		assert_true(caller.answer.ttl_seconds == RESOLVE_TTL_UNKNOWN);
		assert_null(caller.answer.error);
	}
	assert_int_equal(world->server.questions, 0);
	for (size_t i = 0; i < COUNT(others); i++)
		assert_string_equal(ask(world, others[i]).answer.error, "no such name");
}

static void what_is_no_name_is_an_error(void **state)
{
	struct world *world = *state;
	char longer[300];
	struct caller caller;

	memset(longer, 'a', sizeof(longer));
	longer[299] = '\0';
	assert_string_equal(ask(world, "").answer.error, "not a name");
	assert_string_equal(ask(world, longer).answer.error, "not a name");
	longer[255] = '\0';
	assert_non_null(ask(world, longer).answer.error);
	caller_init(&caller, world);
	assert_true(resolve_start(world->resolver, &caller.query, STR("two.test\0.x"), 1));
	assert_int_equal(loop_run(world->loop), 0);
	assert_string_equal(caller.answer.error, "not a name");
	assert_int_equal(world->server.questions, 0);
}

/* A resolver of its own, for other servers or another limit. */
static struct caller ask_others(
    struct world *world, const struct resolver_options *options, const char *name)
{
	struct caller caller;

	caller_init(&caller, world);
	caller.resolver = resolver_create(world->loop, options);
	assert_non_null(caller.resolver);
	start(&caller, name);
	assert_int_equal(loop_run(world->loop), 0);
	assert_int_equal(caller.calls, 1);
	resolver_destroy(caller.resolver);
	return caller;
}

static void nobody_at_the_port_of_the_server_is_an_error(void **state)
{
	struct world *world = *state;
	struct resolver_options options = {.servers = world->server.address, .timeout_ms = 300};

	watch_close(world->loop, &world->server.udp);
	watch_close(world->loop, &world->server.listener);
	assert_non_null(ask_others(world, &options, "two.test.").answer.error);
}

static void silence_ends_in_time(void **state)
{
	struct world *world = *state;
	struct resolver_options options = {.servers = world->server.address, .timeout_ms = 60};

	assert_string_equal(
	    ask_others(world, &options, "silent.test.").answer.error, "name servers do not answer");
	/* However long c-ares takes, with more servers or more domains to try. */
	slow_library = true;
	assert_string_equal(
	    ask_others(world, &options, "two.test.").answer.error, "name servers do not answer");
}

static void a_cancelled_query_hears_nothing(void **state)
{
	struct world *world = *state;
	struct caller asked, known, idle;

	caller_init(&asked, world);
	caller_init(&known, world);
	caller_init(&idle, world);
	resolve_cancel(&idle.query);
	start(&asked, "two.test");
	start(&known, "127.0.0.1");
	resolve_cancel(&asked.query);
	resolve_cancel(&asked.query);
	resolve_cancel(&known.query);
	assert_null(asked.query.lookup);
	wait_until_all_has_come(world);
	assert_int_equal(asked.calls + known.calls, 0);
	/* And may ask again. */
	start(&asked, "two.test");
	assert_int_equal(loop_run(world->loop), 0);
	assert_int_equal(asked.calls, 1);
	assert_int_equal(asked.answer.count, 2);
}

static void cancel_other(struct caller *caller)
{
	resolve_cancel(&caller->other->query);
}

static void an_answer_may_cancel_another(void **state)
{
	struct world *world = *state;
	struct caller a, b;

	caller_init(&a, world);
	caller_init(&b, world);
	a.then = b.then = cancel_other;
	a.other = &b;
	b.other = &a;
	start(&a, "127.0.0.1");
	start(&b, "127.0.0.1");
	assert_int_equal(loop_run(world->loop), 0);
	wait_until_all_has_come(world);
	assert_int_equal(a.calls + b.calls, 1);
}

static void ask_again(struct caller *caller)
{
	caller->then = NULL;
	start(caller, "half.test");
}

static void an_answer_may_start_the_next_query(void **state)
{
	struct world *world = *state;
	struct caller caller;

	caller_init(&caller, world);
	caller.then = ask_again;
	start(&caller, "two.test");
	assert_int_equal(loop_run(world->loop), 0);
	assert_int_equal(caller.calls, 1);
	assert_int_equal(loop_run(world->loop), 0);
	assert_int_equal(caller.calls, 2);
	assert_string_equal(addresses(&caller), "127.0.0.5:8080");
}

static void destroy_resolver(struct caller *caller)
{
	resolver_destroy(caller->resolver);
}

static void an_answer_may_destroy_the_resolver(void **state)
{
	static const char *const names[] = {"two.test", "127.0.0.1", "silent.test"};
	struct world *world = *state;

	for (size_t i = 0; i < COUNT(names); i++) {
		struct resolver_options options = {world->server.address, 50};
		struct caller caller, others[3];

		caller_init(&caller, world);
		caller.resolver = resolver_create(world->loop, &options);
		caller.then = destroy_resolver;
		assert_non_null(caller.resolver);
		start(&caller, names[i]);
		for (size_t j = 0; j < COUNT(others); j++) {
			others[j] = caller;
			resolve_init(&others[j].query, on_done);
			start(&others[j], j ? "silent.test" : names[i]);
		}
		assert_int_equal(loop_run(world->loop), 0);
		wait_until_all_has_come(world);
		assert_int_equal(
		    caller.calls + others[0].calls + others[1].calls + others[2].calls, 1);
		assert_null(others[2].query.lookup);
	}
}

static void destroying_cancels_all(void **state)
{
	struct world *world = *state;
	struct caller asked, known;

	caller_init(&asked, world);
	caller_init(&known, world);
	start(&asked, "two.test");
	start(&known, "127.0.0.1");
	resolver_destroy(world->resolver);
	world->resolver = NULL;
	assert_null(asked.query.lookup);
	assert_null(known.query.lookup);
	resolve_cancel(&asked.query);
	assert_int_equal(asked.calls + known.calls, 0);
	resolver_destroy(NULL);
}

static void queries_for_one_name_share_one_lookup(void **state)
{
	struct world *world = *state;
	struct caller callers[20];

	for (size_t i = 0; i < COUNT(callers); i++) {
		caller_init(&callers[i], world);
		assert_true(resolve_start(world->resolver, &callers[i].query,
		    i % 2 ? STR("two.test") : STR("Two.Test"), (uint16_t)(8080 + i)));
	}
	resolve_cancel(&callers[3].query);
	assert_int_equal(loop_run(world->loop), 0);
	wait_until_all_has_come(world);
	assert_int_equal(world->server.questions, 2 + 2);
	for (size_t i = 0; i < COUNT(callers); i++) {
		assert_int_equal(callers[i].calls, i != 3);
		if (i != 3)
			assert_int_equal(net_addr_port(&callers[i].addrs[1]), 8080 + i);
	}
}

/* The zone knows none of these names; each costs two questions. */
static void no_more_than_so_many_are_under_way(void **state)
{
	struct world *world = *state;
	struct caller callers[RESOLVE_LOOKUPS_MAX + 30], *last = &callers[COUNT(callers) - 1];
	int calls = 0;

	for (size_t i = 0; i < COUNT(callers); i++) {
		char name[32];

		snprintf(name, sizeof(name), "host%zu.test.", i);
		caller_init(&callers[i], world);
		start(&callers[i], i >= 40 && i < RESOLVE_LOOKUPS_MAX ? "silent.test." : name);
	}
	/* One that waits may leave: nobody is asked for it. */
	resolve_cancel(&last->query);
	assert_null(last->query.lookup);
	while (calls < 40 + 29) {
		calls = 0;
		assert_int_equal(loop_run(world->loop), 0);
		for (size_t i = 0; i < COUNT(callers); i++)
			calls += callers[i].calls;
		assert_true(world->server.questions <= 2 * (calls + RESOLVE_LOOKUPS_MAX));
	}
	assert_int_equal(last->calls, 0);
	assert_int_equal(callers[COUNT(callers) - 2].calls, 1);
	for (size_t i = 40; i < RESOLVE_LOOKUPS_MAX; i++)
		resolve_cancel(&callers[i].query);
}

static void many_at_once_are_all_answered(void **state)
{
	struct world *world = *state;
	struct caller callers[100];
	int calls = 0;

	for (size_t i = 0; i < COUNT(callers); i++) {
		caller_init(&callers[i], world);
		start(&callers[i], i % 2 ? "two.test" : "half.test");
	}
	while (calls < 100) {
		calls = 0;
		assert_int_equal(loop_run(world->loop), 0);
		for (size_t i = 0; i < COUNT(callers); i++)
			calls += callers[i].calls;
	}
	for (size_t i = 0; i < COUNT(callers); i++) {
		assert_int_equal(callers[i].calls, 1);
		assert_int_equal(callers[i].answer.count, i % 2 ? 2 : 1);
	}
}

static size_t count_calls(const struct caller *callers, size_t count)
{
	size_t calls = 0;

	for (size_t i = 0; i < count; i++)
		calls += (size_t)callers[i].calls;
	return calls;
}

/* With thousands of names others have their turn in between. */
static void few_are_begun_and_answered_in_one_turn(void **state)
{
	struct world *world = *state;
	static struct caller callers[400];

	lookups_begun = 0;
	for (size_t i = 0; i < COUNT(callers); i++) {
		char name[32];

		snprintf(name, sizeof(name), i % 2 ? "host%zu.test." : "host%zu.localhost", i);
		caller_init(&callers[i], world);
		start(&callers[i], name);
	}
	/* It stops with the turn of the first answer. */
	assert_int_equal(loop_run(world->loop), 0);
	assert_in_range(count_calls(callers, COUNT(callers)), 1, 50);
	assert_in_range(lookups_begun, 1, 5);
	while (count_calls(callers, COUNT(callers)) < COUNT(callers))
		assert_int_equal(loop_run(world->loop), 0);
	assert_int_equal(lookups_begun, COUNT(callers) / 2);
}

static void without_memory_no_lookup_begins(void **state)
{
	struct world *world = *state;
	struct resolver_options options = {0};
	struct caller caller;

	caller_init(&caller, world);
	out_of_memory = true;
	assert_false(resolve_start(world->resolver, &caller.query, STR("two.test"), 1));
	assert_null(resolver_create(world->loop, &options));
	out_of_memory = false;
	assert_null(caller.query.lookup);
	assert_int_equal(ask(world, "two.test").answer.count, 2);
}

static void servers_that_are_none_make_no_resolver(void **state)
{
	struct world *world = *state;
	struct resolver_options options = {.servers = "not an address"};

	assert_null(resolver_create(world->loop, &options));
}

static void a_changed_resolv_conf_is_read_again(void **state)
{
	struct world *world = *state;
	struct resolver_options options = {0};
	struct resolver *own = world->resolver;
	struct caller caller, other;

	resolv_conf_time = 2;
	ask(world, "half.test");
	assert_int_equal(channels_opened, 1); /* its servers are not those of the file */

	servers_of_the_system = world->server.address;
	world->resolver = resolver_create(world->loop, &options);
	assert_non_null(world->resolver);
	channels_opened = 0;
	assert_int_equal(ask(world, "two.test").answer.count, 2);
	assert_int_equal(channels_opened, 0);
	resolv_conf_time = 1;
	assert_int_equal(ask(world, "two.test").answer.count, 2);
	assert_int_equal(ask(world, "two.test").answer.count, 2);
	assert_int_equal(channels_opened, 1);

	/* Not under a query that is on its way. */
	caller_init(&caller, world);
	start(&caller, "half.test");
	resolv_conf_time = 0;
	assert_int_equal(ask(world, "127.0.0.1").answer.count, 1);
	caller_init(&other, world);
	start(&other, "half.test");
	while (caller.calls == 0 || other.calls == 0)
		assert_int_equal(loop_run(world->loop), 0);
	assert_null(caller.answer.error);
	assert_null(other.answer.error);
	assert_int_equal(ask(world, "two.test").answer.count, 2);
	assert_int_equal(channels_opened, 2);
	resolver_destroy(world->resolver);
	world->resolver = own;
}

#define resolve_test(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    resolve_test(names_get_what_their_servers_say),
	    resolve_test(both_families_are_asked),
	    resolve_test(failing_servers_are_an_error),
	    resolve_test(more_addresses_than_fit_are_left_out),
	    resolve_test(addresses_need_no_name_server),
	    resolve_test(localhost_is_this_machine_and_nobody_is_asked),
	    resolve_test(what_is_no_name_is_an_error),
	    resolve_test(nobody_at_the_port_of_the_server_is_an_error),
	    resolve_test(silence_ends_in_time),
	    resolve_test(a_cancelled_query_hears_nothing),
	    resolve_test(an_answer_may_cancel_another),
	    resolve_test(an_answer_may_start_the_next_query),
	    resolve_test(an_answer_may_destroy_the_resolver),
	    resolve_test(destroying_cancels_all),
	    resolve_test(queries_for_one_name_share_one_lookup),
	    resolve_test(no_more_than_so_many_are_under_way),
	    resolve_test(many_at_once_are_all_answered),
	    resolve_test(few_are_begun_and_answered_in_one_turn),
	    resolve_test(without_memory_no_lookup_begins),
	    resolve_test(servers_that_are_none_make_no_resolver),
	    resolve_test(a_changed_resolv_conf_is_read_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
