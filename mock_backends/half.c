/*
 * half - a backend that sends half an answer and then closes in order (FIN).
 *
 * --where chooses the part that is cut: the head; a body counted by Content-Length (the default);
 * or a chunked body, in the middle of a chunk. A proxy must show its client that something is
 * missing.
 */
#include "answer.h"

enum where { WHERE_HEAD, WHERE_LENGTH, WHERE_CHUNKED };

static void answer_half(struct mock_conn *conn, void *own)
{
	const int *where = own;
	struct bytes *out = mock_out(conn);
	struct bytes text = {0};
	size_t head = 0;

	if (*where == WHERE_CHUNKED) {
		bytes_addf(&text, "only half of this sentence will ever arrive");
		answer_chunked(conn, &text);
		bytes_free(&text);
	} else {
		answer_like_app(conn);
	}
	head = answer_head_length(conn);
	out->length = *where == WHERE_HEAD ? head / 2 : head + (out->length - head) / 2;
	mock_end(conn, MOCK_CLOSE);
}

int main(int argc, char **argv)
{
	int where = WHERE_LENGTH;
	const struct option_row options[] = {{"where", "head|length|chunked", OPTION_CHOICE, &where,
						 "the part that is cut (length)"},
	    {0}};
	const struct mock_behaviour behaviour = {.about = "sends half an answer, then closes",
	    .options = options,
	    .own = &where,
	    .on_request = answer_half};

	return mock_run(&behaviour, argc, argv);
}
