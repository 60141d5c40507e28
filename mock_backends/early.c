/*
 * early - a backend that answers when it has seen the head, without waiting for the body.
 *
 * This is allowed (RFC 9112, 9.3): it ends the connection after the answer, since the body is
 * unread. It lingers, so that the answer arrives; with --abrupt it closes at once, and because of
 * the unread body the kernel sends a reset, which may discard the answer.
 */
#include "answer.h"

struct early {
	int64_t status;
	bool is_abrupt;
};

static void answer_at_head(struct mock_conn *conn, void *own)
{
	const struct early *early = own;

	answer_text(conn, (int)early->status, "The head is enough\n");
	mock_end(conn, early->is_abrupt ? MOCK_CLOSE : MOCK_LINGER);
}

int main(int argc, char **argv)
{
	struct early early = {.status = 413};
	const struct option_row options[] = {
	    {"status", "N", OPTION_NUMBER, &early.status, "status of the answer (413)"},
	    {"abrupt", NULL, OPTION_FLAG, &early.is_abrupt, "close at once, the body unread"}, {0}};
	const struct mock_behaviour behaviour = {.about = "answers before it has read the body",
	    .options = options,
	    .own = &early,
	    .on_head = answer_at_head};

	return mock_run(&behaviour, argc, argv);
}
