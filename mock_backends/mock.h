/*
 * mock - the small HTTP/1.1 server under every mock backend.
 *
 * A mock backend is a behaviour: hooks that are called as a request comes in and that compose bytes
 * to send. Everything else is done here: listening, reading requests, keep-alive, sending, and the
 * options every mock has (--port, --host, --name, --verbose, --help).
 *
 * A hook composes first, into mock_out(), mostly with the functions of answer.h. Then it may choose
 * how the bytes are sent (late, byte by byte) and what happens to the connection after the last
 * one. The defaults are those of a good server. If a hook composes nothing and ends nothing, the
 * client waits for ever.
 *
 * One thread, one epoll, thousands of connections. It shares no code with the proxy that it tests,
 * so that no mistake can be hidden because both sides make it.
 */
#ifndef MOCK_H
#define MOCK_H

#include "message.h"
#include "options.h"

struct mock_conn;

struct mock_behaviour {
	const char *about;                /* one sentence for --help */
	const struct option_row *options; /* of this program alone; NULL: none */
	void *own;                        /* handed to every hook */

	/* A client has connected; nothing is read yet. */
	void (*on_accept)(struct mock_conn *conn, void *own);
	/* The head is read. If this answers, the body stays unread. */
	void (*on_head)(struct mock_conn *conn, void *own);
	/* Head and body are read. */
	void (*on_request)(struct mock_conn *conn, void *own);
	/* mock_set_idle() has passed and the next request has not begun. */
	void (*on_idle)(struct mock_conn *conn, void *own);
};

/* The current request. Its bytes are read-only and valid until the hook returns. */
struct mock_request {
	char method[16];
	char target[2048];
	char content_type[128];
	struct bytes head; /* as it came, with the empty line */
	struct bytes body; /* without its chunks */
	bool is_http_1_0;
	bool keep_alive; /* the client may send more requests on this connection */
};

enum mock_ending {
	MOCK_KEEP,   /* the next request may come */
	MOCK_CLOSE,  /* closed at once */
	MOCK_LINGER, /* FIN; then closed when the client has closed too, or after two seconds */
	MOCK_RESET,  /* RST instead of FIN */
};

/* Runs the program until SIGTERM or SIGINT; main() must return its result. */
int mock_run(const struct mock_behaviour *behaviour, int argc, char **argv);

const struct mock_request *mock_request(const struct mock_conn *conn);

/* The value of --name, or NULL. */
const char *mock_name(const struct mock_conn *conn);

/* The bytes to send: a hook appends to them or cuts them. */
struct bytes *mock_out(struct mock_conn *conn);

/* Nothing is sent before this time has passed. */
void mock_hold(struct mock_conn *conn, int64_t ms);

/* From byte `from` of the composed bytes on, one byte is sent every `ms`. */
void mock_pace(struct mock_conn *conn, size_t from, int64_t ms);

/* What happens after the last byte. MOCK_KEEP is ignored if the client wants to close. */
void mock_end(struct mock_conn *conn, enum mock_ending ending);

/* on_idle is called `ms` after the last byte of this answer. */
void mock_set_idle(struct mock_conn *conn, int64_t ms);

#endif
