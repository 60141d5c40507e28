#include "passed_sockets.h"

#include "base/log.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

enum { PASSED_MAX = 1024 };

/* The number of descriptors for this process. */
static size_t count_descriptors(void)
{
	uint64_t count, pid;

	if (!str_to_number(str_from(getenv("LISTEN_PID")), &pid) || pid != (uint64_t)getpid())
		return 0;
	if (!str_to_number(str_from(getenv("LISTEN_FDS")), &count))
		return 0;
	return count <= PASSED_MAX ? (size_t)count : PASSED_MAX;
}

/* Adds a descriptor, or closes it when it is not a listening socket. */
static void add(struct passed_sockets *passed, int fd, const char *name)
{
	char text[NET_ADDR_TEXT_SIZE];
	struct passed_socket item = {.fd = fd, .name = name};

	if (strcmp(name, PASSED_UPGRADE_PIPE) == 0) {
		passed->upgrade_fd = fd;
		fcntl(fd, F_SETFD, FD_CLOEXEC);
		return;
	}
	int error = net_listen_inherited(fd);
	if (!error)
		error = net_local_addr(fd, &item.addr);
	if (error) {
		log_warning("descriptor %d (%s) that was passed to this process is not a listening "
			    "socket and is not used: %s",
		    fd, name, strerror(-error));
		close(fd);
		return;
	}
	log_debug("inherited %s (%s)", net_addr_format(&item.addr, text), name);
	passed->items[passed->count++] = item;
}

void passed_sockets_collect(struct passed_sockets *passed)
{
	size_t count = count_descriptors();
	const char *names = getenv("LISTEN_FDNAMES");

	*passed = (struct passed_sockets){.upgrade_fd = -1};
	if (count > 0) {
		passed->items = calloc(count, sizeof(*passed->items));
		passed->names = strdup(names ? names : "");
	}
	char *rest = passed->names;
	for (size_t i = 0; passed->items && i < count; i++)
		add(passed, PASSED_FIRST_FD + (int)i, rest ? strsep(&rest, ":") : "");
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
}

static int take(struct passed_socket *item)
{
	int fd = item->fd;

	item->fd = -1;
	return fd;
}

/* Was `bound` opened for `configured`? */
static bool is_for(const struct net_addr *bound, const struct net_addr *configured)
{
	struct net_addr wanted = *configured;

	if (wanted.any.sa_family == AF_INET && wanted.v4.sin_port == 0)
		wanted.v4.sin_port = bound->v4.sin_port;
	if (wanted.any.sa_family == AF_INET6 && wanted.v6.sin6_port == 0)
		wanted.v6.sin6_port = bound->v6.sin6_port;
	return net_addr_equals(bound, &wanted);
}

int passed_sockets_take_own(struct passed_sockets *passed, const struct net_addr *addr)
{
	for (size_t i = 0; i < passed->count; i++) {
		struct passed_socket *item = &passed->items[i];

		if (item->fd >= 0 && strcmp(item->name, PASSED_OWN) == 0 &&
		    is_for(&item->addr, addr))
			return take(item);
	}
	return -1;
}

int passed_sockets_take_named(struct passed_sockets *passed, const char *name)
{
	for (size_t i = 0; i < passed->count; i++) {
		struct passed_socket *item = &passed->items[i];

		if (item->fd >= 0 && strcmp(item->name, name) == 0)
			return take(item);
	}
	return -1;
}

void passed_sockets_close_rest(struct passed_sockets *passed)
{
	char text[NET_ADDR_TEXT_SIZE];

	for (size_t i = 0; i < passed->count; i++) {
		struct passed_socket *item = &passed->items[i];

		if (item->fd < 0)
			continue;
		log_info("the inherited socket %s (%s) is not needed",
		    net_addr_format(&item->addr, text), item->name);
		net_close(take(item), false);
	}
}

void passed_sockets_finish(struct passed_sockets *passed)
{
	passed_sockets_close_rest(passed);
	free(passed->items);
	free(passed->names);
	*passed = (struct passed_sockets){.upgrade_fd = -1};
}
