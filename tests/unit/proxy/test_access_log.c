#include "proxy/access_log.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static bool out_of_memory;

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);

void *__wrap_malloc(size_t size)
{
	return out_of_memory ? NULL : __real_malloc(size);
}

/* A log in a directory of its own. */
struct fixture {
	struct loop *loop;
	struct access_log *log;
	char directory[64];
	char path[96];
	struct net_addr client;
};

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	const char *above = getenv("TMPDIR");

	assert_non_null(fixture);
	snprintf(fixture->directory, sizeof(fixture->directory), "%s/access_log.XXXXXX",
	    above && strlen(above) < 32 ? above : "/tmp");
	assert_non_null(mkdtemp(fixture->directory));
	snprintf(fixture->path, sizeof(fixture->path), "%s/log", fixture->directory);
	fixture->loop = loop_create();
	assert_non_null(fixture->loop);
	assert_true(net_addr_parse(&fixture->client, STR("127.0.0.1:1")));
	*state = fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;
	char path[160];

	if (fixture->log)
		access_log_destroy(fixture->log);
	loop_destroy(fixture->loop);
	unlink(fixture->path);
	snprintf(path, sizeof(path), "%s.1", fixture->path);
	unlink(path);
	rmdir(fixture->directory);
	free(fixture);
	return 0;
}

/* As a reload does it. */
static int configure(struct access_log *log, const struct access_log_options *options)
{
	int error = access_log_prepare(log, options);

	if (!error)
		access_log_commit(log);
	return error;
}

static void open_log(struct fixture *fixture, const char *path)
{
	struct access_log_options options = {.path = path, .format = ACCESS_COMBINED_PLUS};

	fixture->log = access_log_create(fixture->loop, &options);
	assert_non_null(fixture->log);
}

/* Lines are told apart by their request id. */
static void write_line(struct fixture *fixture, struct str id)
{
	struct access_record record = {.client = &fixture->client, .status = 200, .request_id = id};

	access_log_write(fixture->log, &record);
}

struct end_of_turn {
	struct timer timer;
	struct loop *loop;
};

static void on_turn(struct timer *timer)
{
	loop_stop(container_of(timer, struct end_of_turn, timer)->loop);
}

static void run_turn(struct loop *loop)
{
	struct end_of_turn end = {.loop = loop};

	assert_true(timers_reserve(loop_timers(loop), 1));
	timer_init(&end.timer, on_turn);
	timer_arm(loop_timers(loop), &end.timer, 0);
	assert_int_equal(loop_run(loop), 0);
	timer_remove(loop_timers(loop), &end.timer);
}

/* Everything that is in a file or can be read from a pipe now; the caller frees it. */
static char *read_all(int fd)
{
	size_t len = 0, size = 1024 * 1024;
	char *text = malloc(size);
	ssize_t got;

	assert_non_null(text);
	while ((got = read(fd, text + len, size - len - 1)) > 0)
		len += (size_t)got;
	text[len] = '\0';
	return text;
}

static char *read_path(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	char *text;

	assert_true(fd >= 0);
	text = read_all(fd);
	close(fd);
	return text;
}

static size_t count_lines(const char *text)
{
	size_t count = 0;

	for (; *text; text++)
		count += *text == '\n';
	return count;
}

/* Are all the lines whole? */
static void assert_lines(const char *text, size_t wanted)
{
	char *copy = strdup(text), *rest = copy, *line;
	size_t count = 0;

	assert_non_null(copy);
	while ((line = strsep(&rest, "\n")) && rest) {
		assert_int_equal(strncmp(line, "127.0.0.1 - - [", 15), 0);
		assert_non_null(strstr(line, " end=ok id="));
		assert_null(strstr(line + 1, "127.0.0.1 - - ["));
		count++;
	}
	assert_string_equal(line, "");
	assert_int_equal(count, wanted);
	free(copy);
}

static void lines_are_written_at_the_end_of_the_turn(void **state)
{
	struct fixture *fixture = *state;
	char *text;

	open_log(fixture, fixture->path);
	assert_true(access_log_is_on(fixture->log));
	write_line(fixture, STR("1"));
	write_line(fixture, STR("2"));
	text = read_path(fixture->path);
	assert_string_equal(text, "");
	free(text);
	run_turn(fixture->loop);
	write_line(fixture, STR("3"));
	run_turn(fixture->loop);
	text = read_path(fixture->path);
	assert_lines(text, 3);
	assert_true(strstr(text, "id=1\n") < strstr(text, "id=2\n"));
	assert_true(strstr(text, "id=2\n") < strstr(text, "id=3\n"));
	assert_int_equal(access_log_dropped(fixture->log), 0);
	free(text);
}

