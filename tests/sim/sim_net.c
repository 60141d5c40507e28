#include "sim_net.h"

#include "dice.h"
#include "event/net.h"
#include "trace.h"

#include <errno.h>
#include <stdlib.h>

enum { DESCRIPTORS = 4096, FIRST_FD = 3, PIPE_BYTES = 64 * 1024, SMALL_PIPE_BYTES = 4096 };

enum kind { CLOSED, LISTENER, STREAM, PIPE };

struct pipe {
	char data[PIPE_BYTES];
	size_t begin, end;
	int readers, writers;
};

struct descriptor {
	enum kind kind;
	bool is_queued; /* among those that may be ready */
	bool is_read_end;
	struct channel *channel;
	struct pipe *pipe;
	struct watch *watch;
	/* Of a listener. */
	struct channel *first, **last;
	size_t waiting, backlog;
	bool is_ended;
};

struct net_world net_world;

static struct {
	struct descriptor table[DESCRIPTORS];
	int lowest_free, never_used; /* no descriptor from there on was ever open */
	size_t open;
	int queue[DESCRIPTORS]; /* may be ready, the longest waiting first; goes around */
	size_t first, queued;
	uint64_t progress;
	uint16_t port;
} net;

void net_open(struct dice *dice)
{
	net_world = (struct net_world){.dice = dice};
	memset(net.table, 0, sizeof(*net.table) * (size_t)net.never_used);
	net.lowest_free = FIRST_FD;
	net.never_used = 0;
	net.open = net.first = net.queued = 0;
	net.progress = 0;
	net.port = 1024;
}

void net_finish(void)
{
	for (int fd = FIRST_FD; fd < net.never_used; fd++)
		check("nothing is left", net.table[fd].kind == CLOSED, "descriptor %d is open", fd);
}

size_t net_open_count(void)
{
	return net.open;
}

uint64_t net_progress(void)
{
	return net.progress;
}

bool net_is_short(unsigned rate)
{
	if (!dice_chance(net_world.dice, rate))
		return false;
	net_world.shortages++;
	return true;
}

/* One of a list that ends with 0. */
static int any_of(const int *errors)
{
	unsigned count = 0;

	while (errors[count])
		count++;
	return -errors[dice_below(net_world.dice, count)];
}

/* ---- descriptors */

static struct descriptor *find(int fd, enum kind kind)
{
	check("descriptors are used while they are open", fd >= FIRST_FD && fd < DESCRIPTORS,
	    "descriptor %d", fd);
	check("descriptors are used while they are open", net.table[fd].kind == kind,
	    "descriptor %d is of kind %d", fd, (int)net.table[fd].kind);
	return &net.table[fd];
}

static int open_fd(struct descriptor **opened, enum kind kind)
{
	int fd = net.lowest_free;

	while (fd < DESCRIPTORS && net.table[fd].kind != CLOSED)
		fd++;
	check("descriptors are closed", fd < DESCRIPTORS, "all are open");
	net.lowest_free = fd + 1;
	if (fd >= net.never_used)
		net.never_used = fd + 1;
	*opened = &net.table[fd];
	**opened = (struct descriptor){.kind = kind, .is_queued = net.table[fd].is_queued};
	net.open++;
	net.progress++;
	return fd;
}

static void close_fd(int fd)
{
	struct descriptor *descriptor = &net.table[fd];

	check("a watch is stopped before its descriptor is closed", !descriptor->watch,
	    "descriptor %d", fd);
	descriptor->kind = CLOSED;
	if (fd < net.lowest_free)
		net.lowest_free = fd;
	net.open--;
	net.progress++;
}

bool net_is_open(int fd)
{
	return fd >= FIRST_FD && fd < DESCRIPTORS && net.table[fd].kind != CLOSED;
}

const struct channel *net_channel(int fd)
{
	return net_is_open(fd) && net.table[fd].kind == STREAM ? net.table[fd].channel : NULL;
}

/* ---- readiness */

static void queue_put(int fd)
{
	net.queue[(net.first + net.queued++) % DESCRIPTORS] = fd;
	net.table[fd].is_queued = true;
}

static int queue_take(void)
{
	int fd = net.queue[net.first];

	net.first = (net.first + 1) % DESCRIPTORS;
	net.queued--;
	net.table[fd].is_queued = false;
	return fd;
}

void net_touch_fd(int fd)
{
	struct descriptor *descriptor = &net.table[fd];

	net.progress++;
	if (descriptor->is_queued || !descriptor->watch)
		return;
	queue_put(fd);
}

