#include "config/settings.h"

#include <assert.h>

#define MS           INT64_C(1000)
#define SEC          (1000 * MS)
#define HOUR         (3600 * SEC)
#define KIB          INT64_C(1024)
#define MIB          (1024 * KIB)
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#define CONFIG(member)                                                                             \
	.offset = offsetof(struct config, member), .width = sizeof(((struct config *)NULL)->member)
#define CONFIG_LIST(member, number)                                                                \
	.offset = offsetof(struct config, member), .count_offset = offsetof(struct config, number)
#define CONFIG_POINTER(member) .offset = offsetof(struct config, member)
#define BACKEND(member)                                                                            \
	.offset = offsetof(struct backend_options, member),                                        \
	.width = sizeof(((struct backend_options *)NULL)->member)

#define LISTEN(member)                                                                             \
	.offset = offsetof(struct config_listen, member),                                          \
	.width = sizeof(((struct config_listen *)NULL)->member)
#define LISTEN_LIST(member, number)                                                                \
	.offset = offsetof(struct config_listen, member),                                          \
	.count_offset = offsetof(struct config_listen, number)

static const char *const scheme_words[] = {"http", "https", NULL}; /* is_https */
static const char *const silence_words[] = {"auto", "off", NULL};  /* SILENCE_AUTO, SILENCE_OFF */
static const char *const method_words[] = {"idempotent", "all", "none", NULL};
static const char *const forwarded_words[] = {"x-forwarded", "rfc7239", "none", NULL};
static const char *const level_words[] = {"error", "warning", "info", "debug", NULL};
static const char *const format_words[] = {"combined", "combined+", "json", NULL};

