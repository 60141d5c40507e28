#include "upstream/outcome.h"

#include <errno.h>
#include <stdio.h>

static const struct {
	enum blame blame;
	const char *word, *text;
} outcomes[OUTCOMES] = {
    [OUTCOME_GOOD] = {BLAME_NONE, "good", "answered"},
    [OUTCOME_REFUSED] = {BLAME_HARD, "refused", "connection refused"},
    [OUTCOME_UNREACHABLE] = {BLAME_HARD, "unreachable", "unreachable"},
    [OUTCOME_CONNECT_TIMEOUT] = {BLAME_HARD, "connect_timeout", "no connection in time"},
    [OUTCOME_CHECK] = {BLAME_HARD, "check", "health checks failed"},
    [OUTCOME_LATE] = {BLAME_SOFT, "timeout", "no answer in time"},
    [OUTCOME_STALLED] = {BLAME_SOFT, "stalled", "took no more of the request"},
    [OUTCOME_RESET] = {BLAME_SOFT, "reset", "connection ended before the answer"},
    [OUTCOME_BAD_RESPONSE] = {BLAME_SOFT, "bad_response", "broken response"},
    [OUTCOME_STATUS] = {BLAME_SOFT, "status", "status"},
    [OUTCOME_CUT_OFF] = {BLAME_SOFT, "cut_off", "answer cut off"},
    [OUTCOME_BUSY] = {BLAME_NONE, "busy", "accept queue is full"},
    [OUTCOME_STALE] = {BLAME_NONE, "stale", "idle connection had ended"},
    [OUTCOME_IMPATIENT] = {BLAME_NONE, "impatient", "did not wait for the client"},
    [OUTCOME_SILENT] = {BLAME_NONE, "silent", "silent, and another backend answered"},
    [OUTCOME_LOST] = {BLAME_NONE, "lost", "another backend answered first"},
    [OUTCOME_GIVEN_UP] = {BLAME_NONE, "given_up", "no connection yet, sent elsewhere"},
    [OUTCOME_CLIENT] = {BLAME_NONE, "client", "client went away"},
    [OUTCOME_SHORTAGE] = {BLAME_NONE, "shortage", "out of descriptors, ports or memory"},
    [OUTCOME_DEADLINE] = {BLAME_NONE, "deadline", "deadline of the request passed"},
};

const char *outcome_word(enum outcome outcome)
{
	return outcomes[outcome].word;
}

const char *outcome_text(enum outcome outcome)
{
	return outcomes[outcome].text;
}

const char *outcome_describe(enum outcome outcome, unsigned status, enum http_fault fault,
    char text[static OUTCOME_TEXT_SIZE])
{
	if (outcome == OUTCOME_STATUS)
		snprintf(text, OUTCOME_TEXT_SIZE, "%s %u", outcome_text(outcome), status);
	else if (fault != HTTP_FAULT_NONE)
		snprintf(text, OUTCOME_TEXT_SIZE, "%s: %s", outcome_text(outcome),
		    http_fault_rule(fault));
	else
		snprintf(text, OUTCOME_TEXT_SIZE, "%s", outcome_text(outcome));
	return text;
}

enum blame outcome_blame(enum outcome outcome)
{
	return outcomes[outcome].blame;
}

enum outcome outcome_of_connect_error(int error)
{
	switch (error < 0 ? -error : error) {
	case ECONNREFUSED:
	case ECONNRESET:
	case ENOENT: /* a Unix socket that does not exist yet */
		return OUTCOME_REFUSED;
	case ETIMEDOUT:
		return OUTCOME_CONNECT_TIMEOUT;
	case EAGAIN: /* a Unix socket whose accept queue is full */
		return OUTCOME_BUSY;
	case EADDRNOTAVAIL:
	case EMFILE:
	case ENFILE:
	case ENOBUFS:
	case ENOMEM:
	case ENOSPC:
		return OUTCOME_SHORTAGE;
	default:
		return OUTCOME_UNREACHABLE;
	}
}
