/*
 * rondoctl - talks to a running rondo over its admin socket: status, top, why, drain, undrain,
 * weight, reload, logs.
 *
 * Exit status: 0 done, 1 refused or no answer, 2 bad usage. rondoctl(1) is the manual.
 */
#include "answer.h"
#include "show.h"
#include "talk.h"
#include "top.h"

#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { REFUSED = 1, BAD_USAGE = 2, SOCKET_PATH_SIZE = 1024 };

static const char usage[] =
    "Usage: rondoctl [-s SOCKET] COMMAND\n"
    "\n"
    "  status [--json]    the state of everything\n"
    "  top                the same, live\n"
    "  why NAME           shows why a backend is in its state\n"
    "  drain NAME         gives a backend no more requests\n"
    "  undrain NAME       gives it requests again\n"
    "  weight NAME N      gives it another weight; \"default\" is that of the configuration\n"
    "  reload             reads the configuration again, and shows the changes\n"
    "    --or-signal PID  where there is no admin socket, sends HUP to this process\n"
    "  logs               opens the log files again\n"
    "\n"
    "  -s SOCKET          $RONDO_SOCKET, $RUNTIME_DIRECTORY/admin.sock, or\n"
    "                     " RONDO_SOCKET "\n"
    "  -V, -h             show the version, show this\n"
    "\n"
    "Changes by drain and weight last until they are undone or rondo ends. See rondoctl(1).\n";

static bool wants_colour(void)
{
	const char *no_colour = getenv("NO_COLOR");

	return isatty(STDOUT_FILENO) && !(no_colour && no_colour[0]);
}

static void show_json(const json_t *value)
{
	json_dumpf(value, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(16));
	fputc('\n', stdout);
}

static void show_lines(const json_t *answer)
{
	size_t i;
	json_t *line;

	json_array_foreach (answer_at(answer, "lines"), i, line) {
		fputs("  ", stdout);
		show_clean(stdout, json_string_value(line));
		fputc('\n', stdout);
	}
}

/* The words of a command are joined to one line without quoting: names have no line feeds. */
static int run(const char *socket_path, char **words, int count, bool as_json)
{
	char command[2048] = "", error[TALK_ERROR_SIZE];
	size_t len = 0;

	for (int i = 0; i < count; i++) {
		int added =
		    snprintf(command + len, sizeof(command) - len, "%s%s", i ? " " : "", words[i]);
		if (added < 0 || (size_t)added >= sizeof(command) - len || strchr(words[i], '\n')) {
			fputs("rondoctl: the command is too long\n", stderr);
			return BAD_USAGE;
		}
		len += (size_t)added;
	}
	json_t *answer = talk(socket_path, command, error);
	if (!answer) {
		fprintf(stderr, "rondoctl: %s\n", error);
		return REFUSED;
	}
	bool good = json_is_true(answer_at(answer, "ok"));
	if (good && as_json)
		show_json(answer_at(answer, "status") ? answer_at(answer, "status") : answer);
	else if (good && answer_at(answer, "status"))
		show_status(answer, wants_colour(), stdout);
	else if (good && answer_at(answer, "backend"))
		show_why(answer, wants_colour(), stdout);
	else
		fprintf(good ? stdout : stderr, "%s%s\n",
		    good ? "" : "rondoctl: ", answer_text(answer, "text"));
	show_lines(answer);
	json_decref(answer);
	return good ? EXIT_SUCCESS : REFUSED;
}

static bool is_listening(const char *socket_path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	size_t len = strlen(socket_path);

	if (len >= sizeof(addr.sun_path))
		return false;
	memcpy(addr.sun_path, socket_path, len);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool good = fd >= 0 && connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) == 0;
	if (fd >= 0)
		close(fd);
	return good;
}

/* Asks for a reload by a signal, which nobody answers. */
static int signal_reload(const char *process)
{
	char *end;
	long pid = strtol(process, &end, 10);

	if (pid <= 0 || *end) {
		fprintf(stderr, "rondoctl: %s is not a process id\n", process);
		return BAD_USAGE;
	}
	if (kill((pid_t)pid, SIGHUP) < 0) {
		perror("rondoctl: cannot signal the process");
		return REFUSED;
	}
	printf("there is no admin socket: process %ld was sent a signal\n", pid);
	return EXIT_SUCCESS;
}

/* The socket of the service that this is run for by systemd, or the usual one. */
static const char *find_socket(char path[static SOCKET_PATH_SIZE])
{
	const char *given = getenv("RONDO_SOCKET");
	const char *directory = getenv("RUNTIME_DIRECTORY");

	if (given && given[0])
		return given;
	if (!directory || !directory[0])
		return RONDO_SOCKET;
	snprintf(
	    path, SOCKET_PATH_SIZE, "%.*s/admin.sock", (int)strcspn(directory, ":"), directory);
	return path;
}

/* The number of words of a command, itself included; 0 when there is no such command. */
static int words_of(const char *command)
{
	static const struct {
		const char *name;
		int words;
	} commands[] = {{"status", 1}, {"top", 1}, {"why", 2}, {"drain", 2}, {"undrain", 2},
	    {"weight", 3}, {"reload", 1}, {"logs", 1}};

	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (strcmp(commands[i].name, command) == 0)
			return commands[i].words;
	return 0;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {{"socket", required_argument, NULL, 's'},
	    {"json", no_argument, NULL, 'j'}, {"or-signal", required_argument, NULL, 'S'},
	    {"version", no_argument, NULL, 'V'}, {"help", no_argument, NULL, 'h'},
	    {NULL, 0, NULL, 0}};
	char path[SOCKET_PATH_SIZE];
	const char *socket_path = find_socket(path);
	const char *process = NULL; /* to be sent a signal where nobody listens */
	bool as_json = false;
	int option;

	while ((option = getopt_long(argc, argv, "s:Vh", options, NULL)) != -1) {
		switch (option) {
		case 's':
			socket_path = optarg;
			break;
		case 'j':
			as_json = true;
			break;
		case 'S':
			process = optarg;
			break;
		case 'V':
			printf("rondoctl " RONDO_VERSION "\n");
			return EXIT_SUCCESS;
		case 'h':
			fputs(usage, stdout);
			return EXIT_SUCCESS;
		default:
			return BAD_USAGE;
		}
	}
	int count = argc - optind;
	if (count == 0 || words_of(argv[optind]) != count) {
		fputs(usage, stderr);
		return BAD_USAGE;
	}
	if (process && strcmp(argv[optind], "reload") == 0 && !is_listening(socket_path))
		return signal_reload(process);
	if (strcmp(argv[optind], "top") == 0)
		return top(socket_path, wants_colour()) ? EXIT_SUCCESS : REFUSED;
	return run(socket_path, argv + optind, count, as_json);
}
