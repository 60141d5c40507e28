/*
 * extra - a backend that sends a second response without a request.
 *
 * Behind a right answer come bytes that look like another response. A proxy that keeps the
 * connection and accepts them gives a client an answer that belongs to no request. With --later
 * they come when the connection has been idle for this time and is probably in a pool.
 */
#include "answer.h"

static void add_extra(struct mock_conn *conn, void *own)
{
	(void)own;
	bytes_addf(mock_out(conn), "HTTP/1.1 200 OK\r\nX-Poison: yes\r\nContent-Length: 6\r\n\r\n"
				   "poison");
}

static void answer(struct mock_conn *conn, void *own)
{
	const int64_t *later_ms = own;

	answer_like_app(conn);
	if (*later_ms > 0)
		mock_set_idle(conn, *later_ms);
	else
		add_extra(conn, own);
}

int main(int argc, char **argv)
{
	int64_t later_ms = 0;
	const struct option_row options[] = {{"later", "DURATION", OPTION_DURATION, &later_ms,
						 "send them after this idle time (0: at once)"},
	    {0}};
	const struct mock_behaviour behaviour = {
	    .about = "answers like app and adds a response without a request",
	    .options = options,
	    .own = &later_ms,
	    .on_request = answer,
	    .on_idle = add_extra};

	return mock_run(&behaviour, argc, argv);
}
