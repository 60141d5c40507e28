#include "upgrade.h"

#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

enum { STACK_SIZE = 64 * 1024 };

/* ---- the new process, before it becomes the program */

/* Moves descriptors to the numbers that the program expects. */
static bool place(int *fds, int count)
{
	/* First move them to high numbers, so that none overwrites another. */
	for (int i = 0; i < count; i++) {
		fds[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, PASSED_FIRST_FD + count);
		if (fds[i] < 0)
			return false;
	}
	for (int i = 0; i < count; i++)
		if (dup2(fds[i], PASSED_FIRST_FD + i) < 0)
			return false;
	return true;
}

static bool set_number(const char *name, long long number)
{
	char text[32];

	snprintf(text, sizeof(text), "%lld", number);
	return setenv(name, text, 1) == 0;
}

/* The arguments for starting the new process. */
struct start {
	char *const *argv;
	int *fds;
	int count;
	char *names; /* names of the descriptors, joined by colons */
};

static int become(void *context)
{
	const struct start *start = context;
	const char *path = (const char *)getauxval(AT_EXECFN);
	bool good = place(start->fds, start->count) && set_number("LISTEN_PID", getpid()) &&
		    set_number("LISTEN_FDS", start->count) &&
		    setenv("LISTEN_FDNAMES", start->names, 1) == 0;

	if (good && getenv("WATCHDOG_PID"))
		good = set_number("WATCHDOG_PID", getpid());
	if (good)
		execv(path, start->argv);
	log_error("cannot start %s: %s", path, strerror(errno));
	_exit(EXIT_FAILURE);
}

/* The names, joined by colons; the caller frees them. */
static char *join_names(const struct socket_to_pass *sockets, size_t count)
{
	size_t size = sizeof(PASSED_UPGRADE_PIPE);

	for (size_t i = 0; i < count; i++)
		size += strlen(sockets[i].name) + 1;
	char *names = malloc(size);
	char *end = names;
	for (size_t i = 0; names && i < count; i++)
		end += sprintf(end, "%s:", sockets[i].name);
	if (names)
		memcpy(end, PASSED_UPGRADE_PIPE, sizeof(PASSED_UPGRADE_PIPE));
	return names;
}

/*
 * Starts the process; returns its pid or a negative errno. Its parent is the parent of this
 * process, since systemd fully supervises only its own children.
 */
static pid_t run(struct start *start)
{
	_Alignas(16) char stack[STACK_SIZE];
	pid_t pid = clone(become, stack + sizeof(stack), CLONE_PARENT | SIGCHLD, start);
	return pid < 0 ? -errno : pid;
}

static pid_t spawn(
    char *const *argv, const struct socket_to_pass *sockets, size_t count, int pipe_end)
{
	struct start start = {.argv = argv, .count = (int)count + 1};

	start.names = join_names(sockets, count);
	start.fds = calloc(count + 1, sizeof(int));
	pid_t pid = -ENOMEM;
	if (start.names && start.fds) {
		for (size_t i = 0; i < count; i++)
			start.fds[i] = sockets[i].fd;
		start.fds[count] = pipe_end;
		pid = run(&start);
	}
	free(start.names);
	free(start.fds);
	return pid;
}

/* ---- the old process */

static void close_pipe(struct upgrade *upgrade)
{
	int fd = upgrade->watch.fd;

	if (fd < 0)
		return;
	timer_remove(loop_timers(upgrade->loop), &upgrade->timer);
	loop_unwatch(upgrade->loop, &upgrade->watch);
	close(fd);
}

/* Ends the successor that is being started. Its end of the pipe is open, so it is alive, and the
 * pid is not reused. */
static void end_successor(struct upgrade *upgrade)
{
	kill(upgrade->successor, SIGKILL);
	upgrade->successor = 0;
	close_pipe(upgrade);
}

static void on_byte(struct watch *watch, unsigned events)
{
	struct upgrade *upgrade = container_of(watch, struct upgrade, watch);
	pid_t pid = upgrade->successor;
	char byte;

	(void)events;
	ssize_t got = read(watch->fd, &byte, 1);
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (got != 1) {
		upgrade->successor = 0;
		close_pipe(upgrade);
		log_error("the successor ended before it was ready: this process goes on");
		return;
	}
	upgrade->successor = 0;
	upgrade->on_ready(upgrade, pid);
	close_pipe(upgrade);
}

static void on_due(struct timer *timer)
{
	end_successor(container_of(timer, struct upgrade, timer));
	log_error("the successor was not ready within %d s: this process goes on", UPGRADE_LIMIT_S);
}

/* ---- both */

void upgrade_init(struct upgrade *upgrade, struct loop *loop)
{
	*upgrade = (struct upgrade){.loop = loop, .watch = {.fd = -1}};
	timer_init(&upgrade->timer, on_due);
}

static bool refuse(int error)
{
	log_error("cannot start a successor: %s", strerror(-error));
	return false;
}

bool upgrade_start(
    struct upgrade *upgrade, char *const *argv, const struct socket_to_pass *sockets, size_t count)
{
	int ends[2];

	if (upgrade->watch.fd >= 0) {
		log_warning("a successor is starting already");
		return false;
	}
	if (getpid() == 1) {
		log_warning("no successor: this is the first process of a container, which would "
			    "end with it");
		return false;
	}
	int error = net_pipe_open(ends);
	if (error < 0)
		return refuse(error);
	pid_t pid = spawn(argv, sockets, count, ends[1]);
	close(ends[1]);
	if (pid < 0) {
		close(ends[0]);
		return refuse(pid);
	}
	upgrade->successor = pid;
	upgrade->watch.on_event = on_byte;
	error = loop_watch(upgrade->loop, &upgrade->watch, ends[0], LOOP_READ);
	if (error) {
		end_successor(upgrade);
		close(ends[0]);
		return refuse(error);
	}
	timer_arm(loop_timers(upgrade->loop), &upgrade->timer,
	    loop_now_us(upgrade->loop) + UPGRADE_LIMIT_S * INT64_C(1000000));
	return true;
}

pid_t upgrade_take_ready(struct upgrade *upgrade)
{
	pid_t pid = upgrade->successor;
	char byte;

	if (pid <= 0 || read(upgrade->watch.fd, &byte, 1) != 1)
		return 0;
	upgrade->successor = 0;
	return pid;
}

void upgrade_finish(struct upgrade *upgrade)
{
	if (upgrade->successor > 0) {
		end_successor(upgrade);
		log_info("the successor was stopped before it was ready");
	}
	close_pipe(upgrade);
}

/* ---- the new process */

static void on_break(struct watch *watch, unsigned events)
{
	struct upgrade *upgrade = container_of(watch, struct upgrade, watch);

	(void)events;
	close_pipe(upgrade);
	upgrade->on_released(upgrade);
}

void upgrade_say_ready(struct upgrade *upgrade, int fd)
{
	upgrade->watch.on_event = on_break;
	/* Only the end of the pipe matters. */
	if (write(fd, "\n", 1) != 1 || loop_watch(upgrade->loop, &upgrade->watch, fd, 0) < 0) {
		close(fd);
		upgrade->on_released(upgrade);
	}
}
