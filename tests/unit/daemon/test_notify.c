#include "notify.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

/* A supervisor at an abstract address, the process it hears of, and what it read last. */
struct world {
	int fd;
	struct loop *loop;
	struct ring ring;
	struct proxy proxy;
	struct notify notify;
	char heard[8192];
};

static void make_world(struct world *world)
{
	struct net_addr addr = {.len = sizeof(sa_family_t)};
	char path[sizeof(addr.path.sun_path) + 1];

	*world = (struct world){.loop = loop_create()};
	assert_non_null(world->loop);
	world->proxy.ring = &world->ring;
	world->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	addr.any.sa_family = AF_UNIX;
	assert_int_equal(bind(world->fd, &addr.any, addr.len), 0);
	assert_int_equal(net_local_addr(world->fd, &addr), 0);
	snprintf(path, sizeof(path), "@%.*s", (int)(addr.len - sizeof(sa_family_t) - 1),
	    addr.path.sun_path + 1);
	setenv("NOTIFY_SOCKET", path, 1);
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
}

static void open_notify(struct world *world)
{
	notify_open(&world->notify, world->loop, &world->proxy);
}

static void end_world(struct world *world)
{
	notify_close(&world->notify);
	loop_destroy(world->loop);
	close(world->fd);
}

/* The next message, or "" when there is none. */
static const char *hear(struct world *world)
{
	ssize_t len = recv(world->fd, world->heard, sizeof(world->heard) - 1, 0);

	world->heard[len > 0 ? len : 0] = '\0';
	return world->heard;
}

static void assert_hears(struct world *world, const char *begin)
{
	const char *message = hear(world);

	if (!str_starts_with(str_from(message), str_from(begin)))
		fail_msg("heard \"%s\" and not \"%s\"", message, begin);
}

static void nothing_is_said_before_the_process_is_ready(void **state)
{
	struct world world;

	(void)state;
	make_world(&world);
	open_notify(&world);
	notify_say_reloading(&world.notify);
	notify_say_reloaded(&world.notify);
	notify_say_refused(&world.notify, "no");
	notify_say_stopping(&world.notify, 1);
	notify_hand_over(&world.notify, 1);
	assert_string_equal(hear(&world), "");
	end_world(&world);
}

static void a_refusal_stays_in_the_status_until_a_reload_succeeds(void **state)
{
	struct world world;

	(void)state;
	make_world(&world);
	open_notify(&world);
	notify_say_ready(&world.notify);
	assert_hears(&world, "READY=1\nSTATUS=serving 0/0 backends, 0 clients; config ");
	notify_say_reloading(&world.notify);
	assert_hears(&world, "RELOADING=1\nMONOTONIC_USEC=");
	notify_say_refused(&world.notify, "a.conf:1: no\nMAINPID=1\xff");
	assert_hears(&world,
	    "READY=1\nSTATUS=reload refused: a.conf:1: no?MAINPID=1?; serving 0/0 backends, ");
	notify_say_reloading(&world.notify);
	assert_hears(&world, "RELOADING=1\n");
	notify_say_reloaded(&world.notify);
	assert_hears(&world, "READY=1\nSTATUS=serving 0/0 backends, ");
	end_world(&world);
}

static void a_long_refusal_is_cut(void **state)
{
	struct world world;
	char reason[2 * NOTIFY_TEXT_SIZE];

	(void)state;
	make_world(&world);
	open_notify(&world);
	notify_say_ready(&world.notify);
	hear(&world);
	memset(reason, 'x', sizeof(reason) - 1);
	reason[sizeof(reason) - 1] = '\0';
	notify_say_refused(&world.notify, reason);
	assert_hears(&world, "READY=1\nSTATUS=reload refused: xxx");
	assert_non_null(strstr(world.heard, "x; serving 0/0 backends, 0 clients; config "));
	end_world(&world);
}

static void what_finds_a_full_queue_is_said_later_in_order(void **state)
{
	struct world world;
	char expected[64];
	int said = 0;

	(void)state;
	make_world(&world);
	open_notify(&world);
	notify_say_ready(&world.notify);
	while (world.notify.waiting_len == 0) {
		notify_say_stopping(&world.notify, said++);
		assert_true(said < 100000);
	}
	notify_hand_over(&world.notify, 77);
	assert_hears(&world, "READY=1");
	for (int i = 0; i < said - 1; i++) {
		snprintf(expected, sizeof(expected), "STOPPING=1\nEXTEND_TIMEOUT_USEC=%d\n",
		    5000000 + i);
		assert_hears(&world, expected);
	}
	assert_string_equal(hear(&world), "");
	notify_close(&world.notify);
	assert_hears(&world, "STOPPING=1\n");
	assert_hears(&world, "MAINPID=77\nSTATUS=");
	assert_string_equal(hear(&world), "");
	end_world(&world);
}

static void a_supervisor_that_never_reads_costs_nothing(void **state)
{
	struct world world;

	(void)state;
	make_world(&world);
	open_notify(&world);
	notify_say_ready(&world.notify);
	for (int i = 0; i < 10000; i++)
		notify_say_reloaded(&world.notify);
	assert_true(world.notify.waiting_len <= NOTIFY_WAITING_SIZE);
	end_world(&world);
}

static void the_watchdog_is_fed_by_the_process_that_is_asked(void **state)
{
	char own[32];
	snprintf(own, sizeof(own), "%d", (int)getpid());
	const struct {
		const char *us, *pid;
		int64_t expected_us;
	} cases[] = {
	    {NULL, NULL, 0},
	    {"20000000", NULL, 20000000},
	    {"20000000", own, 20000000},
	    {"20000000", "1", 0},
	    {"20000000", "", 0},
	    {"", own, 0},
	    {"-1", own, 0},
	    {"20s", own, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct world world;

		make_world(&world);
		if (cases[i].us)
			setenv("WATCHDOG_USEC", cases[i].us, 1);
		if (cases[i].pid)
			setenv("WATCHDOG_PID", cases[i].pid, 1);
		open_notify(&world);
		assert_int_equal(world.notify.watchdog_us, cases[i].expected_us);
		notify_say_ready(&world.notify);
		assert_hears(&world, "READY=1");
		assert_string_equal(hear(&world), cases[i].expected_us ? "WATCHDOG=1" : "");
		end_world(&world);
	}
}

static void addresses_that_are_none_are_not_used(void **state)
{
	char long_path[200] = "/";
	const char *const addresses[] = {"", "/", "@", "relative", "vsock:2:1", long_path};
	struct world world;

	(void)state;
	memset(long_path + 1, 'x', sizeof(long_path) - 2);
	for (size_t i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++) {
		make_world(&world);
		setenv("NOTIFY_SOCKET", addresses[i], 1);
		open_notify(&world);
		assert_int_equal(world.notify.fd, -1);
		notify_say_ready(&world.notify);
		end_world(&world);
	}
	make_world(&world);
	unsetenv("NOTIFY_SOCKET");
	open_notify(&world);
	assert_int_equal(world.notify.fd, -1);
	end_world(&world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(nothing_is_said_before_the_process_is_ready),
	    cmocka_unit_test(a_refusal_stays_in_the_status_until_a_reload_succeeds),
	    cmocka_unit_test(a_long_refusal_is_cut),
	    cmocka_unit_test(what_finds_a_full_queue_is_said_later_in_order),
	    cmocka_unit_test(a_supervisor_that_never_reads_costs_nothing),
	    cmocka_unit_test(the_watchdog_is_fed_by_the_process_that_is_asked),
	    cmocka_unit_test(addresses_that_are_none_are_not_used),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
