#include "base/log.h"

#include "base/text.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
	/* A pipe with room for one byte has room for this many, in one piece. pipe(7). */
	LOG_LINE_BYTES = PIPE_BUF,
	LOG_TEXT_BYTES = 2048,
	LOG_PREFIX_BYTES = 64
};

enum log_kind { LOG_PLAIN, LOG_JOURNAL, LOG_TERMINAL };

static struct {
	enum log_level level;
	enum log_kind kind;
	bool coloured;
	uint64_t dropped;
} out = {.level = LOG_LEVEL_INFO};

static const struct {
	const char *name;
	int priority; /* of syslog(3) */
	const char *colour;
} levels[] = {
    [LOG_LEVEL_ERROR] = {"error", 3, "\033[31m"},
    [LOG_LEVEL_WARNING] = {"warning", 4, "\033[33m"},
    [LOG_LEVEL_INFO] = {"info", 6, "\033[32m"},
    [LOG_LEVEL_DEBUG] = {"debug", 7, "\033[2m"},
};

/* Is stderr the stream that $JOURNAL_STREAM names? It may have been redirected since. */
static bool is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	struct stat status;
	char own[64];

	if (!stream || fstat(STDERR_FILENO, &status))
		return false;
	snprintf(own, sizeof(own), "%ju:%ju", (uintmax_t)status.st_dev, (uintmax_t)status.st_ino);
	return strcmp(stream, own) == 0;
}

/* NO_COLOR counts when it is set and not empty. */
static bool is_colour_welcome(void)
{
	const char *refused = getenv("NO_COLOR");
	const char *terminal = getenv("TERM");

	return !(refused && refused[0]) && terminal && strcmp(terminal, "dumb") != 0;
}

void log_open(void)
{
	out.kind = LOG_PLAIN;
	if (is_journal())
		out.kind = LOG_JOURNAL;
	else if (isatty(STDERR_FILENO))
		out.kind = LOG_TERMINAL;
	out.coloured = out.kind == LOG_TERMINAL && is_colour_welcome();
}

void log_set_level(enum log_level level)
{
	out.level = level;
}

enum log_level log_get_level(void)
{
	return out.level;
}

uint64_t log_dropped(void)
{
	return out.dropped;
}

/* Writes the part of a line before the text; always fits. */
static size_t write_prefix(char prefix[static LOG_PREFIX_BYTES], enum log_level level)
{
	struct timespec now;
	struct tm parts;
	char date[32];
	int len;

	if (out.kind == LOG_JOURNAL) {
		len = snprintf(prefix, LOG_PREFIX_BYTES, "<%d>", levels[level].priority);
		return (size_t)len;
	}
	clock_gettime(CLOCK_REALTIME, &now);
	if (out.kind == LOG_TERMINAL)
		strftime(date, sizeof(date), "%H:%M:%S", localtime_r(&now.tv_sec, &parts));
	else
		strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", gmtime_r(&now.tv_sec, &parts));
	len = snprintf(prefix, LOG_PREFIX_BYTES, "%s.%03ld%s %s%s:%s ", date, now.tv_nsec / 1000000,
	    out.kind == LOG_PLAIN ? "Z" : "", out.coloured ? levels[level].colour : "",
	    levels[level].name, out.coloured ? "\033[0m" : "");
	return (size_t)len;
}

/* Appends `text` to a line of `len` bytes and ends it; bytes other than printable ASCII are written
 * as \xNN. Text that does not fit is cut off and marked. Returns the length of the whole line. */
static size_t write_text(char line[static LOG_LINE_BYTES], size_t len, const char *text)
{
	struct text rest = text_begin(line + len, LOG_LINE_BYTES - len);

	text_put_escaped(
	    &rest, str_from(text), TEXT_LINE, rest.room - sizeof("...\n") - sizeof("\\xNN"));
	text_put(&rest, STR("\n"));
	return (size_t)(rest.at - line);
}

/* Setting O_NONBLOCK would affect every other process with the same stderr, so poll first. */
static bool write_line(const char *line, size_t len)
{
	struct pollfd stderr_room = {.fd = STDERR_FILENO, .events = POLLOUT};
	ssize_t put;

	if (poll(&stderr_room, 1, 0) != 1 || !(stderr_room.revents & POLLOUT))
		return false;
	do
		put = write(STDERR_FILENO, line, len);
	while (put < 0 && errno == EINTR);
	return put == (ssize_t)len;
}

void log_line(enum log_level level, const char *format, ...)
{
	char text[LOG_TEXT_BYTES];
	char line[LOG_LINE_BYTES];
	int error = errno;
	va_list args;
	size_t len;
	int text_len;

	if (level > out.level)
		return;
	va_start(args, format);
	text_len = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (text_len < 0)
		text[0] = '\0';
	else if ((size_t)text_len >= sizeof(text))
		memcpy(text + sizeof(text) - sizeof("..."), "...", sizeof("..."));
	len = write_prefix(line, level);
	len = write_text(line, len, text);
	if (!write_line(line, len))
		out.dropped++;
	errno = error;
}
