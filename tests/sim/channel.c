#include "channel.h"

#include "dice.h"
#include "sim_net.h"
#include "trace.h"

#include <errno.h>
#include <stdlib.h>

static struct {
	struct dice *dice;
	struct timers peers;
	struct channel *free;
	char **blocks; /* free storage of queues */
	size_t block_count, block_room;
	size_t open;
	unsigned short_chance;
} all;

struct timers *channel_peers(void)
{
	return &all.peers;
}

void channels_open(struct dice *dice)
{
	all.dice = dice;
	all.open = 0;
	all.short_chance = 0;
	timers_init(&all.peers);
}

size_t channels_open_count(void)
{
	return all.open;
}

void channels_close(void)
{
	check("nothing is left", all.peers.count == 0, "%zu timers of peers", all.peers.count);
	timers_finish(&all.peers);
}

void channels_set_short(unsigned chance)
{
	all.short_chance = chance;
}

/* ---- queues */

static void queue_reserve(struct byte_queue *queue)
{
	if (queue->data)
		return;
	queue->data = all.block_count > 0 ? all.blocks[--all.block_count] : malloc(QUEUE_BYTES);
	if (!queue->data)
		abort();
}

static void queue_drop(struct byte_queue *queue)
{
	queue->begin = queue->end = 0;
	if (!queue->data)
		return;
	if (all.block_count == all.block_room) {
		all.block_room = all.block_room ? all.block_room * 2 : 64;
		all.blocks = realloc(all.blocks, all.block_room * sizeof(*all.blocks));
		if (!all.blocks)
			abort();
	}
	all.blocks[all.block_count++] = queue->data;
	queue->data = NULL;
}

static size_t queue_len(const struct byte_queue *queue)
{
	return queue->end - queue->begin;
}

static size_t queue_room(const struct byte_queue *queue)
{
	return queue->capacity - queue_len(queue);
}

static size_t queue_put(struct byte_queue *queue, struct str bytes)
{
	size_t n = bytes.len < queue_room(queue) ? bytes.len : queue_room(queue);

	if (n == 0)
		return 0;
	queue_reserve(queue);
	if (queue->end + n > QUEUE_BYTES) {
		memmove(queue->data, queue->data + queue->begin, queue_len(queue));
		queue->end -= queue->begin;
		queue->begin = 0;
	}
	memcpy(queue->data + queue->end, bytes.data, n);
	queue->end += n;
	return n;
}

static void queue_take(struct byte_queue *queue, size_t len)
{
	queue->begin += len;
	if (queue->begin == queue->end)
		queue_drop(queue);
}

/* ---- life */

static void on_connect_due(struct timer *timer)
{
	net_finish_connect(container_of(timer, struct channel, connect_timer));
}

struct channel *channel_create(size_t in_bytes, size_t out_bytes)
{
	struct channel *channel = all.free;

	if (channel)
		all.free = channel->next;
	else
		channel = malloc(sizeof(*channel));
	if (!channel)
		abort();
	*channel = (struct channel){.fd = -1, .in.capacity = in_bytes, .out.capacity = out_bytes};
	timer_init(&channel->connect_timer, on_connect_due);
	all.open++;
	return channel;
}

static void free_if_forgotten(struct channel *channel)
{
	if (!channel->proxy_gone || channel->peer)
		return;
	queue_drop(&channel->in);
	queue_drop(&channel->out);
	timer_remove(&all.peers, &channel->connect_timer);
	channel->next = all.free;
	all.free = channel;
	all.open--;
}

void channel_join(struct channel *channel, struct peer *peer)
{
	channel->peer = peer;
	peer->channel = channel;
}

static void wake(struct channel *channel)
{
	if (channel->peer)
		peer_wake(channel->peer, trace_now_us() + channel->latency_us);
}

/* How far the next read or write gets. */
static size_t cut_short(size_t len)
{
	return len > 1 && dice_chance(all.dice, all.short_chance)
		   ? 1 + (size_t)dice_skewed(all.dice, 0, (int64_t)len - 1)
		   : len;
}

