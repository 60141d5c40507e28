#include "proxy/access_log.h"

#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
	BUFFER_SIZE = 256 * 1024, /* holds the longest line and many more */
	WARNING_PAUSE_US = 60 * 1000 * 1000
};

/* An open place for lines. */
struct target {
	int fd;         /* -1: off */
	bool is_shared; /* stdout: others hold it too, so it cannot be made non-blocking */
	size_t write_max;
};

/* What a reload has prepared. */
struct prepared {
	struct target target;
	char *path; /* NULL: nothing is prepared */
	enum access_format format;
};

struct access_log {
	struct loop *loop;
	char *path;
	enum access_format format;
	struct prepared prepared;
	int fd;           /* -1 when off */
	bool is_shared;   /* stdout: others hold it too, so it cannot be made non-blocking */
	size_t write_max; /* bytes of one write(2) that cannot block once poll(2) saw room */

	struct watch watch;    /* waits for room while a pipe is full */
	struct loop_task task; /* writes at the end of the turn */
	struct loop_task free_task;

	/* Bytes [begin, end) of `bytes` are yet to be written; they end with a whole line. */
	char *bytes;
	size_t begin, end;
	bool is_mid_line; /* the front of the line at `begin` is in the file already */
	uint64_t dropped;
	int64_t warned_us; /* loop clock; 0 = never */

	struct access_time time;
	int64_t second_us; /* when that second began, by the loop's clock */
};

/* The clock is asked once a second: the loop's own tells when that second is over. */
static void update_time(struct access_log *log)
{
	int64_t now_us = loop_now_us(log->loop);
	struct access_time *time = &log->time;
	struct timespec wall;
	struct tm broken_down;

	if (!time->local[0] || now_us >= log->second_us + 1000000) {
		clock_gettime(CLOCK_REALTIME, &wall);
		log->second_us = now_us - wall.tv_nsec / 1000;
		localtime_r(&wall.tv_sec, &broken_down);
		strftime(time->local, sizeof(time->local), "%d/%b/%Y:%H:%M:%S %z", &broken_down);
		gmtime_r(&wall.tv_sec, &broken_down);
		strftime(time->utc, sizeof(time->utc), "%Y-%m-%dT%H:%M:%S", &broken_down);
	}
	time->ms = (unsigned)((now_us - log->second_us) / 1000);
}

static void warn(struct access_log *log, const char *reason)
{
	int64_t now_us = loop_now_us(log->loop);

	if (log->warned_us && now_us < log->warned_us + WARNING_PAUSE_US)
		return;
	log->warned_us = now_us;
	log_warning("access log %s: %s; lines are dropped", log->path, reason);
}

/* Where the first line behind the one at `begin` starts. */
static size_t find_next_line(const struct access_log *log)
{
	const char *front = log->bytes + log->begin;
	const char *newline = memchr(front, '\n', log->end - log->begin);

	return log->begin + (size_t)(newline - front) + 1;
}

/* Gives up the lines from `first` on. */
static void drop_lines(struct access_log *log, size_t first)
{
	for (size_t i = first; i < log->end; i++)
		log->dropped += log->bytes[i] == '\n';
	log->end = first;
}

/* A line whose begin is in the file must end there, or it would run into the next one: the rest of
 * it is kept until it can be written. */
static void drop_whole_lines(struct access_log *log)
{
	drop_lines(log, log->is_mid_line ? find_next_line(log) : log->begin);
}

/* A write of write_max bytes to `fd` does not block now. An error counts as room: write(2) reports
 * it. */
static bool has_room(int fd)
{
	struct pollfd room = {.fd = fd, .events = POLLOUT};

	return poll(&room, 1, 0) != 0;
}

static ssize_t write_some(const struct access_log *log)
{
	size_t len = log->end - log->begin;

	if (log->is_shared && !has_room(log->fd)) {
		errno = EAGAIN;
		return -1;
	}
	return write(log->fd, log->bytes + log->begin, len < log->write_max ? len : log->write_max);
}

/* Writes the gathered lines, as far as there is room. */
static void flush(struct access_log *log)
{
	while (log->begin < log->end) {
		ssize_t written = write_some(log);

		if (written > 0) {
			log->begin += (size_t)written;
			log->is_mid_line = log->bytes[log->begin - 1] != '\n';
		} else if (written < 0 && errno == EINTR) {
			continue;
		} else if (written < 0 && errno == EAGAIN) {
			/* The lines wait for room as long as the buffer has some itself. A
			 * descriptor that cannot be watched is tried again with the next line. */
			if (log->watch.fd < 0)
				loop_watch(log->loop, &log->watch, log->fd, LOOP_WRITE);
			return;
		} else {
			warn(log, strerror(written < 0 ? errno : EIO));
			drop_whole_lines(log);
			break;
		}
	}
	if (log->begin == log->end)
		log->begin = log->end = 0;
}

static void on_room(struct watch *watch, unsigned events)
{
	struct access_log *log = container_of(watch, struct access_log, watch);

	(void)events;
	loop_unwatch(log->loop, watch);
	flush(log);
}

