/*
 * log - messages for the operator on stderr, one line for each event.
 *
 * Lines carry the journal's "<n>" priority when stderr is the journal ($JOURNAL_STREAM names its
 * device and inode), the time of day on a terminal (coloured, without NO_COLOR), else the time in
 * UTC. A line is one write(2) and all but printable ASCII in it is escaped (\xNN), so that no peer
 * can forge one; it is cut at about 2000 characters. Writing never blocks: a line that stderr does
 * not take is dropped and counted. errno does not change. Lower floors do not log; they return
 * errors.
 */
#ifndef RONDO_BASE_LOG_H
#define RONDO_BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* Finds out what stderr is. Call once, before the first line; until then lines are plain. */
void log_open(void);

/* Lines above this level are not written. The first level is LOG_LEVEL_INFO. */
void log_set_level(enum log_level level);
enum log_level log_get_level(void);

/* Lines that stderr has not taken since the start. */
uint64_t log_dropped(void);

void log_line(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...)   log_line(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_line(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...)    log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...)                                                                             \
	do {                                                                                       \
		if (log_get_level() == LOG_LEVEL_DEBUG)                                            \
			log_line(LOG_LEVEL_DEBUG, __VA_ARGS__);                                    \
	} while (0)

#endif
