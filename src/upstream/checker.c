#include "checker.h"

#include "base/table.h"

#include <stdlib.h>

/* The delay of a check that cannot be made now. */
static const int64_t PAUSE_US = 1000000;

/* The time from one check to the next while requests wait for a backend. */
static const int64_t SOUGHT_US = 100000;

enum purpose {
	TO_RETURN, /* the backend is down, and its window is over */
	PERIODIC
};

/* One backend of the ring, and when it is checked. */
struct checked {
	struct checker *checker;
	struct backend *backend; /* held */
	struct check check;
	enum purpose purpose;
	int64_t periodic_us;   /* when the next periodic check is due */
	int64_t not_before_us; /* after a shortage */
	int64_t began_us;      /* its last check began */
	struct loop_task free_task;
};

struct checker {
	struct ring *ring;
	struct backend_env *env;
	struct check_options options;
	char *path, *host; /* of the options */
	struct checked *
	    *checked; /* in the order of the ring when it was looked at; NULL: no memory */
	size_t count;
	struct timer timer; /* for the check that begins next */
};

static int64_t now_us(const struct checker *checker)
{
	return loop_now_us(checker->env->loop);
}

static bool gets(const struct checker *checker)
{
	return checker->path && check_gets(&checker->options);
}

void checker_wake(struct checker *checker)
{
	/* Overdue checks come first: others must not be able to delay them, turn after turn. */
	if (checker->timer.due_us > now_us(checker))
		timer_arm(loop_timers(checker->env->loop), &checker->timer, now_us(checker));
}

/* ---- results */

static void note_failure(struct checked *checked, const struct check_result *result)
{
	const struct backend_failure failure = {
	    .source = checked->purpose == PERIODIC ? FAILURE_OF_CHECK : FAILURE_OF_PROBE,
	    .outcome = result->outcome,
	    .status = result->status,
	    .fault = result->fault,
	    .after_us = result->took_us,
	};

	backend_note_failure(checked->backend, &failure);
}

static void on_result(struct check *check, const struct check_result *result)
{
	struct checked *checked = container_of(check, struct checked, check);
	struct checker *checker = checked->checker;
	const struct try_record try = {
	    .backend = checked->backend,
	    .outcome = result->outcome,
	    .status = result->status,
	    .fault = result->fault,
	    .took_us = result->took_us,
	};
	bool is_good = result->outcome == OUTCOME_GOOD;

	if (!is_good && outcome_blame(result->outcome) == BLAME_NONE) {
		checked->not_before_us = now_us(checker) + PAUSE_US;
		return;
	}
	if (!is_good)
		note_failure(checked, result);
	if (checked->purpose == TO_RETURN)
		verdict_probed(checker->ring, &try, now_us(checker));
	else
		verdict_checked(checker->ring, checked->backend, &checker->options.rules, is_good,
		    now_us(checker));
}

static void on_over(struct check *check)
{
	checker_wake(container_of(check, struct checked, check)->checker);
}

/* ---- when */

static int64_t return_due_us(const struct checked *checked)
{
	const struct backend *backend = checked->backend;

	if (backend->state != BACKEND_DOWN)
		return TIMER_NEVER;
	if (backend->reason == OUTCOME_CHECK && gets(checked->checker))
		return TIMER_NEVER;
	return backend->until_us > checked->not_before_us ? backend->until_us
							  : checked->not_before_us;
}

/* Requests wait for any backend that answers. One that is down for a soft reason does answer, and
 * has the time of its window. */
static bool is_sought(const struct checked *checked)
{
	const struct backend *backend = checked->backend;

	return checked->checker->env->is_sought && backend->state == BACKEND_DOWN &&
	       outcome_blame(backend->reason) == BLAME_HARD;
}

/* When its next check begins. */
static int64_t begin_due_us(const struct checked *checked)
{
	int64_t due_us = return_due_us(checked);

	if (checked->check.state != CHECK_IDLE)
		return TIMER_NEVER;
	if (checked->periodic_us < due_us)
		due_us = checked->periodic_us;
	int64_t sought_us = checked->began_us + SOUGHT_US;
	if (sought_us < checked->not_before_us)
		sought_us = checked->not_before_us;
	return is_sought(checked) && sought_us < due_us ? sought_us : due_us;
}

/* A backend that failed its checks comes back by checks. */
static enum purpose next_purpose(const struct checked *checked)
{
	bool by_checks = checked->backend->reason == OUTCOME_CHECK && gets(checked->checker);

	if (is_sought(checked))
		return by_checks ? PERIODIC : TO_RETURN;
	return return_due_us(checked) > now_us(checked->checker) ? PERIODIC : TO_RETURN;
}

static void begin(struct checked *checked)
{
	struct checker *checker = checked->checker;
	const struct backend *backend = checked->backend;

	checked->purpose = next_purpose(checked);
	checked->began_us = now_us(checker);
	if (checked->purpose == PERIODIC)
		checked->periodic_us = now_us(checker) + checker->options.interval_us;
	if (backend->draining || backend_address_count(backend) == 0)
		checked->not_before_us = now_us(checker) + PAUSE_US;
	else
		check_begin(&checked->check);
}

