/*
 * silence - is a backend quiet for longer than is normal, while others answer?
 *
 * A backend owes an answer for each request that was wholly sent to it and of whose answer no byte
 * has come. While it owes, it is quiet since the later of two times: when it began to owe, and when
 * the first byte of its last answer came. `patience` is how long quiet is normal: twice the 99th
 * percentile of the gaps between such first bytes, of all backends. A backend that has been quiet
 * for longer is silent if another one has answered since; that one must not have just woken from
 * such a quiet itself. A silent backend is passed over (ring), and requests that are stuck on it
 * may be sent to a second one (dispatch), within the tokens counted here.
 *
 * Pure: state, event and now. No system call, no clock, no memory of its own. The owner of a
 * `pending` embeds it and takes it off before its memory goes. Judgements take the time until
 * which all input was read (loop_seen_us), so that time in which rondo stood still is held against
 * no backend.
 */
#ifndef RONDO_UPSTREAM_SILENCE_H
#define RONDO_UPSTREAM_SILENCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* silence.after: other values are a fixed patience in microseconds. */
#define SILENCE_AUTO INT64_C(0)
#define SILENCE_OFF  INT64_C(-1)

struct silence_options {
	int64_t after_us;
	unsigned rescue_percent; /* silence.rescue; 0 = requests are never sent to a second one */
};

/* Gaps are counted in buckets, eight for each power of two from SILENCE_LEAST_GAP_US on. */
enum { SILENCE_BUCKETS = 8 * 28, SILENCE_LEAST_GAP_US = 1 << 10 };

struct silence_gaps {
	uint32_t buckets[SILENCE_BUCKETS];
	uint32_t count;
};

/* What all backends of a ring share. Zeroed, with its options set, it knows no gaps. */
struct silence_common {
	struct silence_options options;
	/* The gaps since began_us, and those of the period before. */
	struct silence_gaps gaps, gaps_before;
	int64_t began_us;
	int64_t patience_us; /* by the gaps; 0 = too few are known */
	int64_t worked_out_us;
	int64_t answered_us; /* the last answer of a backend that had not just woken */
	/* Tokens for requests that are sent to a second backend, in hundredths. */
	int64_t tokens_spent; /* below the most there may be */
	int64_t second;       /* that `requests` are counted in */
	uint64_t requests, requests_before;
};

/* An attempt that waits for a sign of life of a backend. Embedded in its owner. */
struct pending {
	struct pending *prev, *next; /* utlist DL, the oldest first */
	int64_t since_us;            /* the connect began, or the request was wholly sent */
	bool is_listed;              /* on one of the lists of its backend, */
	bool is_owed;                /* on `owed` */
	bool may_move; /* another backend may get the request while this one is waited for */
};

/* The silence of one backend. Zeroed, it owes nothing. */
struct silence {
	struct pending *owed;     /* wait for the first byte of an answer */
	struct pending *connects; /* wait for a connection */
	unsigned owed_count;
	int64_t quiet_us;  /* quiet since, while it owes */
	int64_t heard_us;  /* the first byte of its last answer; 0 = never */
	int64_t woke_us;   /* when it last answered after a quiet longer than patience; 0 = never */
	int64_t looked_us; /* when a request was last sent to it though it was silent */
};

/* ---- events */

/* A request arrived: its share of a token. */
void silence_request(struct silence_common *common, int64_t now_us);

/* `pending` waits for a connection from now on. */
void silence_connects(struct silence *own, struct pending *pending, int64_t now_us);

/* The request of `pending` was wholly sent, and no byte of its answer has come: an answer is
 * owed. */
void silence_owes(struct silence *own, struct pending *pending, int64_t now_us);

/* `pending` waits no longer, and no byte came: its connect ended, its attempt failed or was given
 * up. Does nothing when it is on no list. */
void silence_forget(struct silence *own, struct pending *pending);

/* What silence_hears has to know, beside the backend and now. */
struct silence_sign {
	struct pending *pending; /* of the attempt; it may be on no list */
	int64_t most_us;         /* silence_most_us */
	bool is_sample;          /* the gap counts: the request was not sent to a second backend */
};

/* The first byte of an answer came. */
void silence_hears(struct silence_common *common, struct silence *own,
    const struct silence_sign *sign, int64_t now_us);

/* ---- judgements */

/* The longest patience for a backend with this limit: half of max_delay_response. */
int64_t silence_most_us(int64_t max_delay_response_us);

/* How long quiet is normal, at most `most_us`; TIMER_NEVER with SILENCE_OFF. */
int64_t silence_patience_us(struct silence_common *common, int64_t most_us, int64_t now_us);

/* Has it been quiet for longer than patience? */
bool silence_is_quiet(
    struct silence_common *common, const struct silence *own, int64_t most_us, int64_t seen_us);

/* It is quiet; has another backend answered since that had not just woken? */
static inline bool silence_is_noted_by_others(
    const struct silence_common *common, const struct silence *own)
{
	return common->answered_us > own->quiet_us;
}

/* Did it answer after a longer quiet than patience, less than one patience ago? */
bool silence_has_just_woken(
    struct silence_common *common, const struct silence *own, int64_t most_us, int64_t now_us);

/* May a request that can move be sent to a silent backend, to look whether it answers? */
bool silence_allows_look(
    struct silence_common *common, const struct silence *own, int64_t most_us, int64_t seen_us);

/* ---- tokens */

/* Takes a token for a request that is sent to a second backend; false when none is left. */
bool silence_take_token(struct silence_common *common, int64_t now_us);

/* Gives the token back: the request was not sent to a second backend after all. */
void silence_return_token(struct silence_common *common);

#endif