/* Members of a group are adjacent, in the order of the manual. */
static const struct setting config_rows[] = {
    {.path = "listen",
	.type = SETTING_LISTEN,
	CONFIG_LIST(listen, listen_count),
	.fallback = "*:8080",
	.help =
	    "Where clients connect: an address or a list of them. \"*:8080\" and \":8080\" "
	    "take IPv4 and IPv6 (where the machine has no IPv6, IPv4 alone), "
	    "\"127.0.0.1:8080\" and \"[::1]:8080\" one address, "
	    "\"unix:/run/r.sock\" a Unix socket. Or a group, or a list of them, with the members "
	    "address, proxy_from, scheme, mode, owner and group."},
    {.path = "backends",
	.type = SETTING_BACKENDS,
	CONFIG_LIST(backends, backend_count),
	.help = "The servers that answer: a list of URLs, http://HOST[:PORT], HOST:PORT or "
		"unix:/path, or of groups with the members url, name, weight, max_connections, "
		"max_delay_response and backup."},
    {.path = "balance",
	.type = SETTING_CHOICE,
	CONFIG(ring.balance),
	.words = ring_balance_words,
	.fallback = "round_robin",
	.help = "How the next backend is chosen. round_robin: smooth turns by weight. "
		"adaptive: the same turns, with weights that follow the response times of each "
		"backend. least_requests: the backend with the fewest requests in flight for its "
		"weight; turns among equals."},
    {.path = "upgrades",
	.type = SETTING_PROTOCOLS,
	CONFIG_LIST(rules.upgrades.names, rules.upgrades.count),
	.fallback = "websocket",
	.help = "Protocols that a client may change to with Upgrade; the answer 101 makes the "
		"connection a tunnel. websocket only with GET, others with any method: \"tcp\" "
		"is what docker attach and exec use, \"SPDY/3.1\" kubectl before 1.31. A name "
		"without a version stands for all versions, \"*\" for all protocols. h2c is "
		"never passed on. Other protocols are dropped from the request, which is then "
		"answered like any other."},
    {.path = "max_delay_response",
	.type = SETTING_DURATION,
	CONFIG(max_delay_response_us),
	.min = MS,
	.max = 24 * HOUR,
	.fallback = "5s",
	.help = "The longest time a backend may be silent after it got the whole request. "
		"After that the request falls through to the next backend."},
    {.path = "retry_window",
	.type = SETTING_DURATION,
	CONFIG(ring.retry_window_us),
	.min = MS,
	.max = 24 * HOUR,
	.fallback = "10s",
	.help = "How long a backend that failed is skipped before it is tried again."},
    {.path = "retry_window_max",
	.type = SETTING_DURATION,
	CONFIG(ring.retry_window_max_us),
	.min = MS,
	.max = 24 * HOUR,
	.fallback = "60s",
	.help = "The window doubles each time a trial fails, up to this."},
    {.path = "include",
	.type = SETTING_TEXT,
	CONFIG(include),
	.fallback = "",
	.help = "More files, as a pattern relative to this file (\"conf.d/*.conf\"), read in the "
		"order of their names. Each may add backends and nothing else."},

    {.path = "silence.after",
	.type = SETTING_DURATION,
	CONFIG(silence.after_us),
	.words = silence_words,
	.min = MS,
	.max = 24 * HOUR,
	.fallback = "auto",
	.help = "How long a backend that owes answers may be silent, while others answer, before "
		"it is passed over. auto: twice the time between two answers that only one in a "
		"hundred exceeds, as rondo measures it, at least 20ms and at most half of "
		"max_delay_response. off: silence is not looked at, and a frozen backend costs "
		"each request one max_delay_response."},
    {.path = "silence.rescue",
	.type = SETTING_INTEGER,
	CONFIG(silence.rescue_percent),
	.max = 100,
	.fallback = "5",
	.help = "A request that is stuck on a silent backend, and may be repeated, is sent to a "
		"second one as well: at most this percentage of all requests, and a reserve of "
		"ten. They count in retry.budget too. 0: never."},

    {.path = "queue.wait",
	.type = SETTING_DURATION,
	CONFIG(rules.queue.wait_us),
	.max = HOUR,
	.fallback = "2s",
	.help = "How long a request waits for a backend when all are at their connection limit, "
		"or none is up, if nothing of it was sent or it may be repeated. Meanwhile rondo "
		"looks for a backend every 100 ms. First come, first served. 0: not at all."},
    {.path = "queue.length",
	.type = SETTING_INTEGER,
	CONFIG(rules.queue.length),
	.min = 1,
	.max = 1000000,
	.fallback = "1024",
	.help = "Requests that wait for a backend at the same time; one more is answered 503 at "
		"once."},

    {.path = "retry.tries",
	.type = SETTING_INTEGER,
	CONFIG(rules.retry.tries),
	.min = 1,
	.max = VERDICT_MAX_TRIES,
	.fallback = "3",
	.help = "Backends that are tried for one request, at most."},
    {.path = "retry.methods",
	.type = SETTING_CHOICE,
	CONFIG(rules.retry.methods),
	.words = method_words,
	.fallback = "idempotent",
	.help = "Requests that may be sent again after bytes of them reached a backend. "
		"idempotent: GET, HEAD, OPTIONS, TRACE, PUT and DELETE, and any request with "
		"the field retry.idempotency_header. all: every request, if the backends can "
		"take it twice. none: no request."},
    {.path = "retry.statuses",
	.type = SETTING_STATUSES,
	CONFIG_LIST(rules.retry.statuses, rules.retry.status_count),
	.min = 400,
	.max = 599,
	.fallback = "500, 502, 503, 504",
	.help = "Answers that count as a failure of the backend and fall through to the next one."},
    {.path = "retry.body",
	.type = SETTING_SIZE,
	CONFIG(rules.retry.body_bytes),
	.needs_restart = true,
	.max = 16 * MIB,
	.fallback = "64k",
	.help = "Content of a request up to this size is kept for a second try. If its length "
		"is announced, rondo waits for it before it picks a backend, so that a slow "
		"client with a small form occupies no backend."},
    {.path = "retry.deadline",
	.type = SETTING_DURATION,
	CONFIG(rules.retry.deadline_us),
	.min = MS,
	.max = 24 * HOUR,
	.fallback = "30s",
	.help = "Limit for all tries of a request together, from its whole head to the first "
		"byte of the answer. It starts again when a client that rondo had to wait for "
		"has sent the whole request."},
    {.path = "retry.budget",
	.type = SETTING_INTEGER,
	CONFIG(rules.retry.budget_percent),
	.max = 100,
	.fallback = "20",
	.help = "Retries as a percentage of the requests of the last ten seconds; ten a second "
		"are always allowed. A try that sent nothing costs nothing. 100: no limit."},
    {.path = "retry.idempotency_header",
	.type = SETTING_FIELD,
	CONFIG(rules.retry.idempotency_header),
	.fallback = "Idempotency-Key",
	.help = "A request that carries this field counts as idempotent, whatever its method. "
		"\"\": no such field."},

    {.path = "timeouts.connect",
	.type = SETTING_DURATION,
	CONFIG(rules.timeouts.connect_us),
	.min = MS,
	.max = HOUR,
	.fallback = "1s",
	.help = "For the TCP connection to a backend."},
    {.path = "timeouts.request_head",
	.type = SETTING_DURATION,
	CONFIG(rules.timeouts.request_head_us),
	.min = MS,
	.max = 24 * HOUR,
	.fallback = "10s",
	.help = "From the first to the last byte of a request head; then the answer is 408."},
    {.path = "timeouts.request_body",
	.type = SETTING_DURATION,
	CONFIG(rules.timeouts.request_body_us),
	.min = MS,
	.max = 24 * HOUR,
	.fallback = "30s",
	.help = "Between two reads of a request body; then the answer is 408."},
    {.path = "timeouts.response",
	.type = SETTING_DURATION,
	CONFIG(rules.timeouts.response_us),
	.min = MS,
	.max = 24 * HOUR,
	.fallback = "60s",
	.help = "Between two reads of a response once its head has begun."},
    {.path = "timeouts.send",
	.type = SETTING_DURATION,
	CONFIG(rules.timeouts.send_us),
	.min = MS,
	.max = 24 * HOUR,
	.fallback = "60s",
	.help = "For a client or a backend that takes no bytes."},
    {.path = "timeouts.keep_alive",
	.type = SETTING_DURATION,
	CONFIG(rules.timeouts.keep_alive_us),
	.min = MS,
	.max = 24 * HOUR,
	.fallback = "75s",
	.help = "For an idle client connection."},
    {.path = "timeouts.backend_idle",
	.type = SETTING_DURATION,
	CONFIG(rules.timeouts.backend_idle_us),
	.max = 24 * HOUR,
	.fallback = "4s",
	.help = "For an idle connection to a backend. Should be shorter than what the backend "
		"itself allows; many application servers close theirs after five seconds. 0: "
		"connections to backends are not used again, but by the client that was "
		"authenticated on one with NTLM or Negotiate."},
    {.path = "timeouts.backend_age",
	.type = SETTING_DURATION,
	CONFIG(rules.timeouts.backend_age_us),
	.max = 168 * HOUR,
	.fallback = "10m",
	.help = "A connection to a backend that is older than this is not used again, so that "
		"its name, and a balancer behind it, are asked anew. 0: no limit."},
    {.path = "timeouts.tunnel",
	.type = SETTING_DURATION,
	CONFIG(rules.timeouts.tunnel_us),
	.min = MS,
	.max = 168 * HOUR,
	.fallback = "1h",
	.help = "For an upgraded connection (WebSocket) on which nothing moves."},
    {.path = "timeouts.drain",
	.type = SETTING_DURATION,
	CONFIG(rules.timeouts.drain_us),
	.max = 24 * HOUR,
	.fallback = "30s",
	.help = "How long a stop waits for requests in flight."},
    {.path = "timeouts.drain_delay",
	.type = SETTING_DURATION,
	CONFIG(rules.timeouts.drain_delay_us),
	.max = 24 * HOUR,
	.fallback = "0s",
	.help = "How long a stop goes on accepting clients while /readyz already says 503, for "
		"balancers in front that need time to notice. Answers close their connections "
		"meanwhile. timeouts.drain begins after it. A successor (USR2) does not wait."},

    {.path = "health.path",
	.type = SETTING_TARGET,
	CONFIG(check.path),
	.fallback = "",
	.help = "Path of the periodic check, \"/healthz\". \"\": no periodic checks; a backend "
		"that failed is then probed with a TCP connect before it returns."},
    {.path = "health.host",
	.type = SETTING_AUTHORITY,
	CONFIG(check.host),
	.fallback = "",
	.help = "Host of a periodic check, \"app.example.org\". \"\": the host and port of the "
		"backend's URL."},
    {.path = "health.port",
	.type = SETTING_INTEGER,
	CONFIG(check.port),
	.max = 65535,
	.fallback = "0",
	.help = "Port that periodic checks go to, on all addresses of the backend. 0: the port of "
		"the backend's URL. A backend at a Unix socket is checked there."},
    {.path = "health.interval",
	.type = SETTING_DURATION,
	CONFIG(check.interval_us),
	.min = 10 * MS,
	.max = 24 * HOUR,
	.fallback = "5s",
	.help = "Time from one check of a backend to the next."},
    {.path = "health.timeout",
	.type = SETTING_DURATION,
	CONFIG(check.timeout_us),
	.min = MS,
	.max = HOUR,
	.fallback = "1s",
	.help = "Limit for one check."},
    {.path = "health.fall",
	.type = SETTING_INTEGER,
	CONFIG(check.rules.fall),
	.min = 1,
	.max = 100,
	.fallback = "3",
	.help = "Failed checks in a row that take a backend down."},
    {.path = "health.rise",
	.type = SETTING_INTEGER,
	CONFIG(check.rules.rise),
	.min = 1,
	.max = 100,
	.fallback = "2",
	.help = "Good checks in a row that bring a backend back."},
    {.path = "health.expect",
	.type = SETTING_RANGES,
	CONFIG_LIST(check.expect, check.expect_count),
	.min = 100,
	.max = 599,
	.fallback = "200-399",
	.help = "Statuses that count as healthy: \"200\", \"200-399\", \"200,204,300-399\"."},
    {.path = "health.slow_start",
	.type = SETTING_DURATION,
	CONFIG(ring.slow_start_us),
	.max = HOUR,
	.fallback = "0s",
	.help = "A backend that returns gets its weight back gradually over this time, from 10 %."},

    {.path = "clients.half_close",
	.type = SETTING_BOOLEAN,
	CONFIG(rules.clients.half_close),
	.fallback = "false",
	.help = "Whether a client that has ended its sending side still waits for its answer. "
		"By default it counts as gone: its request is dropped, and no other backend is "
		"tried. In a tunnel each side may end by itself in any case."},

    {.path = "limits.connections",
	.type = SETTING_INTEGER,
	CONFIG(rules.limits.connections),
	.min = 1,
	.max = 1000000,
	.fallback = "10000",
	.help = "Client connections. At the limit no more are accepted; they wait in the kernel's "
		"queue."},
    {.path = "limits.header_bytes",
	.type = SETTING_SIZE,
	CONFIG(rules.limits.head.header_bytes),
	.needs_restart = true,
	.min = KIB,
	.max = MIB,
	.fallback = "16k",
	.help = "Size of a message head; beyond it the answer is 431."},
    {.path = "limits.headers",
	.type = SETTING_INTEGER,
	CONFIG(rules.limits.head.headers),
	.needs_restart = true,
	.min = 1,
	.max = 1000,
	.fallback = "100",
	.help = "Fields in a message head; beyond it the answer is 431."},
    {.path = "limits.uri_bytes",
	.type = SETTING_SIZE,
	CONFIG(rules.limits.head.uri_bytes),
	.min = 64,
	.max = MIB,
	.fallback = "8k",
	.help = "Length of a request target; beyond it the answer is 414. At most "
		"limits.header_bytes."},
    {.path = "limits.body_bytes",
	.type = SETTING_SIZE,
	CONFIG(rules.limits.body_bytes),
	.max = INT64_C(1) << 40,
	.fallback = "0",
	.help = "Size of a request body; beyond it the answer is 413. 0: no limit."},

    {.path = "headers.app_url",
	.type = SETTING_FIELD,
	CONFIG(rules.headers.app_url),
	.fallback = "x-app-url",
	.help = "Response field that names the backend that answered. \"\": none."},
    {.path = "headers.attempts",
	.type = SETTING_FIELD,
	CONFIG(rules.headers.attempts),
	.fallback = "",
	.help = "Response field that lists every try: b(timeout,5000ms) c(200,13ms). \"\": none."},
    {.path = "headers.request_id",
	.type = SETTING_FIELD,
	CONFIG(rules.headers.request_id),
	.fallback = "",
	.help = "Field that carries a request id, \"X-Request-ID\": made if the client sent "
		"none, passed on and logged. \"\": none."},
    {.path = "headers.forwarded",
	.type = SETTING_CHOICE,
	CONFIG(rules.headers.forwarded),
	.words = forwarded_words,
	.fallback = "x-forwarded",
	.help = "How backends learn about the client. x-forwarded: X-Forwarded-For, -Proto and "
		"-Host. rfc7239: Forwarded. none: they do not. These fields of a client are "
		"dropped in any case, unless the client is in headers.trusted_proxies."},
    {.path = "headers.trusted_proxies",
	.type = SETTING_BLOCKS,
	CONFIG_LIST(rules.headers.trusted, rules.headers.trusted_count),
	.fallback = "",
	.help = "Address blocks, [ \"10.0.0.0/8\", \"::1\" ], of proxies in front whose "
		"forwarding fields are kept and extended; \"unix:\" for every peer on a Unix "
		"socket, which has no address to add. Those of all other clients are replaced, and "
		"what could deceive a backend is dropped from their requests: X-Real-IP, Proxy, "
		"Front-End-Https, and names that read as Content-Length, Transfer-Encoding, "
		"Connection or a forwarding field once _ is taken for -. "
		"Where a PROXY header names the client, that one is looked up here, not the proxy "
		"that sent it."},

    {.path = "log.level",
	.type = SETTING_CHOICE,
	CONFIG(log_level),
	.words = level_words,
	.fallback = "info",
	.help = "Messages on stderr, which under systemd is the journal. error: what rondo "
		"cannot do. warning: also backends that go down and requests that fail. info: "
		"also start, stop, reloads, backends that come back and what clients do wrong. "
		"debug: also details for finding faults in rondo itself. Of requests, each reason "
		"is written ten times a second, and then how many more there were."},
    {.path = "log.access",
	.type = SETTING_TEXT,
	CONFIG(access_log.path),
	.fallback = "off",
	.help = "A line for each request: to a file, to \"stdout\", or \"off\"."},
    {.path = "log.format",
	.type = SETTING_CHOICE,
	CONFIG(access_log.format),
	.words = format_words,
	.fallback = "combined+",
	.help = "The form of these lines. combined: the form that log readers know. combined+: "
		"the same, followed by times, every try with its backend, and how it ended. "
		"json: an object a line. rondo.conf(5) explains the fields."},

    {.path = "admin.http",
	.type = SETTING_ADDRESS,
	CONFIG_POINTER(admin_http),
	.fallback = "",
	.help = "Address of the read-only status page, of /status.json, /metrics, /healthz and "
		"/readyz: \"127.0.0.1:9180\". \"\": none."},
    {.path = "admin.hosts",
	.type = SETTING_HOSTS,
	CONFIG_LIST(admin_hosts, admin_host_count),
	.fallback = "",
	.help = "Names, beside IP addresses and localhost, under which the status page, "
		"/status.json and /events.json are read: [ \"rondo.example.org\" ], without "
		"ports. With any other Host the answer is 421, so that no web site can read "
		"them through a browser. /metrics, /healthz and /readyz answer to any Host."},
    {.path = "admin.socket",
	.type = SETTING_TEXT,
	CONFIG(admin_socket),
	.fallback = "auto",
	.help = "Unix socket for rondoctl, \"/run/rondo/admin.sock\", made with mode 0660. auto: "
		"admin.sock in the directory that systemd gives the service "
		"($RUNTIME_DIRECTORY), else none. \"\": none; then systemctl reload checks the "
		"files, but cannot tell whether rondo takes them over. For another path set "
		"RONDO_SOCKET in /etc/default/rondo too."},
};

