#include "waiting.h"

#include "trace.h"

static int64_t later(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

/* rondo would send more at once if it had more. */
static bool takes_more(const struct channel *server)
{
	return !server->dead && !server->peer_gone && (channel_events(server) & LOOP_WRITE);
}

/* rondo has all that was sent, and there is more to come. */
static bool is_awaited(const struct request *request)
{
	const struct channel *client = request->channel;

	return client->read < request->ends_at && !client->in.data && !client->in_ended &&
	       !client->dead;
}

int64_t waiting_since(const struct visit *visit)
{
	const struct request *request;

	/* Who expects a 100 may be waiting for it. */
	if (visit->request < 0 || !visit->peer || visit->sent_us > 0 ||
	    world.requests[visit->request].expects)
		return 0;
	request = &world.requests[visit->request];
	if (!is_awaited(request) || !takes_more(visit->peer->channel))
		return 0;
	return later(
	    later(request->channel->read_us, visit->peer->channel->written_us), visit->began_us);
}

void waiting_ends(struct visit *visit)
{
	int64_t since_us = waiting_since(visit);

	/* rondo may have been a turn late to see that there is nothing, or that there is something. */
	if (since_us > 0 && trace_now_us() > since_us + TURN_US)
		visit->awaited_us += trace_now_us() - since_us - TURN_US;
}

void waiting_begins(struct visit *visit)
{
	const struct channel *client = world.requests[visit->request].channel;

	visit->partials_before = client->partials - client->is_blocked;
}

void waiting_answer_begins(struct visit *visit)
{
	visit->blocked_before_us = channel_blocked_us(world.requests[visit->request].channel);
}

/* For so long its client did not take what had come of the answer. */
static int64_t blocked_us(const struct visit *visit)
{
	if (visit->request < 0 || visit->blocked_before_us < 0)
		return 0;
	return channel_blocked_us(world.requests[visit->request].channel) -
	       visit->blocked_before_us;
}

int64_t waiting_least_us(const struct visit *visit)
{
	/* Both may be the same time. */
	return visit->peer ? later(visit->awaited_us, blocked_us(visit)) : visit->awaited_us;
}

void waiting_is_over(struct visit *visit)
{
	if (!visit->peer)
		return;
	waiting_ends(visit);
	visit->awaited_us = waiting_least_us(visit);
	visit->peer = NULL;
}

int64_t waiting_most_us(const struct visit *visit)
{
	const struct request *request = &world.requests[visit->request];
	int64_t taken_us = trace_now_us() - visit->began_us;

	if (request->channel->partials > visit->partials_before)
		return taken_us;
	if (request->framing == FRAMING_NONE)
		return 0;
	return visit->sent_us > 0 ? visit->sent_us - visit->began_us : taken_us;
}
