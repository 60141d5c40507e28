#include "top.h"

#include "answer.h"
#include "show.h"
#include "talk.h"

#include <langinfo.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

enum { WINDOW = 10, HISTORY = 240, LINE_SIZE = 2048, LEVELS = 9 };

/* An answer and its time. */
struct sample {
	json_t *answer;
	double seconds;
};

struct top {
	const char *socket_path;
	bool coloured, has_blocks; /* the terminal can show block characters */
	int width, height;
	struct sample samples[WINDOW + 1]; /* the newest first */
	size_t count;
	double rates[HISTORY]; /* requests a second, the newest first */
	size_t rate_count;
	char error[TALK_ERROR_SIZE]; /* of the last request; "": there was an answer */
	FILE *out;                   /* the frame being drawn */
	int row;
};

/* ---- lines */

/* Writes a line and ends it: text beyond the width is cut; escape sequences have no width. */
static void put_line(struct top *top, const char *text)
{
	int used = 0;

	if (top->row >= top->height)
		return;
	if (top->row > 0)
		fputs("\r\n", top->out);
	top->row++;
	while (*text) {
		if (*text == '\033') {
			size_t len = strcspn(text, "m");
			fwrite(text, 1, len + (text[len] == 'm'), top->out);
			text += len + (text[len] == 'm');
			continue;
		}
		/* Count a character once, not its continuation bytes. */
		used += ((unsigned char)*text & 0xc0) != 0x80;
		if (used > top->width)
			break;
		fputc(*text++, top->out);
	}
	fprintf(top->out, "%s\033[K", colour_end(top->coloured));
}

static FILE *open_line(char line[static LINE_SIZE])
{
	memset(line, 0, LINE_SIZE);
	return fmemopen(line, LINE_SIZE - 1, "w");
}

static void close_line(struct top *top, FILE *out, const char *line)
{
	fclose(out);
	put_line(top, line);
}

static const char *faint(const struct top *top)
{
	return top->coloured ? "\033[2m" : "";
}

static const char *bold(const struct top *top)
{
	return top->coloured ? "\033[1m" : "";
}

