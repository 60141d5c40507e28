#include "answer.h"

#include <stdlib.h>
#include <string.h>

#define CONTENT_MAX (256 << 20)

static const char *reason_phrase(int status)
{
	static const struct {
		int status;
		const char *phrase;
	} phrases[] = {{200, "OK"}, {201, "Created"}, {204, "No Content"}, {304, "Not Modified"},
	    {400, "Bad Request"}, {404, "Not Found"}, {413, "Content Too Large"},
	    {431, "Request Header Fields Too Large"}, {500, "Internal Server Error"},
	    {502, "Bad Gateway"}, {503, "Service Unavailable"}, {504, "Gateway Timeout"}};

	for (size_t i = 0; i < sizeof(phrases) / sizeof(phrases[0]); i++) {
		if (phrases[i].status == status)
			return phrases[i].phrase;
	}
	return "Mock Status";
}

/* Writes the head without the framing fields and the empty line. */
static void start_head(struct mock_conn *conn, int status, const char *content_type)
{
	const struct mock_request *request = mock_request(conn);
	struct bytes *out = mock_out(conn);

	bytes_addf(out, "HTTP/1.1 %d %s\r\n", status, reason_phrase(status));
	if (content_type[0] != '\0')
		bytes_addf(out, "Content-Type: %s\r\n", content_type);
	if (mock_name(conn) != NULL)
		bytes_addf(out, "X-Mock: %s\r\n", mock_name(conn));
	if (!request->keep_alive)
		bytes_addf(out, "Connection: close\r\n");
	else if (request->is_http_1_0)
		bytes_addf(out, "Connection: keep-alive\r\n");
}

static bool is_method(const struct mock_conn *conn, const char *method)
{
	return strcmp(mock_request(conn)->method, method) == 0;
}

/* `content_type` is "" for none. */
static void answer_with(
    struct mock_conn *conn, int status, const char *content_type, const struct bytes *body)
{
	struct bytes *out = mock_out(conn);

	if (status == 204 || status == 304) {
		start_head(conn, status, "");
		bytes_addf(out, "\r\n");
		return;
	}
	start_head(conn, status, content_type);
	bytes_addf(out, "Content-Length: %zu\r\n\r\n", body->length);
	if (!is_method(conn, "HEAD"))
		bytes_add(out, body->at, body->length);
}

void answer_text(struct mock_conn *conn, int status, const char *text)
{
	struct bytes body = {0};

	bytes_addf(&body, "%s", text);
	answer_with(conn, status, "text/plain", &body);
	bytes_free(&body);
}

void answer_chunked(struct mock_conn *conn, const struct bytes *body)
{
	struct bytes *out = mock_out(conn);
	bool is_framed = !mock_request(conn)->is_http_1_0;

	start_head(conn, 200, "text/plain");
	bytes_addf(out, is_framed ? "Transfer-Encoding: chunked\r\n\r\n" : "\r\n");
	if (!is_framed)
		mock_end(conn, MOCK_LINGER);
	if (is_method(conn, "HEAD"))
		return;
	if (is_framed)
		bytes_add_chunked(out, body->at, body->length);
	else
		bytes_add(out, body->at, body->length);
}

size_t answer_head_length(struct mock_conn *conn)
{
	return bytes_find_end(mock_out(conn), "\r\n\r\n");
}

/* The number behind the prefix; false if the target has another prefix or the number is absurd. */
static bool target_number(const struct mock_conn *conn, const char *prefix, size_t *number)
{
	const char *target = mock_request(conn)->target;
	const char *digits = target + strlen(prefix);

	if (strncmp(target, prefix, strlen(prefix)) != 0 || *digits < '0' || *digits > '9')
		return false;
	*number = strtoul(digits, NULL, 10);
	return *number <= CONTENT_MAX;
}

static void answer_content(struct mock_conn *conn)
{
	const char *pause = strstr(mock_request(conn)->target, "?ms=");
	struct bytes content = {0};
	size_t length = 0;

	if (target_number(conn, "/chunked/", &length)) {
		bytes_add_pattern(&content, length);
		answer_chunked(conn, &content);
	} else if (target_number(conn, "/size/", &length)) {
		bytes_add_pattern(&content, length);
		answer_with(conn, 200, "text/plain", &content);
	} else if (target_number(conn, "/slow/", &length)) {
		bytes_add_pattern(&content, length);
		answer_with(conn, 200, "text/plain", &content);
		mock_pace(conn, answer_head_length(conn),
		    pause != NULL ? strtol(pause + 4, NULL, 10) : 10);
	} else if (strcmp(mock_request(conn)->target, "/head") == 0) {
		answer_with(conn, 200, "text/plain", &mock_request(conn)->head);
	} else {
		bytes_addf(&content, "{\"message\":\"ok\"}");
		answer_with(conn, 200, "application/json", &content);
	}
	bytes_free(&content);
}

void answer_like_app(struct mock_conn *conn)
{
	const struct mock_request *request = mock_request(conn);
	size_t number = 0;

	if (target_number(conn, "/status/", &number) && number >= 200 && number <= 599) {
		answer_text(conn, (int)number, reason_phrase((int)number));
		return;
	}
	if (target_number(conn, "/delay/", &number))
		mock_hold(conn, (int64_t)number);
	if (is_method(conn, "POST") || is_method(conn, "PUT") || is_method(conn, "PATCH"))
		answer_with(conn, 200, request->content_type, &request->body);
	else
		answer_content(conn);
}