void net_touch(struct channel *channel)
{
	if (channel->fd >= 0)
		net_touch_fd(channel->fd);
}

void net_set_watch(int fd, struct watch *watch)
{
	net.table[fd].watch = watch;
	if (watch)
		net_touch_fd(fd);
}

unsigned net_events(int fd)
{
	const struct descriptor *descriptor = &net.table[fd];

	switch (descriptor->kind) {
	case LISTENER:
		return descriptor->first ? LOOP_READ : 0;
	case STREAM:
		return channel_events(descriptor->channel);
	case CLOSED:
	case PIPE:
		break;
	}
	return 0;
}

/* What a watch is told: what it wants of what there is, and trouble whether it wants it or not, but then only once. */
static unsigned told(const struct descriptor *descriptor, unsigned there)
{
	const struct watch *watch = descriptor->watch;
	bool was_told = watch->registered != 0;

	if (watch->wanted == 0 && was_told)
		return 0;
	if (there & LOOP_BROKEN)
		there |= LOOP_READ;
	return there & (watch->wanted | LOOP_BROKEN);
}

static unsigned spurious(const struct descriptor *descriptor)
{
	if (descriptor->kind != STREAM || descriptor->channel->connecting ||
	    descriptor->channel->dead || !dice_chance(net_world.dice, net_world.faults.spurious))
		return 0;
	/* No kernel says that somebody has ended who has not. */
	return descriptor->watch->wanted & (unsigned)(LOOP_READ | LOOP_WRITE);
}

bool net_has_ready(void)
{
	while (net.queued > 0) {
		int fd = net.queue[net.first];
		const struct descriptor *descriptor = &net.table[fd];

		if (descriptor->kind != CLOSED && descriptor->watch &&
		    told(descriptor, net_events(fd)))
			return true;
		queue_take();
	}
	return false;
}

size_t net_gather(struct net_ready *ready, size_t room)
{
	size_t count = 0;

	for (size_t left = net.queued; left > 0 && count < room; left--) {
		int fd = queue_take();
		const struct descriptor *descriptor = &net.table[fd];
		unsigned events = 0;

		if (descriptor->kind != CLOSED && descriptor->watch)
			events = told(descriptor, net_events(fd)) | spurious(descriptor);
		if (events == 0)
			continue;
		if (descriptor->watch->wanted == 0)
			descriptor->watch->registered = 1;
		ready[count++] = (struct net_ready){descriptor->watch, events};
		queue_put(fd);
	}
	return count;
}

/* ---- listening and connecting */

int net_listen_virtually(size_t backlog)
{
	struct descriptor *descriptor;
	int fd = open_fd(&descriptor, LISTENER);

	descriptor->last = &descriptor->first;
	descriptor->backlog = backlog;
	return fd;
}

bool net_dial(int listener, struct channel *channel)
{
	struct descriptor *descriptor = &net.table[listener];

	if (descriptor->kind != LISTENER || descriptor->is_ended ||
	    descriptor->waiting >= descriptor->backlog)
		return false;
	channel->next = NULL;
	*descriptor->last = channel;
	descriptor->last = &channel->next;
	descriptor->waiting++;
	net_touch_fd(listener);
	return true;
}

static void fill_addr(struct net_addr *addr, uint32_t ip, uint16_t port)
{
	*addr = (struct net_addr){.len = sizeof(addr->v4)};
	addr->v4.sin_family = AF_INET;
	addr->v4.sin_addr.s_addr = htonl(ip);
	addr->v4.sin_port = htons(port);
}

int net_local_addr(int fd, struct net_addr *addr)
{
	check("descriptors are used while they are open", net_is_open(fd), "descriptor %d", fd);
	fill_addr(addr, INADDR_LOOPBACK, 8080);
	return 0;
}

static struct channel *take_waiting(struct descriptor *descriptor)
{
	struct channel *channel = descriptor->first;

	if (!channel)
		return NULL;
	descriptor->first = channel->next;
	if (!descriptor->first)
		descriptor->last = &descriptor->first;
	descriptor->waiting--;
	return channel;
}

