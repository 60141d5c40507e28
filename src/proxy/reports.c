#include "proxy/reports.h"

#include <string.h>

enum { SECOND_US = 1000 * 1000 };

/* Ends the second. */
static void say_left_out(struct reports *reports)
{
	for (size_t i = 0; i < reports->count; i++) {
		const struct reports_reason *reason = &reports->reasons[i];

		if (reason->left_out > 0)
			log_line(reason->level, "%s: %llu more within a second", reason->text,
			    (unsigned long long)reason->left_out);
	}
	reports->count = 0;
	timer_cancel(&reports->timer);
}

static void on_due(struct timer *timer)
{
	say_left_out(container_of(timer, struct reports, timer));
}

void reports_init(struct reports *reports, struct loop *loop)
{
	*reports = (struct reports){.loop = loop};
	timer_init(&reports->timer, on_due);
}

static struct reports_reason *find(struct reports *reports, enum log_level level, const char *text)
{
	struct reports_reason *reason = reports->reasons;

	for (; reason < reports->reasons + reports->count; reason++)
		if (strcmp(reason->text, text) == 0)
			return reason;
	if (reports->count == REPORTS_REASONS) {
		reason[-1].text = "other reasons";
		return reason - 1;
	}
	*reason = (struct reports_reason){.text = text, .level = level};
	reports->count++;
	return reason;
}

bool reports_take(struct reports *reports, enum log_level level, const char *reason)
{
	int64_t now_us = loop_now_us(reports->loop);

	if (level > log_get_level())
		return false;
	if (now_us >= reports->ends_us) {
		say_left_out(reports);
		reports->ends_us = now_us + SECOND_US;
	}
	struct reports_reason *found = find(reports, level, reason);
	if (found->said < REPORTS_A_SECOND) {
		found->said++;
		return true;
	}
	if (found->left_out++ == 0)
		timer_arm(loop_timers(reports->loop), &reports->timer, reports->ends_us);
	return false;
}

void reports_finish(struct reports *reports)
{
	say_left_out(reports);
	timer_remove(loop_timers(reports->loop), &reports->timer);
}
