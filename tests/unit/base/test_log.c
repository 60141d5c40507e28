#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pty.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

int __wrap_clock_gettime(clockid_t clock, struct timespec *now);

/* 2026-11-22T10:00:00.123Z, always. */
int __wrap_clock_gettime(clockid_t clock, struct timespec *now)
{
	assert_int_equal(clock, CLOCK_REALTIME);
	*now = (struct timespec){.tv_sec = 1795341600, .tv_nsec = 123999999};
	return 0;
}

/* stderr is what the test says, and then itself again: cmocka needs it too. */
static int own_stderr;

static void redirect(int fd)
{
	own_stderr = dup(STDERR_FILENO);
	assert_true(own_stderr >= 0);
	assert_int_equal(dup2(fd, STDERR_FILENO), STDERR_FILENO);
	log_open();
}

static void restore(void)
{
	dup2(own_stderr, STDERR_FILENO);
	close(own_stderr);
}

static void assert_reads(int fd, const char *wanted)
{
	char got[2 * PIPE_BUF] = "";
	ssize_t len = read(fd, got, sizeof(got) - 1);

	assert_int_equal(len, strlen(wanted));
	assert_string_equal(got, wanted);
}

static int set_up(void **state)
{
	(void)state;
	setenv("TZ", "UTC0", 1);
	tzset();
	setenv("TERM", "xterm", 1);
	unsetenv("NO_COLOR");
	unsetenv("JOURNAL_STREAM");
	log_set_level(LOG_LEVEL_INFO);
	return 0;
}

static void a_plain_line_has_the_time_in_utc(void **state)
{
	int ends[2];

	(void)state;
	setenv("TZ", "EAST-5", 1);
	tzset();
	assert_int_equal(pipe(ends), 0);
	redirect(ends[1]);
	log_info("backend %s is %s", "app2", "up");
	log_error("no");
	restore();
	assert_reads(ends[0], "2026-11-22T10:00:00.123Z info: backend app2 is up\n"
			      "2026-11-22T10:00:00.123Z error: no\n");
	close(ends[0]);
	close(ends[1]);
}

static void the_level_decides(void **state)
{
	static const char *const wanted[] = {
	    "2026-11-22T10:00:00.123Z error: e\n",
	    "2026-11-22T10:00:00.123Z error: e\n2026-11-22T10:00:00.123Z warning: w\n",
	    "2026-11-22T10:00:00.123Z error: e\n2026-11-22T10:00:00.123Z warning: w\n"
	    "2026-11-22T10:00:00.123Z info: i\n",
	    "2026-11-22T10:00:00.123Z error: e\n2026-11-22T10:00:00.123Z warning: w\n"
	    "2026-11-22T10:00:00.123Z info: i\n2026-11-22T10:00:00.123Z debug: d\n",
	};

	(void)state;
	assert_int_equal(log_get_level(), LOG_LEVEL_INFO);
	for (unsigned level = LOG_LEVEL_ERROR; level <= LOG_LEVEL_DEBUG; level++) {
		int ends[2];

		assert_int_equal(pipe(ends), 0);
		redirect(ends[1]);
		log_set_level((enum log_level)level);
		log_error("e");
		log_warning("w");
		log_info("i");
		log_debug("d");
		restore();
		assert_int_equal(log_get_level(), level);
		assert_reads(ends[0], wanted[level]);
		close(ends[0]);
		close(ends[1]);
	}
}