/* A bar with the height of `part` of `whole`. */
static const char *bar(const struct top *top, double part, double whole)
{
	static const char *const blocks[LEVELS] = {" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
	static const char *const letters[LEVELS] = {" ", ".", ".", ":", ":", "-", "=", "+", "#"};
	int level = whole > 0 ? (int)(part / whole * (LEVELS - 1) + 0.5) : 0;

	if (part > 0 && level == 0)
		level = 1;
	return (top->has_blocks ? blocks : letters)[level < LEVELS ? level : LEVELS - 1];
}

/* ---- differences */

static const json_t *now(const struct top *top)
{
	return answer_at(top->samples[0].answer, "status");
}

/* The sample to compare with: the one before, or the oldest of the window. */
static const struct sample *before(const struct top *top, bool whole_window)
{
	return &top->samples[whole_window ? top->count - 1 : 1];
}

static json_t *find_backend(const json_t *answer, const char *name)
{
	size_t i;
	json_t *backend;

	json_array_foreach (answer_at(answer, "status.backends"), i, backend)
		if (strcmp(answer_text(backend, "name"), name) == 0)
			return backend;
	return NULL;
}

/* The rate per second since the sample before. */
static double rate(const struct top *top, double newer, double older)
{
	double seconds = top->count > 1 ? top->samples[0].seconds - before(top, false)->seconds : 0;

	return seconds > 0 && newer > older ? (newer - older) / seconds : 0;
}

/* The count of bucket `i` in the window. */
static double bucket_delta(const json_t *newer, const json_t *older, size_t i)
{
	double count = answer_number(json_array_get(newer, i), "count") -
		       answer_number(json_array_get(older, i), "count");

	return count > 0 ? count : 0;
}

/* ---- parts of the screen */

static void draw_title(struct top *top)
{
	char line[LINE_SIZE], text[SHOW_TEXT_SIZE];
	FILE *out = open_line(line);
	const json_t *status = now(top);
	size_t up = 0, i;
	json_t *backend;

	if (!out)
		return;
	json_array_foreach (answer_at(status, "backends"), i, backend)
		up += strcmp(answer_text(backend, "state"), "up") == 0;
	fprintf(out, "%srondo %s%s  %s  %s%zu of %zu up%s", bold(top),
	    answer_text(status, "rondo.version"), colour_end(top->coloured),
	    answer_text(status, "rondo.state"),
	    colour_of(up == i  ? "up"
		      : up > 0 ? "trial"
			       : "down",
		top->coloured),
	    up, i, colour_end(top->coloured));
	fprintf(out, "  %.0f clients  %.0f in flight", answer_number(status, "clients.connections"),
	    answer_number(status, "requests.in_flight"));
	if (answer_number(status, "queue.length") > 0)
		fprintf(out, "  %s%.0f waiting, %s%s", colour_of("trial", top->coloured),
		    answer_number(status, "queue.length"),
		    format_age(answer_number(status, "queue.longest"), text),
		    colour_end(top->coloured));
	fprintf(out, "  %s%s  q ends%s", faint(top),
	    format_clock(answer_number(status, "time"), text), colour_end(top->coloured));
	close_line(top, out, line);
}

static void draw_troubles(struct top *top)
{
	const char *refused = answer_text(now(top), "rondo.reload_refused");
	char line[LINE_SIZE];
	FILE *out;

	if (!top->error[0] && !refused[0]) {
		put_line(top, "");
		return;
	}
	out = open_line(line);
	if (!out)
		return;
	fputs(colour_of("down", top->coloured), out);
	if (!top->error[0])
		fputs("reload refused: ", out);
	show_clean(out, top->error[0] ? top->error : refused);
	close_line(top, out, line);
}

static void draw_rates(struct top *top)
{
	char line[LINE_SIZE];
	FILE *out = open_line(line);
	size_t room = top->width > 24 ? (size_t)top->width - 24 : 0;
	double highest = 0;

	if (!out)
		return;
	for (size_t i = 0; i < top->rate_count && i < room; i++)
		if (top->rates[i] > highest)
			highest = top->rates[i];
	fprintf(out, "requests/s %s%9.1f%s  ", bold(top), top->rates[0], colour_end(top->coloured));
	for (size_t i = top->rate_count < room ? top->rate_count : room; i > 0; i--)
		fputs(bar(top, top->rates[i - 1], highest), out);
	close_line(top, out, line);
}

static void draw_latency(struct top *top)
{
	const json_t *newer = answer_at(now(top), "requests.duration.buckets");
	const json_t *older =
	    answer_at(before(top, true)->answer, "status.requests.duration.buckets");
	char line[LINE_SIZE], p50[SHOW_TEXT_SIZE], p99[SHOW_TEXT_SIZE];
	FILE *out = open_line(line);
	double highest = 0;

	if (!out)
		return;
	for (size_t i = 0; i < json_array_size(newer); i++)
		if (bucket_delta(newer, older, i) > highest)
			highest = bucket_delta(newer, older, i);
	format_time(answer_number(now(top), "requests.duration.recent.p50"), p50);
	format_time(answer_number(now(top), "requests.duration.recent.p99"), p99);
	fprintf(out, "time       %s%9s%s  half  %s%s%s  99 %%   %s0.5 ms%s ", bold(top), p50,
	    colour_end(top->coloured), bold(top), p99, colour_end(top->coloured), faint(top),
	    colour_end(top->coloured));
	for (size_t i = 0; i < json_array_size(newer); i++) {
		const char *column = bar(top, bucket_delta(newer, older, i), highest);
		fprintf(out, "%s%s", column, column);
	}
	fprintf(out, " %s10 s%s", faint(top), colour_end(top->coloured));
	close_line(top, out, line);
}

/* Is there room for the less important columns? */
static bool is_wide(const struct top *top)
{
	return top->width >= 100;
}

static void draw_backend(struct top *top, const json_t *backend, int name_width)
{
	const json_t *earlier;
	const char *name = answer_text(backend, "name"), *state = answer_text(backend, "state");
	char line[LINE_SIZE], text[SHOW_TEXT_SIZE], p99[SHOW_TEXT_SIZE];
	FILE *out = open_line(line);

	if (!out)
		return;
	earlier = find_backend(before(top, false)->answer, name);
	fprintf(out, "%-*.*s  %s%s %-10s%s", name_width, name_width, name,
	    colour_of(state, top->coloured), top->has_blocks ? "●" : "*", state,
	    colour_end(top->coloured));
	fprintf(out, "%8.1f %8.1f ",
	    rate(top, answer_number(backend, "requests"), answer_number(earlier, "requests")),
	    rate(top, answer_failures(backend), answer_failures(earlier)));
	if (is_wide(top))
		fprintf(out, "%5.0f %5.0f %6.0f%s %8s ",
		    answer_number(backend, "connections.active"),
		    answer_number(backend, "connections.idle"), answer_number(backend, "weight"),
		    answer_number(backend, "weight") != answer_number(backend, "configured_weight")
			? "*"
			: " ",
		    format_time(answer_number(backend, "response.recent.p50"), text));
	fprintf(out, "%8s  ", format_time(answer_number(backend, "response.recent.p99"), p99));
	if (strcmp(state, "up") != 0 || json_is_true(answer_at(backend, "silent"))) {
		show_clean(out, answer_text(backend, "why"));
		fprintf(out, ", for %s", format_age(answer_number(backend, "for"), text));
	}
	if (!json_is_null(answer_at(backend, "next_try_in")))
		fprintf(out, ", next try in %s",
		    format_age(answer_number(backend, "next_try_in"), text));
	close_line(top, out, line);
}

static void draw_backends(struct top *top)
{
	const json_t *backends = answer_at(now(top), "backends");
	char line[LINE_SIZE];
	int width = 7;
	size_t i;
	json_t *backend;

	json_array_foreach (backends, i, backend) {
		int len = (int)strlen(answer_text(backend, "name"));
		if (len > width)
			width = len;
	}
	if (width > top->width / 4 && width > 15)
		width = top->width / 4 > 15 ? top->width / 4 : 15;
	snprintf(line, sizeof(line), "%s%-*s  %-12s%8s %8s %s%8s  %s", faint(top), width, "BACKEND",
	    "STATE", "REQ/S", "FAIL/S", is_wide(top) ? " BUSY  IDLE  WEIGHT     HALF " : "", "99 %",
	    "WHY");
	put_line(top, line);
	/* Keep a few lines for the events. */
	json_array_foreach (backends, i, backend) {
		if (top->row >= top->height - 4 && i + 1 < json_array_size(backends)) {
			snprintf(line, sizeof(line), "%s... and %zu more", faint(top),
			    json_array_size(backends) - i);
			put_line(top, line);
			break;
		}
		draw_backend(top, backend, width);
	}
}

static void draw_failures(struct top *top)
{
	const char *separator = "failures   ", *reason;
	char line[LINE_SIZE];
	FILE *out = open_line(line);
	json_t *backend, *count;
	size_t i;

	if (!out)
		return;
	json_array_foreach (answer_at(now(top), "backends"), i, backend) {
		json_object_foreach (answer_at(backend, "failures"), reason, count) {
			fprintf(out, "%s%s %s %.0f", separator, answer_text(backend, "name"),
			    reason, json_number_value(count));
			separator = ", ";
		}
	}
	close_line(top, out, line);
}

static void draw_events(struct top *top)
{
	char line[LINE_SIZE], text[SHOW_TEXT_SIZE];
	size_t i;
	json_t *event;

	json_array_foreach (answer_at(top->samples[0].answer, "events"), i, event) {
		const char *state = answer_text(event, "state");
		FILE *out = top->row < top->height ? open_line(line) : NULL;

		if (!out)
			return;
		fprintf(out, "%s%s%s  %s%-10s%s  ", faint(top),
		    format_clock(answer_number(event, "time"), text), colour_end(top->coloured),
		    colour_of(state, top->coloured), state, colour_end(top->coloured));
		show_clean(out, answer_text(event, "backend"));
		fputs(answer_text(event, "backend")[0] ? ": " : "", out);
		show_clean(out, answer_text(event, "text"));
		close_line(top, out, line);
	}
}

/* Composes the frame in memory and writes it at once, so that nothing flickers. */
static void draw(struct top *top)
{
	char *frame = NULL;
	size_t len = 0;

	top->out = open_memstream(&frame, &len);
	if (!top->out)
		return;
	top->row = 0;
	fputs("\033[H", top->out);
	draw_title(top);
	draw_troubles(top);
	draw_rates(top);
	draw_latency(top);
	put_line(top, "");
	draw_backends(top);
	put_line(top, "");
	draw_failures(top);
	put_line(top, "");
	draw_events(top);
	fputs("\033[J", top->out);
	if (fclose(top->out) == 0) {
		fwrite(frame, 1, len, stdout);
		fflush(stdout);
	}
	free(frame);
}

/* ---- asking */

static void note_rate(struct top *top)
{
	double older = top->count > 1
			   ? answer_number(before(top, false)->answer, "status.requests.total")
			   : answer_number(now(top), "requests.total");

	memmove(top->rates + 1, top->rates, (HISTORY - 1) * sizeof(top->rates[0]));
	top->rates[0] = rate(top, answer_number(now(top), "requests.total"), older);
	if (top->rate_count < HISTORY)
		top->rate_count++;
}

static double clock_seconds(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* The new answer becomes the first sample. After a failure the last ones stay. */
static bool ask(struct top *top)
{
	json_t *answer = talk(top->socket_path, "status", top->error);

	if (!answer || !answer_at(answer, "status")) {
		json_decref(answer);
		return false;
	}
	top->error[0] = '\0';
	if (top->count == WINDOW + 1)
		json_decref(top->samples[--top->count].answer);
	memmove(top->samples + 1, top->samples, top->count * sizeof(top->samples[0]));
	top->samples[0] = (struct sample){answer, clock_seconds()};
	top->count++;
	note_rate(top);
	return true;
}

/* ---- the terminal */

static volatile sig_atomic_t ended;

static void on_signal(int number)
{
	if (number != SIGWINCH)
		ended = 1;
}

/* Without SA_RESTART: a signal wakes up a waiting call. */
static void catch_signals(void)
{
	static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH};
	struct sigaction action = {.sa_handler = on_signal};

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		sigaction(numbers[i], &action, NULL);
}

static void measure(struct top *top)
{
	struct winsize size;
	bool known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;

	top->width = known ? size.ws_col : 80;
	top->height = known ? size.ws_row : 24;
}

/* Waits until `due`, a key or a new size. False when the program must end. */
static bool wait_until(struct top *top, double due)
{
	struct pollfd keys = {.fd = STDIN_FILENO, .events = POLLIN};
	char key = 0;

	while (!ended) {
		double left = due - clock_seconds();

		if (left <= 0)
			return true;
		int ready = poll(&keys, 1, (int)(left * 1000) + 1);
		if (ready < 0) {
			measure(top);
			draw(top);
		}
		if (ready > 0 && (read(STDIN_FILENO, &key, 1) != 1 || key == 'q' || key == 'Q'))
			return false;
	}
	return false;
}

static void run(struct top *top)
{
	double due = clock_seconds();

	do {
		due += 1;
		if (due < clock_seconds())
			due = clock_seconds() + 1;
		measure(top);
		draw(top);
		if (!wait_until(top, due))
			return;
		ask(top);
	} while (!ended);
}

bool top(const char *socket_path, bool coloured)
{
	struct top top = {.socket_path = socket_path, .coloured = coloured};
	struct termios cooked, raw;

	if (!isatty(STDOUT_FILENO) || tcgetattr(STDIN_FILENO, &cooked) < 0) {
		fputs("rondoctl: top needs a terminal; rondoctl status does not\n", stderr);
		return false;
	}
	setlocale(LC_ALL, "");
	top.has_blocks = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
	if (!ask(&top)) {
		fprintf(stderr, "rondoctl: %s\n", top.error);
		return false;
	}
	catch_signals();
	raw = cooked;
	raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	tcsetattr(STDIN_FILENO, TCSANOW, &raw);
	/* The alternate screen, without a cursor, without wrapping. */
	fputs("\033[?1049h\033[?25l\033[?7l", stdout);
	run(&top);
	fputs("\033[?7h\033[?25h\033[?1049l", stdout);
	fflush(stdout);
	tcsetattr(STDIN_FILENO, TCSANOW, &cooked);
	for (size_t i = 0; i < top.count; i++)
		json_decref(top.samples[i].answer);
	return true;
}
