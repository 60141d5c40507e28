/*
 * timeout - a backend that answers well, but late.
 *
 * Each request waits on its own: other connections are served meanwhile. A proxy with a limit
 * shorter than the delay should try the next backend.
 */
#include "answer.h"

static void answer_late(struct mock_conn *conn, void *own)
{
	const int64_t *delay_ms = own;

	answer_like_app(conn);
	mock_hold(conn, *delay_ms);
}

int main(int argc, char **argv)
{
	int64_t delay_ms = 6000;
	const struct option_row options[] = {
	    {"delay", "DURATION", OPTION_DURATION, &delay_ms, "how late (default 6s)"}, {0}};
	const struct mock_behaviour behaviour = {.about = "answers like app, but late",
	    .options = options,
	    .own = &delay_ms,
	    .on_request = answer_late};

	return mock_run(&behaviour, argc, argv);
}