static bool append_line(struct access_log *log, const struct access_record *record)
{
	size_t len = access_line_compose(
	    log->bytes + log->end, BUFFER_SIZE - log->end, log->format, record, &log->time);

	log->end += len;
	return len > 0;
}

static void write_unless_blocked(struct access_log *log)
{
	if (log->watch.fd < 0)
		flush(log);
}

static void on_end_of_turn(struct loop_task *task)
{
	struct access_log *log = container_of(task, struct access_log, task);

	write_unless_blocked(log);
}

static void make_room(struct access_log *log)
{
	write_unless_blocked(log);
	if (log->begin == 0)
		return;
	memmove(log->bytes, log->bytes + log->begin, log->end - log->begin);
	log->end -= log->begin;
	log->begin = 0;
}

void access_log_write(struct access_log *log, const struct access_record *record)
{
	if (log->fd < 0)
		return;
	update_time(log);
	if (!append_line(log, record)) {
		make_room(log);
		if (!append_line(log, record)) {
			log->dropped++;
			warn(log, "its reader is too slow");
			return;
		}
	}
	loop_at_end_of_turn(log->loop, &log->task);
}

bool access_log_is_on(const struct access_log *log)
{
	return log->fd >= 0;
}

uint64_t access_log_dropped(const struct access_log *log)
{
	return log->dropped;
}

static int open_target(struct target *target, const char *path)
{
	struct stat status;

	*target = (struct target){.fd = -1, .write_max = BUFFER_SIZE};
	if (strcmp(path, "off") == 0)
		return 0;
	if (strcmp(path, "stdout") != 0) {
		target->fd = open(
		    path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0640);
		return target->fd < 0 ? -errno : 0;
	}
	if (fstat(STDOUT_FILENO, &status) < 0)
		return -errno;
	target->fd = STDOUT_FILENO;
	target->is_shared = !S_ISREG(status.st_mode);
	/* A pipe that poll(2) calls writable takes this much without blocking; so do terminals and
	 * stream sockets. */
	if (target->is_shared)
		target->write_max = PIPE_BUF;
	return 0;
}

static void close_target(struct access_log *log)
{
	loop_unwatch(log->loop, &log->watch);
	if (log->fd >= 0 && log->fd != STDOUT_FILENO)
		close(log->fd);
	log->fd = -1;
}

/* Goes on in another place. Lines that the old one does not take now go to the new one, except the
 * rest of a line that has begun in the old one. */
static void change_target(struct access_log *log, const struct target *target)
{
	flush(log);
	if (log->is_mid_line) {
		log->begin = find_next_line(log);
		log->is_mid_line = false;
		log->dropped++;
	}
	if (target->fd < 0)
		drop_lines(log, log->begin);
	close_target(log);
	log->fd = target->fd;
	log->is_shared = target->is_shared;
	log->write_max = target->write_max;
}

int access_log_reopen(struct access_log *log)
{
	struct target target;
	int error = open_target(&target, log->path);

	if (error == 0)
		change_target(log, &target);
	return error;
}

int access_log_prepare(struct access_log *log, const struct access_log_options *options)
{
	struct prepared *prepared = &log->prepared;

	*prepared = (struct prepared){{.fd = -1}, strdup(options->path), options->format};
	if (!prepared->path)
		return -ENOMEM;
	int error = open_target(&prepared->target, prepared->path);
	if (!error && prepared->target.fd >= 0 && !log->bytes) {
		log->bytes = malloc(BUFFER_SIZE);
		error = log->bytes ? 0 : -ENOMEM;
	}
	if (error)
		access_log_cancel(log);
	return error;
}

void access_log_commit(struct access_log *log)
{
	struct prepared *prepared = &log->prepared;

	change_target(log, &prepared->target);
	free(log->path);
	log->path = prepared->path;
	log->format = prepared->format;
	prepared->path = NULL;
}

void access_log_cancel(struct access_log *log)
{
	struct prepared *prepared = &log->prepared;

	if (!prepared->path)
		return;
	if (prepared->target.fd >= 0 && prepared->target.fd != STDOUT_FILENO)
		close(prepared->target.fd);
	free(prepared->path);
	prepared->path = NULL;
}

static void on_free(struct loop_task *task)
{
	struct access_log *log = container_of(task, struct access_log, free_task);

	free(log->bytes);
	free(log->path);
	free(log);
}

struct access_log *access_log_create(struct loop *loop, const struct access_log_options *options)
{
	struct access_log *log = calloc(1, sizeof(*log));
	int error;

	if (!log)
		return NULL;
	tzset();
	log->loop = loop;
	log->fd = -1;
	log->watch.fd = -1;
	log->watch.on_event = on_room;
	log->task.run = on_end_of_turn;
	log->free_task.run = on_free;
	error = access_log_prepare(log, options);
	if (error) {
		free(log->bytes);
		free(log);
		errno = -error;
		return NULL;
	}
	access_log_commit(log);
	return log;
}

void access_log_destroy(struct access_log *log)
{
	flush(log);
	close_target(log);
	log->begin = log->end = 0;
	loop_free_later(log->loop, &log->free_task);
}
