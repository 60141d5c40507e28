#include "passed_sockets.h"

#include "base/log.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { DESCRIPTORS_MAX = 1024 };

/* How many descriptors are meant for this process. */
static size_t count_descriptors(void)
{
	uint64_t count, pid;

	if (!str_to_number(str_from(getenv("LISTEN_PID")), &pid) || pid != (uint64_t)getpid())
		return 0;
	if (!str_to_number(str_from(getenv("LISTEN_FDS")), &count))
		return 0;
	return count <= DESCRIPTORS_MAX ? (size_t)count : DESCRIPTORS_MAX;
}

/* Adds one descriptor, or closes what is of no use. */
static void add(struct inheritance *inheritance, int fd, const char *name)
{
	char text[NET_ADDR_TEXT_SIZE];
	struct inherited item = {.fd = fd, .name = name};

	if (strcmp(name, INHERITANCE_HANDOVER) == 0) {
		inheritance->handover_fd = fd;
		fcntl(fd, F_SETFD, FD_CLOEXEC);
		return;
	}
	int error = net_listen_inherited(fd);
	if (!error)
		error = net_local_addr(fd, &item.addr);
	if (error) {
		log_warning("descriptor %d (%s) that was passed to this process is no listening "
			    "socket and is not used: %s",
		    fd, name, strerror(-error));
		close(fd);
		return;
	}
	log_debug("inherited %s (%s)", net_addr_format(&item.addr, text), name);
	inheritance->items[inheritance->count++] = item;
}

void inheritance_collect(struct inheritance *inheritance)
{
	size_t count = count_descriptors();
	const char *names = getenv("LISTEN_FDNAMES");

	*inheritance = (struct inheritance){.handover_fd = -1};
	if (count > 0) {
		inheritance->items = calloc(count, sizeof(*inheritance->items));
		inheritance->names = strdup(names ? names : "");
	}
	char *rest = inheritance->names;
	for (size_t i = 0; inheritance->items && i < count; i++)
		add(inheritance, INHERITANCE_FIRST_FD + (int)i, rest ? strsep(&rest, ":") : "");
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
}

static int take(struct inherited *item)
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

int inheritance_take_own(struct inheritance *inheritance, const struct net_addr *addr)
{
	for (size_t i = 0; i < inheritance->count; i++) {
		struct inherited *item = &inheritance->items[i];

		if (item->fd >= 0 && strcmp(item->name, INHERITANCE_OWN) == 0 &&
		    is_for(&item->addr, addr))
			return take(item);
	}
	return -1;
}

int inheritance_take_named(struct inheritance *inheritance, const char *name)
{
	for (size_t i = 0; i < inheritance->count; i++) {
		struct inherited *item = &inheritance->items[i];

		if (item->fd >= 0 && strcmp(item->name, name) == 0)
			return take(item);
	}
	return -1;
}

void inheritance_close_rest(struct inheritance *inheritance)
{
	char text[NET_ADDR_TEXT_SIZE];

	for (size_t i = 0; i < inheritance->count; i++) {
		struct inherited *item = &inheritance->items[i];

		if (item->fd < 0)
			continue;
		log_info("the inherited socket %s (%s) is not needed",
		    net_addr_format(&item->addr, text), item->name);
		net_close(take(item), false);
	}
}

void inheritance_finish(struct inheritance *inheritance)
{
	inheritance_close_rest(inheritance);
	free(inheritance->items);
	free(inheritance->names);
	*inheritance = (struct inheritance){.handover_fd = -1};
}