static const struct setting backend_rows[] = {
    {.path = "url",
	.type = SETTING_TEXT,
	BACKEND(url),
	.help = "http://HOST[:PORT], HOST:PORT or unix:/path; carried in x-app-url as written."},
    {.path = "name",
	.type = SETTING_TEXT,
	BACKEND(name),
	.help = "Its name in logs, metrics and rondoctl; HOST:PORT when none is given."},
    {.path = "weight",
	.type = SETTING_INTEGER,
	BACKEND(weight),
	.min = 1,
	.max = 1000,
	.fallback = "1",
	.help = "Its share of the requests, relative to the others."},
    {.path = "max_connections",
	.type = SETTING_INTEGER,
	BACKEND(max_connections),
	.max = 1000000,
	.fallback = "0",
	.help = "It is skipped when this many connections to it are in use. 0: no limit."},
    {.path = "max_delay_response",
	.type = SETTING_DURATION,
	BACKEND(max_delay_response_us),
	.min = MS,
	.max = 24 * HOUR,
	.help = "For this backend instead of the general one."},
    {.path = "backup",
	.type = SETTING_BOOLEAN,
	BACKEND(backup),
	.fallback = "false",
	.help = "Used only when no other backend is usable."},
};

static const struct setting listen_rows[] = {
    {.path = "address",
	.type = SETTING_TEXT,
	LISTEN(text),
	.help = "Where clients connect, as in `listen`."},
    {.path = "proxy_from",
	.type = SETTING_BLOCKS,
	LISTEN_LIST(options.proxy_from, options.proxy_from_count),
	.fallback = "",
	.help = "Proxies that begin each connection with a PROXY header, version 1 or 2: address "
		"blocks, or \"unix:\" for every peer on a Unix socket. The client that the header "
		"names is the client everywhere: in X-Forwarded-For, in the log, and for "
		"headers.trusted_proxies. Connections of all others, and those that begin "
		"otherwise or whose header is not there within timeouts.request_head, are closed. "
		"A header that names nobody (LOCAL, UNKNOWN) means the proxy itself. Where it says "
		"that the client came over TLS, the scheme is https. [ ]: no header is expected."},
    {.path = "scheme",
	.type = SETTING_CHOICE,
	LISTEN(options.is_https),
	.words = scheme_words,
	.fallback = "http",
	.help = "What X-Forwarded-Proto says where the proxy in front does not say it itself: "
		"https for an address that only a proxy uses that ends TLS."},
    {.path = "mode",
	.type = SETTING_MODE,
	LISTEN(access.mode),
	.fallback = "",
	.help = "The mode of a Unix socket, \"0660\": who can write to it can connect. \"\": as "
		"the umask has it. A socket that systemd made keeps what its unit says, also of "
		"the next two."},
    {.path = "owner",
	.type = SETTING_TEXT,
	LISTEN(owner),
	.fallback = "",
	.help =
	    "The user who owns a Unix socket: a name or a number. \"\": the one that rondo runs "
	    "as; another one needs the right to give files away."},
    {.path = "group",
	.type = SETTING_TEXT,
	LISTEN(group),
	.fallback = "",
	.help = "The group of a Unix socket: a name or a number. \"\": the one that rondo runs as; "
		"another one has to be one of its groups."},
};

