/*
 * backend - one server that answers requests.
 *
 * Its identity (url) and settings, its state with reason and times, its addresses, its pool of idle
 * connections and its counters. A backend that is listed before and after a reload of the
 * configuration outlives the reload; a removed one lives until its last user (backend_hold,
 * backend_drop) lets go.
 *
 * Only backend_set_state changes the state; it also logs the change, once, with the reason. The
 * module verdict decides when it changes. `draining` and `unresolved` stand beside the state: they
 * come from the operator and the resolver, not from verdict. Counters only grow; the modules that
 * show them read them.
 *
 * Idle connections are watched: a byte, an end or an error on one closes it, as does the idle
 * limit. A connection that is bound to one client never enters the pool: between the requests
 * of its client it is set aside. A connection's memory lasts to the end of the turn in which it was
 * closed.
 */
#ifndef RONDO_UPSTREAM_BACKEND_H
#define RONDO_UPSTREAM_BACKEND_H

#include "base/histogram.h"
#include "http/conn.h"
#include "http/parse.h"
#include "upstream/latency.h"
#include "upstream/outcome.h"
#include "upstream/record.h"
#include "upstream/silence.h"

enum backend_state { BACKEND_UP, BACKEND_DOWN, BACKEND_TRIAL, BACKEND_STATES };

/* How a backend came up. */
enum backend_return { RETURN_NONE, RETURN_BY_ANSWER, RETURN_BY_TRIAL, RETURN_BY_CHECKS };

/* How usable a backend is for a request that would be sent there now. */
enum standing {
	STANDING_UP,
	STANDING_TRIAL, /* it may have its trial */
	STANDING_BUSY,  /* its trial is under way */
	STANDING_SOFT,  /* down for a soft reason */
	STANDING_HARD   /* down for a hard reason */
};

struct backend_options {
	const char *url;  /* as x-app-url carries it; the identity */
	const char *name; /* unique */
	const char *host; /* to resolve; NULL for a Unix socket */
	const char *path; /* of the Unix socket; else NULL */
	uint16_t port;
	unsigned weight;          /* 1 to 1000 */
	unsigned max_connections; /* 0 = no limit */
	int64_t max_delay_response_us;
	bool backup;
};

enum { BACKEND_FAILURE_HISTORY = 16, BACKEND_WHOLE_SHARE = 1000 };

/* Upper bounds of the latency buckets in microseconds; the last bucket has none. */
extern const int64_t backend_latency_bounds_us[HISTOGRAM_BUCKETS - 1];

struct backend_counters {
	uint64_t requests;   /* tries whose request head was sent */
	uint64_t answers[6]; /* by class: [2] counts 2xx */
	uint64_t failures[OUTCOMES];
	uint64_t retries;         /* tries that went on to another backend */
	struct histogram latency; /* time to first byte */
	uint64_t connects;        /* connections opened */
	uint64_t silences;        /* times it was found silent */
};

/* The kinds of answers of which a backend keeps a record. */
enum backend_record {
	RECORD_COMPARED, /* good answers, and failures where another backend then succeeded */
	RECORD_ONCE,     /* requests that may not be repeated */
	RECORD_CONTENT,  /* content of the answers to all others: it was complete, or was cut off */
	RECORDS
};

/* The source of a failure: a client's request, or rondo itself. */
enum failure_source { FAILURE_OF_REQUEST, FAILURE_OF_PROBE, FAILURE_OF_CHECK };

/* One of the last failures, for "why". */
struct backend_failure {
	int64_t when_unix_us; /* 0: now, for backend_note_failure */
	enum failure_source source;
	enum outcome outcome;
	unsigned status;       /* with OUTCOME_STATUS */
	enum http_fault fault; /* with OUTCOME_BAD_RESPONSE and OUTCOME_CUT_OFF */
	int64_t after_us;      /* how long the try had taken */
	int64_t silent_us;     /* how much of it the backend was waited for */
};

struct backend {
	char *url, *name, *host, *path; /* its own copies */
	char *authority;                /* the value of Host for it: HOST:PORT, or localhost */
	uint16_t port;
	struct backend_options options; /* strings point at the copies */
	unsigned weight;                /* options.weight, or what the operator set */
	bool weight_is_override;
	bool draining;           /* no new requests: the operator's wish */
	int64_t drained_unix_us; /* since when; 0 = not draining */
	bool unresolved;         /* no address known */
	bool removed;            /* from the ring, which sets this: no connection is pooled */

