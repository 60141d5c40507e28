/*
 * trace - what happens in a world, as text for people and as a hash for machines.
 *
 * The same seed gives the same events at the same virtual times, so the same hash. Neither costs anything when nothing is printed.
 * A broken property ends the process: the world is replayed in a fresh one, of which the last lines are shown.
 */
#ifndef RONDO_SIM_TRACE_H
#define RONDO_SIM_TRACE_H

#include <stdint.h>

enum trace_print { TRACE_SILENT, TRACE_ALL, TRACE_TAIL };

/* `program` is what it was started as, for the reader of a failure; it is executed again for the tail of a failing world. */
void trace_open(const char *program, enum trace_print print);

/* A world begins, after so many requests in others. */
void trace_begin(uint64_t seed, uint64_t requests_before);

/* Of all that was traced; 0 while nothing is printed. */
uint64_t trace_hash(void);

/* The virtual time of what follows, in microseconds. */
void trace_clock(int64_t now_us);
int64_t trace_now_us(void);

/* `format` has at least eight characters; each # in it stands for the next number, @ for the word. */
void trace(const char *format, int64_t a, int64_t b, int64_t c);
void trace_word(const char *format, const char *word, int64_t a, int64_t b);

/* A property does not hold. */
void fail(const char *property, const char *format, ...)
    __attribute__((format(printf, 2, 3), noreturn));

#define check(property, condition, ...)                                                            \
	do {                                                                                       \
		if (!(condition))                                                                  \
			fail(property, __VA_ARGS__);                                               \
	} while (0)

#endif