struct settings settings_all(void)
{
	return (struct settings){config_rows, COUNT(config_rows)};
}

struct settings settings_of_backend(void)
{
	return (struct settings){backend_rows, COUNT(backend_rows)};
}

struct settings settings_of_listen(void)
{
	return (struct settings){listen_rows, COUNT(listen_rows)};
}

const struct setting *settings_find(struct settings settings, struct str path)
{
	for (size_t i = 0; i < settings.count; i++)
		if (str_equals(str_from(settings.items[i].path), path))
			return &settings.items[i];
	return NULL;
}

size_t settings_row(const char *path)
{
	const struct setting *setting = settings_find(settings_all(), str_from(path));

	assert(setting);
	return (size_t)(setting - config_rows);
}

struct str setting_group(const struct setting *setting)
{
	struct str path = str_from(setting->path);
	size_t point = str_find(path, '.');

	return (struct str){path.data, point < path.len ? point : 0};
}

const char *setting_name(const struct setting *setting)
{
	const char *point = strchr(setting->path, '.');

	return point ? point + 1 : setting->path;
}

bool settings_has_group(struct settings settings, struct str group)
{
	for (size_t i = 0; i < settings.count; i++)
		if (group.len && str_equals(setting_group(&settings.items[i]), group))
			return true;
	return false;
}

const char *setting_type_text(enum setting_type type)
{
	static const char *const texts[SETTING_TYPES] = {
	    [SETTING_DURATION] = "duration",
	    [SETTING_SIZE] = "size",
	    [SETTING_INTEGER] = "whole number",
	    [SETTING_BOOLEAN] = "boolean",
	    [SETTING_CHOICE] = "choice",
	    [SETTING_FIELD] = "field name",
	    [SETTING_TARGET] = "path",
	    [SETTING_AUTHORITY] = "host",
	    [SETTING_TEXT] = "string",
	    [SETTING_MODE] = "mode of a file",
	    [SETTING_STATUSES] = "list of statuses",
	    [SETTING_RANGES] = "ranges of statuses",
	    [SETTING_BLOCKS] = "list of address blocks",
	    [SETTING_PROTOCOLS] = "list of protocols",
	    [SETTING_HOSTS] = "list of names",
	    [SETTING_LISTEN] = "address or list of addresses",
	    [SETTING_ADDRESS] = "address",
	    [SETTING_BACKENDS] = "list of URLs and groups",
	};

	return texts[type];
}
