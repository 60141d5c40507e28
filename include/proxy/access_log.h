/*
 * access_log - one line for each request, and one place that writes them.
 *
 * Lines (access_line) are gathered in memory and written once a turn, so that a request costs no
 * system call, and the loop never waits. Lines for a full pipe wait in memory as long as there is
 * room; lines that do not fit, or that a full disk does not take, are dropped and counted. No line
 * is ever split by a drop. A file is opened for appending and again on access_log_reopen; when that
 * fails the old one stays in use.
 */
#ifndef RONDO_PROXY_ACCESS_LOG_H
#define RONDO_PROXY_ACCESS_LOG_H

#include "event/loop.h"
#include "proxy/access_line.h"

struct access_log_options {
	const char *path; /* "off", "stdout", or a file */
	enum access_format format;
};

struct access_log;

/* NULL with errno set when the file cannot be opened or memory is short. With path "off" lines cost
 * nothing. */
struct access_log *access_log_create(struct loop *loop, const struct access_log_options *options);

/* Writes the gathered lines and closes. The memory is freed at the end of the turn, or with the
 * loop. */
void access_log_destroy(struct access_log *log);

/* Opens what other options name (a reload): negative errno when that is impossible. Nothing changes
 * before the commit; call one of the next two functions in the same turn of the loop. */
int access_log_prepare(struct access_log *log, const struct access_log_options *options);
void access_log_commit(struct access_log *log);
void access_log_cancel(struct access_log *log);

/* Opens the file again (after it was rotated). Negative errno when the old one stays. */
int access_log_reopen(struct access_log *log);

bool access_log_is_on(const struct access_log *log);
void access_log_write(struct access_log *log, const struct access_record *record);

/* Lines that could not be written since the start. */
uint64_t access_log_dropped(const struct access_log *log);

#endif
