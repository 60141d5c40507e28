#include "trace.h"

#include "dice.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TAIL_LINES = 60, LINE_SIZE = 200 };

static struct {
	const char *program;
	enum trace_print print;
	uint64_t seed, requests_before;
	uint64_t hash;
	int64_t now_us;
	char tail[TAIL_LINES][LINE_SIZE];
	size_t lines;
} state;

static void put_tail(void)
{
	size_t first = state.lines > TAIL_LINES ? state.lines - TAIL_LINES : 0;

	for (size_t i = first; i < state.lines; i++)
		fprintf(stderr, "%s\n", state.tail[i % TAIL_LINES]);
}

static void tell_seed(void)
{
	fprintf(stderr,
	    "\nseed %llu, after %llu requests, at %lld us: ", (unsigned long long)state.seed,
	    (unsigned long long)state.requests_before, (long long)state.now_us);
}

static void tell_replay(void)
{
	if (state.print == TRACE_SILENT)
		fprintf(stderr, "replay: %s --seed %llu\n", state.program,
		    (unsigned long long)state.seed);
}

/* What is left to do when a property is broken or the program dies: show how it came to that. */
static void end_of_world(void)
{
	char seed[32];

	fflush(stdout);
	if (state.print == TRACE_TAIL)
		put_tail();
	tell_replay();
	if (state.print != TRACE_SILENT)
		return;
	snprintf(seed, sizeof(seed), "%llu", (unsigned long long)state.seed);
	execl("/proc/self/exe", state.program, "--tail", seed, (char *)NULL);
}

static void on_death(int number)
{
	const char *what = number == SIGABRT   ? "an assertion"
			   : number == SIGALRM ? "it hangs"
					       : "a memory access";

	signal(number, SIG_DFL);
	if (state.print != TRACE_TAIL) {
		tell_seed();
		fprintf(stderr, "%s\n", what);
	}
	end_of_world();
	_exit(1);
}

#if defined(__SANITIZE_ADDRESS__)
void __sanitizer_set_death_callback(void (*callback)(void));

static void on_report(void)
{
	tell_seed();
	fprintf(stderr, "a sanitizer's report\n");
	tell_replay();
}
#endif

void trace_open(const char *program, enum trace_print print)
{
	sigset_t none;

	state.program = program;
	state.print = print;
	/* Who is executed again out of a handler still has its signal blocked. */
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGABRT, on_death);
	signal(SIGALRM, on_death);
#if defined(__SANITIZE_ADDRESS__)
	__sanitizer_set_death_callback(on_report);
#else
	signal(SIGSEGV, on_death);
#endif
}

void trace_begin(uint64_t seed, uint64_t requests_before)
{
	state.seed = seed;
	state.requests_before = requests_before;
	state.hash = 0;
	state.now_us = 0;
	state.lines = 0;
}

uint64_t trace_hash(void)
{
	return state.hash;
}

void trace_clock(int64_t now_us)
{
	state.now_us = now_us;
}

int64_t trace_now_us(void)
{
	return state.now_us;
}

static void put_line(const char *format, const char *word, const int64_t numbers[3])
{
	char *line = state.tail[state.lines++ % TAIL_LINES];
	int len = snprintf(line, LINE_SIZE, "%5lld.%06lld  ", (long long)(state.now_us / 1000000),
	    (long long)(state.now_us % 1000000));

	for (; *format && len < LINE_SIZE - 24; format++) {
		if (*format == '#')
			len += snprintf(
			    line + len, (size_t)(LINE_SIZE - len), "%lld", (long long)*numbers++);
		else if (*format == '@')
			len += snprintf(line + len, (size_t)(LINE_SIZE - len), "%.80s", word);
		else
			line[len++] = *format;
	}
	line[len < LINE_SIZE ? len : LINE_SIZE - 1] = '\0';
	if (state.print == TRACE_ALL)
		puts(line);
}

static void mix(uint64_t value)
{
	state.hash = dice_mix(state.hash ^ value) + 0x9e3779b97f4a7c15U;
}

static void note(const char *format, const char *word, const int64_t numbers[3])
{
	uint64_t start;

	memcpy(&start, format, sizeof(start));
	mix(start ^ (uint64_t)state.now_us << 20);
	mix((uint64_t)numbers[0] ^ (uint64_t)numbers[1] << 21 ^ (uint64_t)numbers[2] << 42);
	put_line(format, word, numbers);
}

void trace(const char *format, int64_t a, int64_t b, int64_t c)
{
	const int64_t numbers[3] = {a, b, c};

	if (state.print != TRACE_SILENT)
		note(format, "", numbers);
}

void trace_word(const char *format, const char *word, int64_t a, int64_t b)
{
	const int64_t numbers[3] = {a, b, 0};

	if (state.print != TRACE_SILENT)
		note(format, word, numbers);
}

void fail(const char *property, const char *format, ...)
{
	va_list args;

	if (state.print != TRACE_TAIL) {
		tell_seed();
		fprintf(stderr, "%s: ", property);
		va_start(args, format);
		vfprintf(stderr, format, args);
		va_end(args);
		fputc('\n', stderr);
	}
	end_of_world();
	exit(1);
}