	enum backend_state state;
	enum outcome reason;          /* why it is down, or was before its trial */
	unsigned reason_status;       /* with OUTCOME_STATUS */
	enum http_fault reason_fault; /* with OUTCOME_BAD_RESPONSE and OUTCOME_CUT_OFF */
	int64_t since_us;             /* of this state, loop clock; 0 = since it was created */
	int64_t since_unix_us;        /* the same for people */
	int64_t left_up_us;           /* when it was up last */
	enum backend_return returned; /* BACKEND_UP */
	int64_t until_us;             /* BACKEND_DOWN: when rondo looks at it again */
	int64_t window_us;    /* the current window, or the last; doubles at each failed trial */
	int64_t ramp_from_us; /* when it came back, for slow start; 0 = it was never down */
	struct record records[RECORDS]; /* since it came up */
	unsigned epoch;                 /* changes of state so far */
	unsigned checks_failed;         /* in a row */
	unsigned checks_good;
	bool on_trial; /* BACKEND_TRIAL: its one request is under way */

	struct silence silence;
	/* Times of loop_attentive_us. */
	int64_t silent_us;       /* quiet since then, and found silent; 0 = it is not */
	int64_t heard_after_us;  /* how long its last silence was */
	int64_t silence_told_us; /* when the log last said so */
	bool silence_is_told;    /* of this silence */

	/* For the ring. */
	int64_t turn;           /* running weight */
	unsigned latency_share; /* thousandths of its weight that its response time leaves it */
	struct latency latency;

	struct net_addr *addrs; /* in the resolver's order */
	size_t addr_count;
	size_t addr_first; /* the one that worked last: where a try begins */

	struct backend_conn *idle; /* utlist DL, the freshest first */
	unsigned idle_count;
	struct backend_conn *bound; /* that are set aside; utlist DL, the freshest first */
	unsigned bound_count;
	unsigned active; /* connections in use by exchanges, those still connecting included */
	/* Its accept queue was full: it counts as full until then. */
	int64_t busy_until_us;

	struct backend_counters counters;
	struct backend_failure failures[BACKEND_FAILURE_HISTORY];
	unsigned failure_next; /* the oldest, and the next to be overwritten */
	/* The one that ended its last time up; it stays until the backend is up again. */
	unsigned failure_decisive;
	unsigned holders;
	struct backend_env *env;
	struct backend *before, *after; /* in env->backends */
};

/* One try of a request. The tries of a request stand in the order they were made. */
struct try_record {
	struct backend *backend; /* held */
	enum outcome outcome;
	unsigned status;       /* of the answer, if there was one */
	enum http_fault fault; /* the rule that the answer breaks, if it is known */
	int64_t took_us;
	/* Of the backend when it was picked. */
	enum standing standing;
	unsigned epoch;
};

/* A connection to a backend: idle in the pool, or held by an exchange. */
struct backend_conn {
	struct conn conn;
	struct backend *backend; /* outlives it: the holder of a connection holds the backend too */
	struct backend_env *env;
	bool is_idle;
	bool is_bound;                      /* to one client: nobody else's requests go there */
	bool is_aside;                      /* it waits for the next request of that client */
	bool is_challenged;                 /* its last answer asked that client to authenticate */
	struct backend_conn *prev, *next;   /* in backend->idle or backend->bound */
	struct backend_conn *newer, *older; /* in env->idle or env->bound */
	void *holder;                       /* the user that took it; for its on_event */
	uint64_t exchanges;                 /* requests sent on it before this one: 0 = fresh */
	int64_t opened_us;
	struct net_addr addr; /* it is connected to, or tries */
	struct timer timer;   /* the idle limit while it is in the pool */
	struct loop_task free_task;
};

