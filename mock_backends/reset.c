/*
 * reset - a backend that resets its connections (RST, as a crashing process or a firewall does).
 *
 * By default when it has read a request head; with --after N when it has sent the first N bytes of
 * a right answer; with --accept before it reads anything.
 */
#include "answer.h"

struct reset {
	int64_t after;
	bool at_accept;
};

static void reset_at_accept(struct mock_conn *conn, void *own)
{
	const struct reset *reset = own;

	if (reset->at_accept)
		mock_end(conn, MOCK_RESET);
}

static void reset_at_head(struct mock_conn *conn, void *own)
{
	const struct reset *reset = own;

	if (reset->after == 0)
		mock_end(conn, MOCK_RESET);
}

static void reset_in_answer(struct mock_conn *conn, void *own)
{
	const struct reset *reset = own;
	struct bytes *out = mock_out(conn);

	answer_like_app(conn);
	if ((size_t)reset->after < out->length)
		out->length = (size_t)reset->after;
	mock_end(conn, MOCK_RESET);
}

int main(int argc, char **argv)
{
	struct reset reset = {0};
	const struct option_row options[] = {
	    {"after", "N", OPTION_NUMBER, &reset.after, "bytes of a right answer sent first (0)"},
	    {"accept", NULL, OPTION_FLAG, &reset.at_accept, "reset before anything is read"}, {0}};
	const struct mock_behaviour behaviour = {.about = "resets its connections",
	    .options = options,
	    .own = &reset,
	    .on_accept = reset_at_accept,
	    .on_head = reset_at_head,
	    .on_request = reset_in_answer};

	return mock_run(&behaviour, argc, argv);
}