static void the_time_is_now_in_the_local_zone(void **state)
{
	struct fixture *fixture = *state;
	struct tm then = {0};
	time_t before, after;
	char *text;

	open_log(fixture, fixture->path);
	before = time(NULL);
	write_line(fixture, STR("1"));
	run_turn(fixture->loop);
	after = time(NULL);
	text = read_path(fixture->path);
	assert_non_null(strptime(text, "127.0.0.1 - - [%d/%b/%Y:%H:%M:%S", &then));
	assert_non_null(strstr(text, " +0200]"));
	then.tm_isdst = -1;
	/* time(2) may lag behind a finer clock. */
	assert_true(mktime(&then) >= before && mktime(&then) <= after + 1);
	free(text);
}

static void a_log_that_is_off_takes_nothing(void **state)
{
	struct fixture *fixture = *state;

	open_log(fixture, "off");
	assert_false(access_log_is_on(fixture->log));
	write_line(fixture, STR("1"));
	run_turn(fixture->loop);
	assert_int_equal(access_log_reopen(fixture->log), 0);
	run_turn(fixture->loop);
	assert_int_equal(access_log_dropped(fixture->log), 0);
}

static void a_file_that_cannot_be_opened_is_told(void **state)
{
	struct fixture *fixture = *state;
	struct access_log_options options = {.path = "/dev/null/log"};

	errno = 0;
	assert_null(access_log_create(fixture->loop, &options));
	assert_int_equal(errno, ENOTDIR);
}

static void a_rotated_file_is_left_on_reopening(void **state)
{
	struct fixture *fixture = *state;
	char rotated[160], *text;

	snprintf(rotated, sizeof(rotated), "%s.1", fixture->path);
	open_log(fixture, fixture->path);
	write_line(fixture, STR("1"));
	assert_int_equal(rename(fixture->path, rotated), 0);
	assert_int_equal(access_log_reopen(fixture->log), 0);
	write_line(fixture, STR("2"));
	run_turn(fixture->loop);
	text = read_path(rotated);
	assert_lines(text, 1);
	assert_non_null(strstr(text, "id=1\n"));
	free(text);
	text = read_path(fixture->path);
	assert_lines(text, 1);
	assert_non_null(strstr(text, "id=2\n"));
	free(text);
}

static void the_old_file_stays_when_the_new_one_cannot_be_opened(void **state)
{
	struct fixture *fixture = *state;
	struct access_log_options elsewhere = {.path = "/dev/null/log", .format = ACCESS_JSON};
	char rotated[160], *text;

	snprintf(rotated, sizeof(rotated), "%s.1", fixture->path);
	open_log(fixture, fixture->path);
	assert_int_equal(rename(fixture->path, rotated), 0);
	assert_int_equal(mkdir(fixture->path, 0700), 0);
	assert_int_equal(access_log_reopen(fixture->log), -EISDIR);
	assert_int_equal(configure(fixture->log, &elsewhere), -ENOTDIR);
	write_line(fixture, STR("1"));
	run_turn(fixture->loop);
	text = read_path(rotated);
	assert_lines(text, 1);
	free(text);
	assert_int_equal(rmdir(fixture->path), 0);
}

static void other_options_are_taken_over(void **state)
{
	struct fixture *fixture = *state;
	struct access_log_options off = {.path = "off"};
	struct access_log_options json = {.path = fixture->path, .format = ACCESS_JSON};
	char *text;

	open_log(fixture, "off");
	write_line(fixture, STR("1"));
	assert_int_equal(configure(fixture->log, &json), 0);
	write_line(fixture, STR("2"));
	/* A reload that is given up changes nothing. */
	assert_int_equal(access_log_prepare(fixture->log, &off), 0);
	access_log_cancel(fixture->log);
	assert_true(access_log_is_on(fixture->log));
	assert_int_equal(configure(fixture->log, &off), 0);
	write_line(fixture, STR("3"));
	run_turn(fixture->loop);
	text = read_path(fixture->path);
	assert_int_equal(count_lines(text), 1);
	assert_int_equal(strncmp(text, "{\"ts\":\"", 7), 0);
	assert_non_null(strstr(text, "\"id\":\"2\"}\n"));
	free(text);
}