/* What all backends share. Lives as long as the daemon. */
struct backend_env {
	struct loop *loop;
	/* All that are held, utlist DL: in the ring, prepared for it, or removed from it. */
	struct backend *backends;
	struct slab *blocks;      /* buffers */
	struct slab *connections; /* struct backend_conn; timers are reserved for all of them */
	size_t
	    connection_limit; /* open at the same time; the slab has room for dying ones besides */
	size_t open;          /* connections to all backends, idle ones included */
	struct backend_conn *idle;  /* of all backends, utlist DL, the freshest first */
	struct backend_conn *bound; /* the same of those that are set aside */
	int64_t idle_timeout_us;    /* timeouts.backend_idle; 0 = nothing is pooled */
	int64_t age_limit_us;       /* timeouts.backend_age; 0 = none */
	struct silence_common silence;
	/* Called after every change of state, when the new state is set. May be NULL. */
	void (*on_change)(struct backend *backend, void *context);
	/* It was found silent (backend->silent_us), or is silent no more. May be NULL. */
	void (*on_silence)(struct backend *backend, void *context);
	void *context;
	/* For requests that wait for a backend: a place was given back (`is_place`), or backends
	 * are not what they were. May be NULL. */
	void (*on_room)(void *waiting_room, bool is_place);
	void *waiting_room;
	/* Requests wait, and no backend is up: checks look for one more often. on_sought says that
	 * this has begun; may be NULL. */
	bool is_sought;
	void (*on_sought)(void *context);
};

/* Calls on_room. */
void backend_tell_room(struct backend_env *env, bool is_place);

/* The value of Host for a backend with these options: "app:8001", "[::1]:8001", "localhost" for a
 * Unix socket. The caller frees it; NULL without memory. */
char *backend_authority(const struct backend_options *options);

/* A backend that is up, with copies of the options and one holder, or NULL without memory. A
 * literal address or a path is resolved at once; a name leaves it `unresolved` until
 * backend_set_addrs. */
struct backend *backend_create(struct backend_env *env, const struct backend_options *options);

/* Prepares new options with the same url (a reload): a copy whose commit cannot fail. NULL without
 * memory. backend_commit_update puts it into effect; backend_cancel_update frees it, and accepts
 * NULL. */
struct backend_update *backend_prepare_update(
    const struct backend *backend, const struct backend_options *options);
void backend_commit_update(struct backend *backend, struct backend_update *update);
void backend_cancel_update(struct backend_update *update);

/* Users that need it to stay. The last drop closes idle connections and frees it. */
void backend_hold(struct backend *backend);
void backend_drop(struct backend *backend);

/* The resolver's answer: copies `addrs`; 0 of them leaves the old ones. Idle connections to other
 * addresses are closed. Requests in flight, and connections that are bound to a client, are not
 * disturbed. False without memory: nothing changed. */
bool backend_set_addrs(struct backend *backend, const struct net_addr *addrs, size_t count);

/* Is this one of its addresses? */
bool backend_has_address(const struct backend *backend, const struct net_addr *addr);

struct backend_change {
	enum backend_state state;
	enum outcome reason;   /* of going down; of coming up OUTCOME_GOOD or OUTCOME_CHECK */
	unsigned status;       /* with OUTCOME_STATUS */
	enum http_fault fault; /* with OUTCOME_BAD_RESPONSE and OUTCOME_CUT_OFF */
	int64_t window_us;     /* for BACKEND_DOWN */
	int64_t now_us;
};

/*
 * The one place that changes the state. Logs it: "backend app2 is down: connection refused (10 s)".
 * Going down closes the idle connections; coming up clears the records and starts the ramp of slow
 * start; any change ends the trial under way and the count of checks in a row. From BACKEND_DOWN to
 * BACKEND_DOWN the reason and the times change, without a log line and without on_change.
 */
void backend_set_state(struct backend *backend, const struct backend_change *change);

/* Down as before, but rondo looks at it at `when_us`, before or after the end of its window. */
void backend_look_again_at(struct backend *backend, int64_t when_us);

void backend_close_idle(struct backend *backend);

/* The operator's wish: the backend gets no new requests, and no connection goes into its pool; or
 * the end of this. */
void backend_set_draining(struct backend *backend, bool draining);

/* Remembers a failure for counters and "why". If it is the backend's fault and a request met it,
 * its duration also counts for the response time. A failed check counts as OUTCOME_CHECK, however
 * it failed. */
void backend_note_failure(struct backend *backend, const struct backend_failure *failure);

/* Remembers a time to first byte. */
void backend_note_latency(struct backend *backend, int64_t took_us);

/* An attempt at the backend waits: for a connection, or, when the request is wholly sent and no
 * byte of its answer has come, for that. Then the first byte of the answer came (`is_sample`: its
 * gap counts for patience), or the attempt waits no longer. */
