/*
 * config - all settings, in the form in which the program uses them.
 *
 * config_load reads and checks it as a whole. It owns all its strings and does not change
 * afterwards. It is reference-counted through its `rules`: config_load returns it with one
 * reference, requests in flight hold it too (rules_hold), and the last rules_drop frees it.
 *
 * Each module has its own options struct, which is filled in here; no module below knows struct
 * config. The table in settings lists the settings with types, ranges and defaults. Names are not
 * resolved here.
 */
#ifndef RONDO_CONFIG_CONFIG_H
#define RONDO_CONFIG_CONFIG_H

#include "base/arena.h"
#include "base/log.h"
#include "proxy/access_log.h"
#include "proxy/options.h"
#include "upstream/check.h"

/* An address to listen on. */
struct config_listen {
	const char *text; /* as written */
	struct net_addr addr;
	/* "*:8080", ":8080": `addr` is [::], and takes IPv4 as well; where the machine has no IPv6,
	 * it is 0.0.0.0. */
	bool dual_stack;
	struct listener_options options;
	/* Of a Unix socket. */
	struct net_access access;
	const char *owner, *group; /* as written; "": none */
};

/* It was meant for both families, and serves one. */
static inline bool config_listen_lacks_ipv6(const struct config_listen *listen)
{
	return listen->dual_stack && listen->addr.any.sa_family == AF_INET;
}

static inline bool config_listen_has_access(const struct config_listen *listen)
{
	return listen->access.mode || listen->owner[0] || listen->group[0];
}

struct config_backend {
	struct backend_options options; /* host without brackets; a literal address or a name */
	const char *origin;             /* "FILE:LINE" or "command line" */
	bool own_delay;                 /* it has a max_delay_response of its own */
};

/* The value of one setting and its origin, to be shown and compared. */
struct config_value {
	const char *text;   /* as it would be written in a file: "\"5s\"", "3", "[ 500, 502 ]" */
	const char *origin; /* "default", "FILE:LINE" or "command line" */
	bool is_default;    /* it was not set */
};

struct config {
	struct proxy_options rules; /* retry, timeouts, limits, headers */
	struct ring_options ring;
	struct silence_options silence;
	struct check_options check;
	struct access_log_options access_log;
	enum log_level log_level;
	/* For backends without one of their own; it is copied into their options. */
	int64_t max_delay_response_us;

	const struct config_listen *listen;
	size_t listen_count;
	/* In the order of the file, then of the included files. */
	const struct config_backend *backends;
	size_t backend_count;

	const struct config_listen *admin_http; /* NULL: none */
	const char *const *admin_hosts;         /* names that the page answers to */
	size_t admin_host_count;
	const char *admin_socket;      /* as written */
	const char *admin_socket_path; /* "": none */
	const char *include;           /* the glob as written; "": none */

	const char *warning; /* about a value that is allowed but probably a mistake; NULL: none */

	const char *const *files; /* all files that were read */
	size_t file_count;

	struct config_value *values; /* one for each row of the table of settings, in its order */
	struct arena arena;          /* holds all of the above */
};

#endif