static void the_journal_gets_priorities_when_stderr_is_its(void **state)
{
	struct stat status;
	char stream[64];
	int ends[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	assert_int_equal(fstat(ends[1], &status), 0);
	snprintf(
	    stream, sizeof(stream), "%ju:%ju", (uintmax_t)status.st_dev, (uintmax_t)status.st_ino);
	setenv("JOURNAL_STREAM", stream, 1);
	log_set_level(LOG_LEVEL_DEBUG);
	redirect(ends[1]);
	log_error("e");
	log_warning("w");
	log_info("i");
	log_debug("d");
	restore();
	assert_reads(ends[0], "<3>e\n<4>w\n<6>i\n<7>d\n");

	/* The variable is inherited by whoever is redirected elsewhere. */
	snprintf(stream, sizeof(stream), "%ju:%ju", (uintmax_t)status.st_dev,
	    (uintmax_t)status.st_ino + 1);
	setenv("JOURNAL_STREAM", stream, 1);
	redirect(ends[1]);
	log_info("i");
	restore();
	assert_reads(ends[0], "2026-11-22T10:00:00.123Z info: i\n");
	close(ends[0]);
	close(ends[1]);
}

static void terminals_get_colour_unless_it_is_refused(void **state)
{
	static const struct {
		const char *no_color, *term;
		const char *wanted;
	} cases[] = {
	    {NULL, "xterm", "10:00:00.123 \033[33mwarning:\033[0m w\n"},
	    {"", "xterm", "10:00:00.123 \033[33mwarning:\033[0m w\n"},
	    {"1", "xterm", "10:00:00.123 warning: w\n"},
	    {NULL, "dumb", "10:00:00.123 warning: w\n"},
	    {NULL, NULL, "10:00:00.123 warning: w\n"},
	};
	struct termios modes;
	int far, near;

	(void)state;
	if (openpty(&far, &near, NULL, NULL, NULL))
		skip();
	assert_int_equal(tcgetattr(near, &modes), 0);
	cfmakeraw(&modes);
	assert_int_equal(tcsetattr(near, TCSANOW, &modes), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		unsetenv("NO_COLOR");
		unsetenv("TERM");
		if (cases[i].no_color)
			setenv("NO_COLOR", cases[i].no_color, 1);
		if (cases[i].term)
			setenv("TERM", cases[i].term, 1);
		redirect(near);
		log_warning("w");
		restore();
		assert_reads(far, cases[i].wanted);
	}
	close(far);
	close(near);
}

static void no_line_can_be_forged(void **state)
{
	int ends[2];

	(void)state;
	assert_int_equal(pipe(ends), 0);
	redirect(ends[1]);
	log_info("%s", "a\n<0>b\r\t\033[2J\x7f\x80\xff~ \\");
	restore();
	assert_reads(ends[0],
	    "2026-11-22T10:00:00.123Z info: a\\x0A<0>b\\x0D\\x09\\x1B[2J\\x7F\\x80\\xFF~ \\\n");
	close(ends[0]);
	close(ends[1]);
}

/* Texts around the limits, plain and of bytes that grow by escaping: one line, marked when cut. */
static void long_lines_are_cut_and_marked(void **state)
{
	static const struct {
		char byte;
		size_t first, last;
	} cases[] = {{'x', 2040, 2060}, {'\n', 1000, 1040}, {'\n', 2040, 2060}};
	int ends[2];

	(void)state;
	assert_int_equal(pipe(ends), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		for (size_t len = cases[i].first; len < cases[i].last; len++) {
			char text[3000];
			char got[2 * PIPE_BUF];
			size_t prefix = strlen("2026-11-22T10:00:00.123Z info: ");
			size_t whole = prefix + len * (cases[i].byte == 'x' ? 1 : 4) + 1;
			ssize_t got_len;

			memset(text, cases[i].byte, len);
			text[len] = '\0';
			redirect(ends[1]);
			log_info("%s", text);
			restore();
			got_len = read(ends[0], got, sizeof(got));
			assert_in_range(got_len, 2000, PIPE_BUF);
			assert_int_equal(got[got_len - 1], '\n');
			assert_null(memchr(got, '\n', (size_t)got_len - 1));
			if ((size_t)got_len == whole)
				continue;
			assert_true(len >= 2048 || whole > PIPE_BUF - 8);
			assert_memory_equal(got + got_len - 4, "...\n", 4);
		}
	}
	close(ends[0]);
	close(ends[1]);
}

static void what_is_not_taken_is_dropped_and_counted(void **state)
{
	static char block[PIPE_BUF];
	uint64_t before = log_dropped();
	int ends[2];

	(void)state;
	assert_int_equal(pipe2(ends, O_NONBLOCK), 0);
	while (write(ends[1], block, sizeof(block)) > 0)
		continue;
	assert_int_equal(errno, EAGAIN);
	/* The log must not need the descriptor to be non-blocking. */
	assert_int_equal(fcntl(ends[1], F_SETFL, 0), 0);
	redirect(ends[1]);
	errno = ENOTTY;
	log_info("1");
	assert_int_equal(errno, ENOTTY);
	log_info("2");
	log_debug("below the level");
	restore();
	assert_int_equal(log_dropped() - before, 2);
	while (read(ends[0], block, sizeof(block)) > 0)
		continue;
	redirect(ends[1]);
	log_info("3");
	restore();
	assert_reads(ends[0], "2026-11-22T10:00:00.123Z info: 3\n");
	assert_int_equal(log_dropped() - before, 2);
	close(ends[0]);
	close(ends[1]);
}

static void a_full_disk_or_no_stderr_is_counted_too(void **state)
{
	uint64_t before = log_dropped();
	int full = open("/dev/full", O_WRONLY);

	(void)state;
	assert_true(full >= 0);
	redirect(full);
	log_info("1");
	close(STDERR_FILENO);
	log_open();
	log_info("2");
	restore();
	close(full);
	assert_int_equal(log_dropped() - before, 2);
}

#define log_test(f) cmocka_unit_test_setup(f, set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    log_test(a_plain_line_has_the_time_in_utc),
	    log_test(the_level_decides),
	    log_test(the_journal_gets_priorities_when_stderr_is_its),
	    log_test(terminals_get_colour_unless_it_is_refused),
	    log_test(no_line_can_be_forged),
	    log_test(long_lines_are_cut_and_marked),
	    log_test(what_is_not_taken_is_dropped_and_counted),
	    log_test(a_full_disk_or_no_stderr_is_counted_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
