/*
 * config - everything the operator chose, in the form in which it is used.
 *
 * A configuration is read and checked whole: config_load answers one without a fault, or none and
 * the list of all its faults. It owns every string in it and does not change afterwards. It is
 * counted through its `rules`: the loader gets it with one holder, requests in flight hold it too
 * (rules_hold), and the last rules_drop frees all of it.
 *
 * Each module has its own options struct, filled in here; no module below knows struct config. What
 * can be set, with types, ranges and defaults, is the table in settings. Names are not resolved
 * here.
 */
#ifndef RONDO_SERVER_CONFIG_H
#define RONDO_SERVER_CONFIG_H

#include "base/log.h"
#include "proxy/access_log.h"
#include "proxy/rules.h"
#include "server/arena.h"
#include "upstream/probe.h"

#include <stdio.h>

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
	struct probe_options probe;
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

/* Where a configuration comes from. Later ones win: file, listens and backends, sets. */
struct config_source {
	const char *file;           /* NULL: none is read */
	const char *const *listens; /* replace those of the file */
	size_t listen_count;
	const char *const *backends; /* replace those of the file */
	size_t backend_count;
	const char *const *sets; /* "retry.tries=2" */
	size_t set_count;
};

/* One fault. */
struct config_error {
	char *message; /* "rondo.conf:31: unknown setting `wieght`" */
	char *source;  /* the line of the file, or NULL */
	char *hint;    /* what to do about it, or NULL */
};

struct config_errors {
	struct config_error *items;
	size_t count;
	size_t capacity;
	bool incomplete; /* memory was short: some are missing */
};

/* Frees the list; it is empty afterwards. A list of all zeroes is empty. */
void config_errors_finish(struct config_errors *errors);

/* Prints every fault: message, source line, hint. */
void config_errors_write(const struct config_errors *errors, FILE *out);

/* Reads and checks. NULL when anything is wrong: `errors` then has all the faults, or is
 * incomplete. */
struct config *config_load(const struct config_source *source, struct config_errors *errors);

/* Lets go of it; the same as rules_drop(&config->rules). */
void config_drop(struct config *config);

/* Prints every setting with its effective value and, in a comment, its origin; a valid file itself.
 */
void config_dump(const struct config *config, FILE *out);

/*
 * Says what differs, a line each: "+app3 http://h:3", "-app2 http://h:2", "app1 weight 3 -> 5",
 * "retry.tries 3 -> 2", "limits.header_bytes 16k -> 32k needs a restart". Answers how many lines
 * there were.
 */
typedef void config_say(void *context, const char *line);
size_t config_describe_changes(
    const struct config *old, const struct config *new, config_say *say, void *context);

/*
 * Settings that need a restart keep the value they have in `running`: buffers are sized from them.
 * For a configuration that was just loaded and has no user yet, after its changes were described.
 */
void config_keep_sizes(struct config *config, const struct config *running);

#endif