static void arm(struct checker *checker)
{
	int64_t next_us = TIMER_NEVER;

	for (size_t i = 0; i < checker->count; i++) {
		int64_t due_us = now_us(checker) + PAUSE_US;

		if (checker->checked[i])
			due_us = begin_due_us(checker->checked[i]);
		if (due_us < next_us)
			next_us = due_us;
	}
	timer_arm(loop_timers(checker->env->loop), &checker->timer, next_us);
}

/* ---- which backends */

static void on_free(struct loop_task *task)
{
	free(container_of(task, struct checked, free_task));
}

static void checked_destroy(struct checked *checked)
{
	if (!checked)
		return;
	check_stop(&checked->check);
	backend_drop(checked->backend);
	checked->free_task.run = on_free;
	loop_free_later(checked->checker->env->loop, &checked->free_task);
}

static struct checked *checked_create(struct checker *checker, struct backend *backend)
{
	const struct check_start start = {
	    .loop = checker->env->loop,
	    .blocks = checker->env->blocks,
	    .backend = backend,
	    .options = &checker->options,
	    .on_result = on_result,
	    .on_over = on_over,
	};
	struct checked *checked = calloc(1, sizeof(*checked));

	if (!checked)
		return NULL;
	checked->checker = checker;
	checked->backend = backend;
	checked->periodic_us = TIMER_NEVER;
	check_init(&checked->check, &start);
	backend_hold(backend);
	return checked;
}

/* Spreads the next checks over the interval. */
static void spread(struct checker *checker)
{
	for (size_t i = 0; i < checker->count; i++) {
		int64_t offset_us = checker->options.interval_us * (int64_t)i;

		if (!checker->checked[i])
			continue;
		checker->checked[i]->periodic_us = TIMER_NEVER;
		if (gets(checker))
			checker->checked[i]->periodic_us =
			    now_us(checker) + offset_us / (int64_t)checker->count;
	}
}

static bool is_in_step(const struct checker *checker)
{
	if (checker->count != checker->ring->count)
		return false;
	for (size_t i = 0; i < checker->count; i++) {
		const struct checked *checked = checker->checked[i];

		if (!checked || checked->backend != checker->ring->backends[i])
			return false;
	}
	return true;
}

static struct str key_of(struct backend *const *backend)
{
	return (struct str){(const char *)backend, sizeof(*backend)};
}

/* The places of those that are checked, by their backends. False without memory. */
static bool list_places(const struct checker *checker, struct table *places)
{
	for (size_t i = 0; i < checker->count; i++) {
		struct checked **place = &checker->checked[i];

		if (*place && !table_add(places, key_of(&(*place)->backend), place))
			return false;
	}
	return true;
}

/* Those that were checked before keep their place in the schedule. Returns whether the backends are
 * the same as before, in any order. */
static bool take_over(struct checker *checker, const struct table *places, struct checked **checked)
{
	const struct ring *ring = checker->ring;
	bool is_same_set = checker->count == ring->count;

	for (size_t i = 0; i < ring->count; i++) {
		struct checked **place = table_find(places, key_of(&ring->backends[i]));

		if (place) {
			checked[i] = *place;
			*place = NULL;
		} else {
			checked[i] = checked_create(checker, ring->backends[i]);
			is_same_set = false;
		}
	}
	return is_same_set;
}

static void destroy_all(struct checker *checker)
{
	for (size_t i = 0; i < checker->count; i++)
		checked_destroy(checker->checked[i]);
	free(checker->checked);
}

/* Follows the ring: one entry for each of its backends. Checks under way go on. */
static void follow(struct checker *checker)
{
	const struct ring *ring = checker->ring;
	struct table places = {0};

	if (is_in_step(checker))
		return;
	struct checked **checked = calloc(ring->count + 1, sizeof(struct checked *));
	bool good = checked && list_places(checker, &places);
	bool is_same_set = good && take_over(checker, &places, checked);
	table_finish(&places);
	if (!good) {
		free(checked);
		return;
	}
	destroy_all(checker);
	checker->checked = checked;
	checker->count = ring->count;
	if (!is_same_set)
		spread(checker);
}

static void on_due(struct timer *timer)
{
	struct checker *checker = container_of(timer, struct checker, timer);

	follow(checker);
	for (size_t i = 0; i < checker->count; i++) {
		struct checked *checked = checker->checked[i];

		if (checked && begin_due_us(checked) <= now_us(checker))
			begin(checked);
	}
	arm(checker);
}

/* ---- life */

struct checker *checker_create(struct ring *ring, struct backend_env *env)
{
	struct checker *checker = calloc(1, sizeof(*checker));

	if (!checker)
		return NULL;
	checker->ring = ring;
	checker->env = env;
	timer_init(&checker->timer, on_due);
	return checker;
}

void checker_destroy(struct checker *checker)
{
	if (!checker)
		return;
	timer_remove(loop_timers(checker->env->loop), &checker->timer);
	destroy_all(checker);
	free(checker->path);
	free(checker->host);
	free(checker);
}

void checker_configure(
    struct checker *checker, const struct check_options *options, char *path, char *host)
{
	/* Else the first ones would be checked at every reload, and the last ones never. */
	bool is_other_schedule = !checker->path || strcmp(checker->path, path) != 0 ||
				 checker->options.interval_us != options->interval_us;
	free(checker->path);
	free(checker->host);
	checker->path = path;
	checker->host = host;
	checker->options = *options;
	checker->options.path = path;
	checker->options.host = host;
	if (is_other_schedule)
		spread(checker);
	checker_wake(checker);
}
