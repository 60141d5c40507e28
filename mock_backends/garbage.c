/*
 * garbage - a backend whose answer is not an HTTP response: the wrong service on the port.
 *
 *   random     4096 bytes of noise, the same every time
 *   ssh        the banner of an SSH server
 *   tls        the alert of a TLS server that was spoken to without TLS
 *   html       a page without a head, as HTTP/0.9 had it
 *   longhead   a response head that has not ended after a megabyte
 *   flood1xx   a thousand interim responses before the real one
 *
 * With --greet it comes as soon as a client connects, as with real SSH servers.
 */
#include "answer.h"

enum kind { KIND_RANDOM, KIND_SSH, KIND_TLS, KIND_HTML, KIND_LONGHEAD, KIND_FLOOD1XX };

struct garbage {
	int kind;
	bool is_greeting;
};

static void add_noise(struct bytes *out)
{
	uint32_t noise = 2463534242;

	for (size_t i = 0; i < 4096; i++) {
		noise ^= noise << 13;
		noise ^= noise >> 17;
		noise ^= noise << 5;
		bytes_add(out, &noise, 1);
	}
}

static void send_garbage(struct mock_conn *conn, void *own)
{
	static const char tls_alert[] = {0x15, 0x03, 0x01, 0x00, 0x02, 0x02, 0x46};
	const struct garbage *garbage = own;
	struct bytes *out = mock_out(conn);

	switch ((enum kind)garbage->kind) {
	case KIND_RANDOM:
		add_noise(out);
		break;
	case KIND_SSH:
		bytes_addf(out, "SSH-2.0-OpenSSH_9.2p1\r\n");
		break;
	case KIND_TLS:
		bytes_add(out, tls_alert, sizeof(tls_alert));
		break;
	case KIND_HTML:
		bytes_addf(out, "<!DOCTYPE html>\n<html><body>It works</body></html>\n");
		break;
	case KIND_LONGHEAD:
		bytes_addf(out, "HTTP/1.1 200 OK\r\n");
		for (int i = 0; out->length < (1 << 20); i++)
			bytes_addf(out, "X-Long-%d: and still it does not end\r\n", i);
		break;
	case KIND_FLOOD1XX:
		for (int i = 0; i < 1000; i++)
			bytes_addf(out, "HTTP/1.1 102 Processing\r\n\r\n");
		answer_like_app(conn);
		break;
	}
	mock_end(conn, MOCK_LINGER);
}

static void greet(struct mock_conn *conn, void *own)
{
	const struct garbage *garbage = own;

	if (garbage->is_greeting)
		send_garbage(conn, own);
}

int main(int argc, char **argv)
{
	struct garbage garbage = {.kind = KIND_RANDOM};
	const struct option_row options[] = {
	    {"kind", "random|ssh|tls|html|longhead|flood1xx", OPTION_CHOICE, &garbage.kind,
		"what is sent (random)"},
	    {"greet", NULL, OPTION_FLAG, &garbage.is_greeting, "send it without being asked"}, {0}};
	const struct mock_behaviour behaviour = {.about = "answers, but not with HTTP",
	    .options = options,
	    .own = &garbage,
	    .on_accept = greet,
	    .on_request = send_garbage};

	return mock_run(&behaviour, argc, argv);
}