int net_accept(int listener, struct net_addr *peer)
{
	static const int errors[] = {EMFILE, ENFILE, ENOBUFS, ENOMEM, 0};
	struct descriptor *descriptor = find(listener, LISTENER);
	struct channel *channel;

	if (net_is_short(net_world.faults.accept))
		return any_of(errors);
	channel = take_waiting(descriptor);
	if (!channel)
		return -EAGAIN;
	channel->fd = open_fd(&descriptor, STREAM);
	descriptor->channel = channel;
	channel->began_us = trace_now_us();
	fill_addr(peer, INADDR_LOOPBACK + dice_below(net_world.dice, 200), ++net.port);
	trace("rondo accepts a client as descriptor #", channel->fd, 0, 0);
	return channel->fd;
}

static struct channel *create_route(const struct net_route *route)
{
	struct channel *channel = channel_create(route->in_bytes, route->out_bytes);
	struct descriptor *descriptor;

	channel->to_backend = true;
	channel->server = route->server;
	channel->address = route->address;
	channel->latency_us = route->latency_us;
	channel->connecting = true;
	channel->began_us = trace_now_us();
	channel->connect_error = route->error_later;
	channel->fd = open_fd(&descriptor, STREAM);
	descriptor->channel = channel;
	return channel;
}

int net_connect(const struct net_addr *addr, bool *connecting)
{
	static const int errors[] = {EMFILE, ENFILE, ENOBUFS, ENOMEM, EADDRNOTAVAIL, 0};
	struct net_route route = {.server = -1};
	struct channel *channel;

	*connecting = false;
	if (net_is_short(net_world.faults.connect))
		return any_of(errors);
	net_world.route(ntohl(addr->v4.sin_addr.s_addr), &route);
	trace("rondo connects to backend # address # (error #)", route.server, route.address,
	    route.error_now ? route.error_now : route.error_later);
	if (route.error_now) {
		struct channel refused = {.server = route.server, .address = route.address};

		net_world.on_refused(&refused, -route.error_now);
		return route.error_now;
	}
	channel = create_route(&route);
	if (route.after_us == 0 && !route.error_later) {
		net_finish_connect(channel);
		channel->told_us = trace_now_us();
		return channel->fd;
	}
	*connecting = true;
	if (route.after_us != TIMER_NEVER)
		timer_arm(
		    channel_peers(), &channel->connect_timer, trace_now_us() + route.after_us);
	return channel->fd;
}

void net_finish_connect(struct channel *channel)
{
	if (channel->proxy_gone)
		return;
	channel->connecting = false;
	if (channel->connect_error)
		channel_break(channel, channel->connect_error);
	else
		net_world.on_connected(channel);
	net_touch(channel);
}

int net_connect_result(int fd)
{
	struct channel *channel = find(fd, STREAM)->channel;
	int error = channel->error;

	channel->error = 0;
	if (error)
		net_world.on_refused(channel, error);
	else if (!channel->connecting && channel->told_us == 0)
		channel->told_us = trace_now_us();
	return -error;
}

/* ---- bytes */

ssize_t net_read(int fd, void *data, size_t len)
{
	struct channel *channel = find(fd, STREAM)->channel;
	ssize_t got;

	if (net_is_short(net_world.faults.read))
		return -ENOMEM;
	got = channel_read(channel, data, len);
	net.progress += got != -EAGAIN;
	trace("descriptor # read: #", fd, got, 0);
	return got;
}

ssize_t net_write(int fd, const struct iovec *parts, int count)
{
	static const int errors[] = {ENOBUFS, ENOMEM, 0};
	struct channel *channel = find(fd, STREAM)->channel;
	ssize_t put;

	if (net_is_short(net_world.faults.write))
		return any_of(errors);
	put = channel_write(channel, parts, count);
	net.progress += put != -EAGAIN;
	net_world.unheard += channel->to_backend && channel->peer_gone && put > 0;
	trace("descriptor # written: #", fd, put, 0);
	return put;
}

size_t net_unsent(int fd)
{
	return channel_unsent(find(fd, STREAM)->channel);
}

bool net_is_quiet(int fd)
{
	return channel_peek(find(fd, STREAM)->channel) == -EAGAIN;
}

void net_shutdown_write(int fd)
{
	trace("descriptor # is shut down for writing", fd, 0, 0);
	channel_shutdown(find(fd, STREAM)->channel);
}

static void close_listener(struct descriptor *descriptor)
{
	struct channel *channel;

	while ((channel = take_waiting(descriptor)))
		channel_release(channel, true);
}