void backend_connects(struct backend *backend, struct pending *pending);
void backend_owes(struct backend *backend, struct pending *pending);
void backend_hears(struct backend *backend, struct pending *pending, bool is_sample);
void backend_forgets(struct backend *backend, struct pending *pending);

/* How long it may be quiet, as silence_patience_us says. */
int64_t backend_patience_us(const struct backend *backend);

/* Is it silent, by the answers of other backends? Notes it when it is found silent. */
bool backend_is_silent(struct backend *backend, int64_t seen_us);

/* As silence_has_just_woken and silence_allows_look. */
bool backend_has_just_woken(const struct backend *backend, int64_t seen_us);
bool backend_allows_look(const struct backend *backend, int64_t seen_us);

enum standing backend_standing(const struct backend *backend);

/* It is up, and requests may be sent there: not draining, not unresolved. */
bool backend_is_up(const struct backend *backend);

/* Failures in a row that were not compared by a request: the longer streak of RECORD_ONCE and
 * RECORD_CONTENT. */
unsigned backend_suspicions(const struct backend *backend);

enum { BACKEND_STATE_WORDS = BACKEND_STATES + 2 };

/* The words for people: those of enum backend_state, "up", "down", "trial", then "draining" and
 * "unresolved", which are shown instead of a state. */
extern const char *const backend_state_words[BACKEND_STATE_WORDS];
const char *backend_state_word(const struct backend *backend);

enum { BACKEND_TEXT_SIZE = 256 };

/* Why it is in its state, for people: "no answer in time", "status 503", "trial succeeded". If the
 * backend drains or has no address, the text says that instead. Returns `text`. */
const char *backend_describe_why(
    const struct backend *backend, char text[static BACKEND_TEXT_SIZE]);

/* How it came into its state, without regard to the operator and the resolver: "connection refused
 * (10 s)", "trial succeeded, after 12 s". Returns `text`. */
const char *backend_describe_change(
    const struct backend *backend, char text[static BACKEND_TEXT_SIZE]);

/*
 * A connection to work with: the freshest idle one that is not too old, or NULL when there is none.
 * The caller owns it until backend_give or backend_close, and sets conn.on_event and holder. The
 * counts conn.sent and conn.received begin anew.
 */
struct backend_conn *backend_take(struct backend *backend);

/*
 * A new connection to address `number` (modulo how many there are). A try begins with
 * backend->addr_first and counts up from there: asking for "the next of the preferred one" later
 * would go wrong when another request changes the preference meanwhile. NULL when it failed at
 * once, with a negative errno in *error; *connecting as net_connect says. If idle connections use
 * up max_connections, the limit of all connections or the descriptors, the one that was idle
 * longest is closed to make room; where none is idle, the one that was set aside first.
 */
struct backend_conn *backend_connect(
    struct backend *backend, size_t number, int *error, bool *connecting);

/* Reports that it is connected: the next try begins with its address. Call it once for each
 * connection of backend_connect, when net_connect_result was good or *connecting was false. */
void backend_connected(struct backend_conn *connection);

/* How many addresses a try may go through; 0 when unresolved. */
size_t backend_address_count(const struct backend *backend);

/* Tries begin with this one of backend->addrs from now on. */
void backend_prefer_address(struct backend *backend, size_t number);

/* Gives it back to the pool: response complete, request completely sent, nothing left in its
 * buffers, both sides keep alive. Closed instead when the backend is down or draining, or the
 * connection too old, or bound, or its address no longer one of the backend's. */
void backend_give(struct backend_conn *connection);

/*
 * One that is bound, instead of backend_give: it waits for the next request of its client, and is
 * not counted as active. The caller has set is_bound, and sets holder and conn.on_event, which must
 * end it (backend_close): it is called for a byte, an end or an error, and when the connection has
 * to make room for another one. backend_take_back makes it active again.
 */
void backend_set_aside(struct backend_conn *connection);
void backend_take_back(struct backend_conn *connection);

/* The connection that was set aside first, of this backend or of all, makes room; false when there
 * is none. */
bool backend_give_way(struct backend *backend);
bool backend_give_way_anywhere(struct backend_env *env);

/* Open connections without a request: in the pool, or set aside. */
unsigned backend_count_idle(const struct backend *backend);

/* Ends it. `reset`: the peer is to notice that it was cut off. */
void backend_close(struct backend_conn *connection, bool reset);

#endif
