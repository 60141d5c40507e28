/*
 * check - one connect, or one GET of health.path, to one backend.
 *
 * rondo makes it for itself, in the running proxy and in rondo -P alike. It uses a connection of
 * its own, never one of the pool and not counted among the active ones. It is over within
 * health.timeout (timeouts.connect when it only connects), in which all addresses of the backend
 * are tried, each for an equal part of what is left. The head of an answer decides; its content is
 * read, within the same time, so that the backend is not cut off in its answer.
 *
 * A check reports to its owner and decides nothing: verdict decides what a result means.
 */
#ifndef RONDO_UPSTREAM_CHECK_H
#define RONDO_UPSTREAM_CHECK_H

#include "http/body.h"
#include "upstream/verdict.h"

/* A range of statuses, "200-399". */
struct check_range {
	unsigned from, to;
};

enum { CHECK_RANGES = 8 };

struct check_options {
	const char *path; /* "" = connects only */
	const char *host; /* Host of a GET; "" = the backend's */
	unsigned port;    /* that a GET goes to; 0 = the backend's */
	int64_t interval_us, timeout_us, connect_timeout_us;
	struct verdict_check_rules rules;
	struct check_range expect[CHECK_RANGES];
	size_t expect_count;
};

/* Limits of an answer: a head with more bytes or fields is broken; at most this much content is
 * read before the connection is closed. */
enum { CHECK_HEAD_BYTES = 16384, CHECK_FIELDS = 100, CHECK_CONTENT_BYTES = 64 * 1024 };

/* Whether it GETs, or only connects. */
bool check_gets(const struct check_options *options);

struct check;

struct check_result {
	enum outcome outcome;  /* OUTCOME_GOOD, also where it only connected */
	unsigned status;       /* of the answer; 0 = there was none */
	enum http_fault fault; /* with OUTCOME_BAD_RESPONSE */
	int error;             /* errno of the last connect that failed, or 0 */
	int64_t took_us;
};

enum check_state {
	CHECK_IDLE,
	CHECK_CONNECTING, /* to an address of the backend */
	CHECK_SENDING,    /* the GET */
	CHECK_HEADING,    /* for the head of the final answer */
	CHECK_EMPTYING,   /* the result is known; the rest of the answer is read and dropped */
	CHECK_STATES
};

/* What the owner of a check provides. */
struct check_start {
	struct loop *loop;
	struct slab *blocks;
	struct backend *backend;             /* held by the owner while it is checked */
	const struct check_options *options; /* as they are when they are needed */
	/* The result is known, once for each check_begin. */
	void (*on_result)(struct check *check, const struct check_result *result);
	/* After that: it is idle, and may begin again. */
	void (*on_over)(struct check *check);
};

struct check {
	struct check_start with;
	enum check_state state;
	struct timer timer;
	struct conn conn;
	struct parse parse;
	unsigned interims; /* 1xx so far */
	struct body rest;  /* CHECK_EMPTYING */
	struct check_result result;
	int64_t began_us, limit_us;
	int64_t address_due_us; /* CHECK_CONNECTING: when the next address is tried */
	size_t address, addresses_left;
};

/* Idle. Its timer is not reserved. */
void check_init(struct check *check, const struct check_start *start);

/* Begins; the backend has an address. on_result may be called before it returns. */
void check_begin(struct check *check);

/* Ends it without calling on_result or on_over. Its memory must last until the end of the turn. */
void check_stop(struct check *check);

#endif