/* Of what is on its way, the peer may have got all, some or nothing when a reset comes. */
static void lose_some(struct byte_queue *queue)
{
	size_t kept = 0;

	switch (dice_below(all.dice, 3)) {
	case 0:
		break;
	case 1:
		kept = queue_len(queue);
		break;
	default:
		kept = queue_len(queue) > 0 ? dice_below(all.dice, (unsigned)queue_len(queue)) : 0;
		break;
	}
	if (kept == 0)
		queue_drop(queue);
	else
		queue->end = queue->begin + kept;
}

void channel_break(struct channel *channel, int error)
{
	if (channel->dead || channel->proxy_gone)
		return;
	if (!channel->in_ended)
		lose_some(&channel->in);
	queue_drop(&channel->out);
	channel->dead = true;
	channel->error = error;
	net_touch(channel);
}

/* ---- rondo's end */

unsigned channel_events(const struct channel *channel)
{
	const struct byte_queue *out = &channel->out;
	unsigned events = 0;

	if (channel->connecting)
		return 0;
	if (channel->in.data || channel->in_ended || channel->dead)
		events |= LOOP_READ;
	if (channel->in_ended || channel->dead)
		events |= LOOP_END;
	if (channel->dead || channel->out_ended || queue_room(out) * 3 >= out->capacity)
		events |= LOOP_WRITE;
	if (channel->dead || (channel->in_ended && channel->out_ended))
		events |= LOOP_BROKEN;
	return events;
}

size_t channel_unsent(const struct channel *channel)
{
	return queue_len(&channel->out);
}

static int collect_error(struct channel *channel)
{
	int error = channel->error;

	channel->error = 0;
	return error;
}

ssize_t channel_peek(const struct channel *channel)
{
	if (channel->in.data)
		return 1;
	if (channel->error && !channel->in_ended)
		return -channel->error;
	return channel->in_ended || channel->dead ? 0 : -EAGAIN;
}

ssize_t channel_read(struct channel *channel, char *data, size_t len)
{
	struct byte_queue *in = &channel->in;

	if (!in->data && channel->error && !channel->in_ended)
		return -collect_error(channel);
	if (!in->data)
		return channel->in_ended || channel->dead ? 0 : -EAGAIN;
	if (len > queue_len(in))
		len = queue_len(in);
	len = cut_short(len);
	memcpy(data, in->data + in->begin, len);
	queue_take(in, len);
	channel->read += len;
	channel->read_us = trace_now_us();
	if (channel->peer && channel->peer->on_read)
		channel->peer->on_read(channel->peer);
	if (channel->peer_is_full)
		wake(channel);
	channel->peer_is_full = false;
	return (ssize_t)len;
}

/* The peer is gone: the bytes leave, and a reset comes back for them. */
static ssize_t write_to_nobody(struct channel *channel, size_t len)
{
	/* As Linux tells who had ended before from who had not. */
	channel_break(channel, channel->in_ended ? EPIPE : ECONNRESET);
	return (ssize_t)len;
}

int64_t channel_blocked_us(const struct channel *channel)
{
	int64_t more_us = trace_now_us() - channel->blocked_since_us - TURN_US;

	return channel->blocked_us + (channel->is_blocked && more_us > 0 ? more_us : 0);
}

/* Is there room for all that is to be written? */
static void note_room(struct channel *channel, size_t total)
{
	bool fits = total <= queue_room(&channel->out);

	if (channel->is_blocked && queue_room(&channel->out) > 0) {
		channel->blocked_us = channel_blocked_us(channel);
		channel->is_blocked = false;
	}
	if (!fits && !channel->is_blocked) {
		channel->blocked_since_us = trace_now_us();
		channel->is_blocked = true;
	}
}