void net_close(int fd, bool reset)
{
	struct descriptor *descriptor;

	check("descriptors are used while they are open", net_is_open(fd),
	    "descriptor %d is closed", fd);
	trace("descriptor # is closed (reset: #)", fd, reset, 0);
	descriptor = &net.table[fd];
	if (descriptor->kind == LISTENER)
		close_listener(descriptor);
	close_fd(fd);
	if (descriptor->channel && descriptor->channel->connecting)
		net_world.on_refused(descriptor->channel, ETIMEDOUT);
	if (descriptor->channel)
		channel_release(descriptor->channel, reset);
}

/* ---- pipes */

int net_pipe_open(int ends[2])
{
	static const int errors[] = {EMFILE, ENFILE, 0};
	struct descriptor *descriptor;
	struct pipe *pipe;

	int bytes = PIPE_BYTES;

	if (net_is_short(net_world.faults.pipe)) {
		/* Beyond a limit the kernel gives none but small ones. */
		if (dice_chance(net_world.dice, 7000))
			return any_of(errors);
		bytes = SMALL_PIPE_BYTES;
	}
	pipe = malloc(sizeof(*pipe));
	if (!pipe)
		abort();
	pipe->begin = pipe->end = 0;
	for (int i = 0; i < 2; i++) {
		ends[i] = open_fd(&descriptor, PIPE);
		descriptor->pipe = pipe;
		descriptor->is_read_end = i == 0;
	}
	return bytes;
}

void net_pipe_close(int ends[2])
{
	struct pipe *pipe = find(ends[0], PIPE)->pipe;

	check("a pipe is closed as a whole", find(ends[1], PIPE)->pipe == pipe, "descriptor %d",
	    ends[1]);
	close_fd(ends[0]);
	close_fd(ends[1]);
	free(pipe);
	ends[0] = ends[1] = -1;
}

static ssize_t splice_in(struct channel *channel, struct pipe *pipe, size_t len)
{
	ssize_t got;

	if (pipe->begin == pipe->end)
		pipe->begin = pipe->end = 0;
	if (pipe->end == PIPE_BYTES)
		return -EAGAIN;
	if (len > PIPE_BYTES - pipe->end)
		len = PIPE_BYTES - pipe->end;
	got = channel_read(channel, pipe->data + pipe->end, len);
	if (got > 0)
		pipe->end += (size_t)got;
	return got;
}

static ssize_t splice_out(struct pipe *pipe, struct channel *channel, size_t len)
{
	size_t there = pipe->end - pipe->begin;
	struct iovec part = {pipe->data + pipe->begin, len < there ? len : there};
	ssize_t put;

	if (there == 0)
		return -EAGAIN;
	put = channel_write(channel, &part, 1);
	if (put > 0)
		pipe->begin += (size_t)put;
	return put;
}

ssize_t net_splice(int from, int to, size_t len)
{
	ssize_t moved;

	check("descriptors are used while they are open", net_is_open(from) && net_is_open(to),
	    "splice %d %d", from, to);
	if (net.table[to].kind == PIPE)
		moved = splice_in(find(from, STREAM)->channel, net.table[to].pipe, len);
	else
		moved = splice_out(find(from, PIPE)->pipe, find(to, STREAM)->channel, len);
	net.progress += moved != -EAGAIN;
	trace("descriptors # to # spliced: #", from, to, moved);
	return moved;
}

/* ---- what no floor under test uses, but the header promises */

int net_listen(const struct net_addr *addr, const struct net_listen_options *options)
{
	(void)addr;
	return net_listen_virtually((size_t)options->backlog);
}

int net_listen_instead(const struct net_addr *addr, const struct net_listen_options *options,
    const struct net_leaving *leaving)
{
	(void)leaving;
	return net_listen(addr, options);
}

int net_listen_inherited(int fd)
{
	return net_is_open(fd) ? 0 : -ENOTSOCK;
}

int net_listen_end(int fd, bool is_shared)
{
	(void)is_shared;
	find(fd, LISTENER)->is_ended = true;
	return 0;
}

struct net_file net_file_of(const struct net_addr *addr)
{
	(void)addr;
	return (struct net_file){0};
}

void net_remove_file(const struct net_addr *addr, const struct net_file *file)
{
	(void)addr;
	(void)file;
}

int net_share_port(int fd, bool on)
{
	(void)on;
	return net_is_open(fd) ? 0 : -ENOTSOCK;
}

int net_datagram_open(void)
{
	return -EAFNOSUPPORT;
}

int net_datagram_send(int fd, const struct net_addr *to, struct str data)
{
	(void)fd, (void)to, (void)data;
	return -EBADF;
}
