#include "upstream/silence.h"

#include "event/timer.h"

#include <assert.h>
#include <utlist.h>

/* A period of gaps ends when it has so many of them and is so old. */
enum { PERIOD_GAPS = 1000 };
static const int64_t PERIOD_US = 30000000;

/* Fewer gaps say nothing about what is normal. */
enum { GAPS_LEAST = 20 };

static const int64_t PATIENCE_LEAST_US = 20000;
static const int64_t PATIENCE_AGE_US = 100000; /* it is worked out at most so often */
static const int64_t LOOK_PAUSE_US = 250000;
static const int64_t SECOND_US = 1000000;

enum { LOOK_PATIENCES = 10, TOKEN = 100, TOKENS_KEPT = 10 };

static int64_t later(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

/* ---- gaps */

static unsigned gap_bucket(int64_t gap_us)
{
	if (gap_us < SILENCE_LEAST_GAP_US)
		return 0;
	unsigned power = 63U - (unsigned)__builtin_clzll((unsigned long long)gap_us);
	unsigned eighth = (unsigned)(gap_us >> (power - 3)) & 7U;
	unsigned bucket = (power - 10) * 8 + eighth + 1;

	return bucket < SILENCE_BUCKETS ? bucket : SILENCE_BUCKETS - 1;
}

/* The end of the bucket: no gap in it is longer. */
static int64_t bucket_end_us(unsigned bucket)
{
	if (bucket == 0)
		return SILENCE_LEAST_GAP_US;
	return (int64_t)(8 + (bucket - 1) % 8 + 1) << ((bucket - 1) / 8 + 7);
}

static void note_gap(struct silence_common *common, int64_t gap_us, int64_t now_us)
{
	if (common->gaps.count >= PERIOD_GAPS && now_us - common->began_us >= PERIOD_US) {
		common->gaps_before = common->gaps;
		common->gaps = (struct silence_gaps){.count = 0};
		common->began_us = now_us;
	}
	common->gaps.buckets[gap_bucket(gap_us)]++;
	common->gaps.count++;
}

/* The 99th percentile of the gaps. */
static int64_t longest_normal_us(const struct silence_common *common)
{
	uint64_t count = (uint64_t)common->gaps.count + common->gaps_before.count;
	uint64_t longer = count - count * 99 / 100; /* and the one at the 99th percentile */
	unsigned bucket = SILENCE_BUCKETS;

	for (uint64_t seen = 0; seen < longer && bucket > 0;) {
		bucket--;
		seen += common->gaps.buckets[bucket] + common->gaps_before.buckets[bucket];
	}
	return bucket_end_us(bucket);
}

static void work_out_patience(struct silence_common *common, int64_t now_us)
{
	if (common->worked_out_us > 0 && now_us - common->worked_out_us < PATIENCE_AGE_US)
		return;
	common->worked_out_us = now_us;
	common->patience_us = 0;
	if (common->gaps.count + common->gaps_before.count >= GAPS_LEAST)
		common->patience_us = later(2 * longest_normal_us(common), PATIENCE_LEAST_US);
}

int64_t silence_most_us(int64_t max_delay_response_us)
{
	return later(max_delay_response_us / 2, PATIENCE_LEAST_US);
}

int64_t silence_patience_us(struct silence_common *common, int64_t most_us, int64_t now_us)
{
	if (common->options.after_us == SILENCE_OFF)
		return TIMER_NEVER;
	if (common->options.after_us != SILENCE_AUTO)
		return common->options.after_us;
	work_out_patience(common, now_us);
	if (common->patience_us == 0 || common->patience_us > most_us)
		return most_us;
	return common->patience_us;
}

/* Nearly always it is shorter than any patience, which then need not be worked out. */
static bool exceeds_patience(
    struct silence_common *common, int64_t quiet_us, int64_t most_us, int64_t now_us)
{
	if (common->options.after_us == SILENCE_AUTO && quiet_us <= PATIENCE_LEAST_US)
		return false;
	return quiet_us > silence_patience_us(common, most_us, now_us);
}

/* ---- events */

void silence_connects(struct silence *own, struct pending *pending, int64_t now_us)
{
	assert(!pending->is_listed && !pending->is_owed);
	pending->since_us = now_us;
	pending->is_listed = true;
	DL_APPEND(own->connects, pending);
}

void silence_owes(struct silence *own, struct pending *pending, int64_t now_us)
{
	assert(!pending->is_listed);
	pending->since_us = now_us;
	pending->is_listed = true;
	pending->is_owed = true;
	DL_APPEND(own->owed, pending);
	if (own->owed_count++ == 0)
		own->quiet_us = now_us;
}

void silence_forget(struct silence *own, struct pending *pending)
{
	if (!pending->is_listed)
		return;
	pending->is_listed = false;
	if (pending->is_owed) {
		DL_DELETE(own->owed, pending);
		own->owed_count--;
	} else {
		DL_DELETE(own->connects, pending);
	}
	pending->is_owed = false;
}

void silence_hears(struct silence_common *common, struct silence *own,
    const struct silence_sign *sign, int64_t now_us)
{
	if (own->owed_count > 0) {
		int64_t quiet_us = now_us - own->quiet_us;

		if (exceeds_patience(common, quiet_us, sign->most_us, now_us))
			own->woke_us = now_us;
		if (sign->is_sample)
			note_gap(common, quiet_us, now_us);
	}
	silence_forget(own, sign->pending);
	own->heard_us = now_us;
	own->quiet_us = now_us;
	if (!silence_has_just_woken(common, own, sign->most_us, now_us))
		common->answered_us = now_us;
}

/* ---- judgements */

bool silence_is_quiet(
    struct silence_common *common, const struct silence *own, int64_t most_us, int64_t seen_us)
{
	return own->owed_count > 0 &&
	       exceeds_patience(common, seen_us - own->quiet_us, most_us, seen_us);
}

bool silence_has_just_woken(
    struct silence_common *common, const struct silence *own, int64_t most_us, int64_t now_us)
{
	return own->woke_us > 0 &&
	       !exceeds_patience(common, now_us - own->woke_us, most_us, now_us);
}

bool silence_allows_look(
    struct silence_common *common, const struct silence *own, int64_t most_us, int64_t seen_us)
{
	int64_t patience_us = silence_patience_us(common, most_us, seen_us);
	int64_t silent_us = own->quiet_us + patience_us;

	return common->options.rescue_percent > 0 &&
	       seen_us >= later(own->looked_us, silent_us) +
			      later(LOOK_PATIENCES * patience_us, LOOK_PAUSE_US);
}

/* ---- tokens */

static void count_seconds(struct silence_common *common, int64_t now_us)
{
	int64_t second = now_us / SECOND_US;

	if (second == common->second)
		return;
	common->requests_before = second == common->second + 1 ? common->requests : 0;
	common->requests = 0;
	common->second = second;
}

void silence_request(struct silence_common *common, int64_t now_us)
{
	count_seconds(common, now_us);
	common->requests++;
	common->tokens_spent -= common->options.rescue_percent;
	if (common->tokens_spent < 0)
		common->tokens_spent = 0;
}

bool silence_take_token(struct silence_common *common, int64_t now_us)
{
	count_seconds(common, now_us);
	uint64_t requests =
	    common->requests > common->requests_before ? common->requests : common->requests_before;
	int64_t most = TOKENS_KEPT * TOKEN + (int64_t)requests * common->options.rescue_percent;
	if (common->options.rescue_percent == 0 || common->tokens_spent + TOKEN > most)
		return false;
	common->tokens_spent += TOKEN;
	return true;
}

void silence_return_token(struct silence_common *common)
{
	common->tokens_spent -= TOKEN;
	if (common->tokens_spent < 0)
		common->tokens_spent = 0;
}