ssize_t channel_write(struct channel *channel, const struct iovec *parts, int count)
{
	size_t total = 0, wanted, left;

	if (channel->error)
		return -collect_error(channel);
	if (channel->dead || channel->out_ended)
		return -EPIPE;
	for (int i = 0; i < count; i++)
		total += parts[i].iov_len;
	if (channel->peer_gone && total > 0)
		return write_to_nobody(channel, total);
	note_room(channel, total);
	wanted = total;
	if (total > queue_room(&channel->out))
		total = queue_room(&channel->out);
	total = cut_short(total);
	channel->partials += total < wanted;
	if (total == 0 && wanted > 0)
		return -EAGAIN;
	left = total;
	for (int i = 0; i < count && left > 0; i++) {
		size_t n = parts[i].iov_len < left ? parts[i].iov_len : left;
		struct str bytes = {parts[i].iov_base, n};

		queue_put(&channel->out, bytes);
		left -= n;
		channel->written += n;
		channel->written_us = trace_now_us();
		if (channel->peer && channel->peer->on_written)
			channel->peer->on_written(channel->peer, bytes);
	}
	wake(channel);
	return (ssize_t)total;
}

void channel_shutdown(struct channel *channel)
{
	if (channel->dead || channel->out_ended)
		return;
	channel->out_ended = true;
	net_touch(channel);
	wake(channel);
}

void channel_release(struct channel *channel, bool reset)
{
	/* Who closes without having read all resets. */
	reset |= channel->in.data != NULL || channel->error != 0;
	channel->fd = -1;
	channel->proxy_gone = true;
	if (channel->peer && channel->peer->on_closed)
		channel->peer->on_closed(channel->peer, reset);
	if (reset && !channel->dead) {
		lose_some(&channel->out);
		channel->peer_is_reset = true;
	}
	channel->out_ended = true;
	queue_drop(&channel->in);
	wake(channel);
	free_if_forgotten(channel);
}

/* ---- the peer's end */

static void on_peer_due(struct timer *timer)
{
	struct peer *peer = container_of(timer, struct peer, timer);

	peer->on_wake(peer);
}

void peer_init(struct peer *peer, void (*on_wake)(struct peer *peer))
{
	*peer = (struct peer){.on_wake = on_wake};
	timer_init(&peer->timer, on_peer_due);
}

void peer_wake(struct peer *peer, int64_t when_us)
{
	if (when_us < peer->timer.due_us)
		timer_arm(&all.peers, &peer->timer, when_us);
}

static void let_go(struct peer *peer)
{
	struct channel *channel = peer->channel;

	peer->channel = NULL;
	channel->peer = NULL;
	free_if_forgotten(channel);
}

size_t peer_send(struct peer *peer, struct str bytes)
{
	struct channel *channel = peer->channel;
	size_t n;

	if (channel->proxy_gone || channel->dead) {
		/* A reset answers it, and may destroy what was not read yet. */
		if (!channel->peer_is_reset && bytes.len > 0) {
			channel->peer_is_reset = true;
			lose_some(&channel->out);
			wake(channel);
		}
		return bytes.len;
	}
	n = queue_put(&channel->in, bytes);
	channel->peer_is_full = n < bytes.len;
	if (n > 0)
		net_touch(channel);
	return n;
}

struct str peer_content(const struct peer *peer)
{
	const struct byte_queue *out = &peer->channel->out;

	return (struct str){out->data ? out->data + out->begin : NULL, queue_len(out)};
}

void peer_take(struct peer *peer, size_t len)
{
	struct channel *channel = peer->channel;

	if (len == 0)
		return;
	queue_take(&channel->out, len);
	if (!channel->proxy_gone)
		net_touch(channel);
}

bool peer_is_at_end(const struct peer *peer)
{
	return peer->channel->out_ended && !peer->channel->out.data;
}

bool peer_is_reset(const struct peer *peer)
{
	return peer->channel->peer_is_reset && !peer->channel->out.data;
}

void peer_end(struct peer *peer)
{
	struct channel *channel = peer->channel;

	channel->in_ended = true;
	if (!channel->proxy_gone)
		net_touch(channel);
}

void peer_close(struct peer *peer)
{
	struct channel *channel = peer->channel;

	channel->peer_gone = true;
	if (!channel->proxy_gone && channel->out.data)
		channel_break(channel, ECONNRESET);
	else
		peer_end(peer);
	let_go(peer);
}

void peer_reset(struct peer *peer)
{
	struct channel *channel = peer->channel;

	channel->peer_gone = true;
	channel_break(channel, ECONNRESET);
	let_go(peer);
}

void peer_vanish(struct peer *peer)
{
	let_go(peer);
}
