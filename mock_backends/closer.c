/*
 * closer - a backend that promises to keep the connection and then closes it.
 *
 * The stale connection trap: the answer says nothing of closing, so a proxy keeps the connection
 * for the next request, which may be on its way when the close arrives. With --idle it closes after
 * this time without a byte, like servers with a short keep-alive time.
 */
#include "answer.h"

static void answer_and_close(struct mock_conn *conn, void *own)
{
	const int64_t *idle_ms = own;

	answer_like_app(conn);
	if (*idle_ms > 0)
		mock_set_idle(conn, *idle_ms);
	else
		mock_end(conn, MOCK_CLOSE);
}

static void close_idle(struct mock_conn *conn, void *own)
{
	(void)own;
	mock_end(conn, MOCK_CLOSE);
}

int main(int argc, char **argv)
{
	int64_t idle_ms = 0;
	const struct option_row options[] = {{"idle", "DURATION", OPTION_DURATION, &idle_ms,
						 "close after this idle time (0: at once)"},
	    {0}};
	const struct mock_behaviour behaviour = {
	    .about = "answers like app, then closes without notice",
	    .options = options,
	    .own = &idle_ms,
	    .on_request = answer_and_close,
	    .on_idle = close_idle};

	return mock_run(&behaviour, argc, argv);
}
