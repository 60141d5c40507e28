/*
 * config - everything the operator chose, in the form in which it is used.
 *
 * It is read and checked whole by config_load, owns every string in it and does not change
 * afterwards. It is counted through its `rules`: the loader gets it with one holder, requests in
 * flight hold it too (rules_hold), and the last rules_drop frees all of it.
 *
 * Each module has its own options struct, filled in here; no module below knows struct config. What
 * can be set, with types, ranges and defaults, is the table in settings. Names are not resolved
 * here.
 */
#ifndef RONDO_CONFIG_CONFIG_H
#define RONDO_CONFIG_CONFIG_H

#include "base/arena.h"
#include "base/log.h"
#include "proxy/access_log.h"
#include "proxy/rules.h"
#include "upstream/check.h"

/* An address to listen on. */
struct config_listen {
	const char *text; /* as written */
	struct net_addr addr;
	bool dual_stack; /* "*:8080", ":8080": `addr` is [::], and takes IPv4 as well */
};

struct config_backend {
	struct backend_options options; /* host without brackets; a literal address or a name */
	const char *origin;             /* "FILE:LINE" or "command line" */
	bool own_delay;                 /* its max_delay_response was given for itself */
};

/* The value of one setting: what it is and where it comes from. For showing and comparing. */
struct config_value {
	const char *text;   /* as it would be written in a file: "\"5s\"", "3", "[ 500, 502 ]" */
	const char *origin; /* "default", "FILE:LINE" or "command line" */
	bool is_default;    /* nobody gave one */
};

struct config {
	struct rules rules; /* retry, timeouts, limits, headers */
	struct ring_options ring;
	struct check_options check;
	struct access_log_options access_log;
	enum log_level log_level;
	/* Of backends that have none of their own; each has it in its options. */
	int64_t max_delay_response_us;

	const struct config_listen *listen;
	size_t listen_count;
	/* In the order of the file, then of the included files. */
	const struct config_backend *backends;
	size_t backend_count;

	const struct config_listen *admin_http; /* NULL: none */
	const char *admin_socket;               /* "": none */
	const char *include;                    /* the glob as written; "": none */

	const char *warning; /* what is allowed and hardly meant; NULL: nothing */

	const char *const *files; /* every file that was read */
	size_t file_count;

	struct config_value *values; /* one for each row of the table of settings, in its order */
	struct arena arena;          /* holds all of the above */
};

#endif
