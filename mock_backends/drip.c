/*
 * drip - a backend whose right answer comes one byte at a time.
 *
 * Every byte is a packet of its own, also in the head. Slow, but correct: a proxy must read it, and
 * must not treat it as silent after the head is complete.
 */
#include "answer.h"

static void answer_dripping(struct mock_conn *conn, void *own)
{
	const int64_t *every_ms = own;

	answer_like_app(conn);
	mock_pace(conn, 0, *every_ms);
}

int main(int argc, char **argv)
{
	int64_t every_ms = 10;
	const struct option_row options[] = {
	    {"every", "DURATION", OPTION_DURATION, &every_ms, "time between bytes (10ms)"}, {0}};
	const struct mock_behaviour behaviour = {.about = "answers like app, byte by byte",
	    .options = options,
	    .own = &every_ms,
	    .on_request = answer_dripping};

	return mock_run(&behaviour, argc, argv);
}