static void what_a_full_disk_does_not_take_is_counted(void **state)
{
	struct fixture *fixture = *state;

	open_log(fixture, "/dev/full");
	for (int i = 0; i < 3; i++)
		write_line(fixture, STR("1"));
	run_turn(fixture->loop);
	assert_int_equal(access_log_dropped(fixture->log), 3);
	write_line(fixture, STR("2"));
	run_turn(fixture->loop);
	assert_int_equal(access_log_dropped(fixture->log), 4);
}

/* A FIFO of the smallest size with nobody reading yet. */
static int open_fifo(struct fixture *fixture)
{
	int reader;

	assert_int_equal(mkfifo(fixture->path, 0600), 0);
	reader = open(fixture->path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	assert_true(reader >= 0);
	assert_true(fcntl(reader, F_SETPIPE_SZ, 4096) >= 4096);
	open_log(fixture, fixture->path);
	return reader;
}

/* Reads while turns go by, until that many lines have come; the caller frees them. */
static char *read_lines(struct fixture *fixture, int reader, size_t wanted)
{
	char *text = calloc(1, 1), *more;
	size_t len = 0;

	while (text && count_lines(text) < wanted) {
		run_turn(fixture->loop);
		more = read_all(reader);
		text = realloc(text, len + strlen(more) + 1);
		assert_non_null(text);
		strcpy(text + len, more);
		len += strlen(more);
		free(more);
	}
	return text;
}

static void lines_wait_while_a_pipe_is_full(void **state)
{
	struct fixture *fixture = *state;
	int reader = open_fifo(fixture);
	char *text;

	for (int i = 0; i < 200; i++)
		write_line(fixture, STR("1"));
	/* Nothing else happens: that there is room again is enough. */
	text = read_lines(fixture, reader, 200);
	assert_lines(text, 200);
	assert_int_equal(access_log_dropped(fixture->log), 0);
	free(text);
	close(reader);
}

static void what_a_full_pipe_and_memory_do_not_hold_is_counted(void **state)
{
	enum { LINES = 10000 };
	struct fixture *fixture = *state;
	int reader = open_fifo(fixture);
	uint64_t dropped;
	char *text;

	for (int i = 0; i < LINES; i++) {
		write_line(fixture, STR("1"));
		if (i % 100 == 0)
			run_turn(fixture->loop);
	}
	dropped = access_log_dropped(fixture->log);
	assert_true(dropped > 0 && dropped < LINES);
	text = read_lines(fixture, reader, LINES - dropped);
	assert_lines(text, LINES - dropped);
	assert_int_equal(access_log_dropped(fixture->log), dropped);
	free(text);
	close(reader);
}

static void a_pipe_without_reader_costs_lines_only(void **state)
{
	struct fixture *fixture = *state;
	int reader = open_fifo(fixture);
	char *text;

	for (int i = 0; i < 200; i++)
		write_line(fixture, STR("1"));
	run_turn(fixture->loop);
	close(reader);
	run_turn(fixture->loop);
	write_line(fixture, STR("2"));
	run_turn(fixture->loop);
	assert_true(access_log_dropped(fixture->log) > 100);
	/* The next reader gets what the pipe still held, the end of the line it ends with, and line 3. */
	reader = open(fixture->path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	write_line(fixture, STR("3"));
	text = read_lines(fixture, reader, 202 - access_log_dropped(fixture->log));
	assert_lines(text, 202 - access_log_dropped(fixture->log));
	assert_non_null(strstr(text, "id=3\n"));
	free(text);
	close(reader);
}

/* Runs `use` with a descriptor of ours in the place of stdout. */
static void with_stdout(int fd, struct fixture *fixture, void (*use)(struct fixture *fixture))
{
	int saved = dup(STDOUT_FILENO);

	assert_true(saved >= 0);
	fflush(stdout);
	assert_int_equal(dup2(fd, STDOUT_FILENO), STDOUT_FILENO);
	use(fixture);
	dup2(saved, STDOUT_FILENO);
	close(saved);
}

static void write_to_stdout(struct fixture *fixture)
{
	open_log(fixture, "stdout");
	write_line(fixture, STR("1"));
	assert_int_equal(access_log_reopen(fixture->log), 0);
	write_line(fixture, STR("2"));
	run_turn(fixture->loop);
}

static void stdout_can_be_a_file(void **state)
{
	struct fixture *fixture = *state;
	int fd = open(fixture->path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	char *text;

	assert_true(fd >= 0);
	with_stdout(fd, fixture, write_to_stdout);
	close(fd);
	text = read_path(fixture->path);
	assert_lines(text, 2);
	free(text);
}

static void write_much_to_stdout(struct fixture *fixture)
{
	open_log(fixture, "stdout");
	for (int i = 0; i < 2000; i++)
		write_line(fixture, STR("1"));
	run_turn(fixture->loop);
	access_log_destroy(fixture->log);
	fixture->log = NULL;
}

/* The pipe blocks whoever writes too much to it: this test would not come to its end. */
static void a_stdout_that_blocks_is_not_waited_for(void **state)
{
	struct fixture *fixture = *state;
	int ends[2];
	char *text;

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	with_stdout(ends[1], fixture, write_much_to_stdout);
	assert_int_equal(fcntl(ends[1], F_GETFL) & O_NONBLOCK, 0);
	assert_int_equal(fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
	text = read_all(ends[0]);
	assert_true(count_lines(text) > 100 && count_lines(text) < 2000);
	free(text);
	close(ends[0]);
	close(ends[1]);
}

static void a_line_of_the_last_turn_is_written_on_destroying(void **state)
{
	struct fixture *fixture = *state;
	char *text;

	open_log(fixture, fixture->path);
	write_line(fixture, STR("1"));
	access_log_destroy(fixture->log);
	fixture->log = NULL;
	text = read_path(fixture->path);
	assert_lines(text, 1);
	free(text);
}

/* The lowest number that is free. */
static int next_descriptor(void)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	close(fd);
	return fd;
}

static void without_memory_a_log_stays_off_and_keeps_no_descriptor(void **state)
{
	struct fixture *fixture = *state;
	const char *const paths[] = {fixture->path, "stdout"};
	int free_before = next_descriptor();

	open_log(fixture, "off");
	for (size_t i = 0; i < 2; i++) {
		struct access_log_options options = {.path = paths[i]};

		out_of_memory = true;
		int error = configure(fixture->log, &options);
		out_of_memory = false;
		assert_int_equal(error, -ENOMEM);
		assert_int_equal(next_descriptor(), free_before);
		assert_false(access_log_is_on(fixture->log));
	}
	assert_true(fcntl(STDOUT_FILENO, F_GETFD) >= 0);

	struct access_log_options options = {.path = fixture->path};
	char *text;

	assert_int_equal(configure(fixture->log, &options), 0);
	write_line(fixture, STR("1"));
	run_turn(fixture->loop);
	text = read_path(fixture->path);
	assert_int_equal(count_lines(text), 1);
	free(text);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(lines_are_written_at_the_end_of_the_turn),
	    TEST(the_time_is_now_in_the_local_zone),
	    TEST(a_log_that_is_off_takes_nothing),
	    TEST(a_file_that_cannot_be_opened_is_told),
	    TEST(a_rotated_file_is_left_on_reopening),
	    TEST(the_old_file_stays_when_the_new_one_cannot_be_opened),
	    TEST(other_options_are_taken_over),
	    TEST(what_a_full_disk_does_not_take_is_counted),
	    TEST(lines_wait_while_a_pipe_is_full),
	    TEST(what_a_full_pipe_and_memory_do_not_hold_is_counted),
	    TEST(a_pipe_without_reader_costs_lines_only),
	    TEST(stdout_can_be_a_file),
	    TEST(a_stdout_that_blocks_is_not_waited_for),
	    TEST(a_line_of_the_last_turn_is_written_on_destroying),
	    TEST(without_memory_a_log_stays_off_and_keeps_no_descriptor),
	};

	/* A pipe without reader is an error of write(2), as it is in the daemon. */
	signal(SIGPIPE, SIG_IGN);
	/* Two hours east of Greenwich, whatever zones this machine knows. */
	setenv("TZ", "EET-2", 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
