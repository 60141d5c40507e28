/*
 * outcome - how one try at a backend ended, and whether that is the backend's fault.
 *
 * verdict decides what follows from it for the backend, and retry decides what the client is told.
 */
#ifndef RONDO_UPSTREAM_OUTCOME_H
#define RONDO_UPSTREAM_OUTCOME_H

#include "http/fault.h"

enum outcome {
	OUTCOME_GOOD,            /* an answer that is passed on */
	OUTCOME_REFUSED,         /* connection refused */
	OUTCOME_UNREACHABLE,     /* no route, host down, no such socket */
	OUTCOME_CONNECT_TIMEOUT, /* no connection in time */
	OUTCOME_CHECK,           /* health checks failed */
	OUTCOME_BUSY,            /* the accept queue of a Unix socket is full */
	OUTCOME_LATE,            /* no first byte, or no whole head, within max_delay_response */
	OUTCOME_STALLED,         /* took no bytes of the request for timeouts.send */
	OUTCOME_RESET,           /* reset or ended before the head, on a fresh connection */
	OUTCOME_BAD_RESPONSE,    /* an answer that is not HTTP or breaks a limit */
	OUTCOME_STATUS,          /* a status in retry.statuses */
	OUTCOME_CUT_OFF,         /* ended, broke or fell silent in the content */
	OUTCOME_STALE,           /* a reused connection had already ended */
	OUTCOME_IMPATIENT,       /* reset or ended after a long wait for the client */
	OUTCOME_SILENT,          /* silent, so another backend was asked too, and answered */
	OUTCOME_LOST,            /* asked beside a silent one, which answered first */
	OUTCOME_GIVEN_UP,        /* no connection for longer than is normal: sent elsewhere */
	OUTCOME_CLIENT,          /* the client went away or was at fault */
	OUTCOME_SHORTAGE,        /* rondo's own: descriptors, ports, memory */
	OUTCOME_DEADLINE,        /* retry.deadline passed while waiting for it */
	OUTCOMES
};

/* One word for logs and metrics, "refused", and words for people, "connection refused". */
const char *outcome_word(enum outcome outcome);
const char *outcome_text(enum outcome outcome);

enum { OUTCOME_TEXT_SIZE = 128 };

/* Words for people, with the status if it is the reason, or the rule that the answer breaks:
 * "status 503", "broken response: bare CR". Returns `text`. */
const char *outcome_describe(enum outcome outcome, unsigned status, enum http_fault fault,
    char text[static OUTCOME_TEXT_SIZE]);

/* Whether an outcome is the backend's fault: hard and soft ones are. */
enum blame { BLAME_NONE, BLAME_SOFT, BLAME_HARD };

enum blame outcome_blame(enum outcome outcome);

/* What an errno of connect(2), positive or negative, means. */
enum outcome outcome_of_connect_error(int error);

#endif
