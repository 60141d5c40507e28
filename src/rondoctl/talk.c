#include "talk.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

enum { PATIENCE_S = 10 };

static int fail(int fd, char error[static TALK_ERROR_SIZE], const char *what, const char *path)
{
	snprintf(error, TALK_ERROR_SIZE, "%s %s: %s%s", what, path, strerror(errno),
	    errno == ENOENT || errno == ECONNREFUSED
		? " (is rondo running, with admin.socket set to this?)"
		: "");
	if (fd >= 0)
		close(fd);
	return -1;
}

static int open_socket(const char *path, char error[static TALK_ERROR_SIZE])
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	struct timeval patience = {.tv_sec = PATIENCE_S};

	if (strlen(path) >= sizeof(addr.sun_path)) {
		errno = ENAMETOOLONG;
		return fail(-1, error, "cannot connect to", path);
	}
	memcpy(addr.sun_path, path, strlen(path));
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return fail(fd, error, "cannot connect to", path);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	if (connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) < 0)
		return fail(fd, error, "cannot connect to", path);
	return fd;
}

static int send_line(int fd, const char *command)
{
	char line[4096];
	int len = snprintf(line, sizeof(line), "%s\n", command);

	if (len < 0 || (size_t)len >= sizeof(line)) {
		errno = EMSGSIZE;
		return -1;
	}
	for (int sent = 0; sent < len;) {
		ssize_t put = send(fd, line + sent, (size_t)(len - sent), MSG_NOSIGNAL);

		if (put < 0 && errno != EINTR)
			return -1;
		sent += put > 0 ? (int)put : 0;
	}
	return 0;
}

/* Everything up to the end of the stream; the caller frees it. */
static char *receive_all(int fd, size_t *len)
{
	char *text = NULL;
	FILE *out = open_memstream(&text, len);
	char part[16384];
	ssize_t got = 0;

	if (!out)
		return NULL;
	while ((got = recv(fd, part, sizeof(part), 0)) > 0 || (got < 0 && errno == EINTR))
		if (got > 0)
			fwrite(part, 1, (size_t)got, out);
	int error = got < 0 ? errno : 0;
	if (fclose(out) == 0 && error == 0)
		return text;
	free(text);
	errno = error ? error : ENOMEM;
	return NULL;
}

json_t *talk(const char *socket_path, const char *command, char error[static TALK_ERROR_SIZE])
{
	size_t len = 0;
	int fd = open_socket(socket_path, error);
	char *text = NULL;

	if (fd < 0)
		return NULL;
	if (send_line(fd, command) == 0)
		text = receive_all(fd, &len);
	if (!text) {
		fail(fd, error, "no answer from", socket_path);
		return NULL;
	}
	close(fd);
	json_t *answer = json_loadb(text, len, 0, NULL);
	free(text);
	if (!answer)
		snprintf(
		    error, TALK_ERROR_SIZE, "%s sent an answer that cannot be read", socket_path);
	return answer;
}
