#include "event/timer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static bool out_of_memory;

void *__real_reallocarray(void *memory, size_t count, size_t size);
void *__wrap_reallocarray(void *memory, size_t count, size_t size);

void *__wrap_reallocarray(void *memory, size_t count, size_t size)
{
	return out_of_memory ? NULL : __real_reallocarray(memory, count, size);
}

/* What a timer does to another one when it runs. */
enum deed { NOTHING, ARM, CANCEL, REMOVE, DESTROY };

struct alarm {
	struct timer timer;
	struct timers *timers;
	int runs;
	enum deed deed;
	struct alarm *victim;
	int64_t victim_due_us;
};

static void on_due(struct timer *timer)
{
	struct alarm *alarm = (struct alarm *)timer; /* its first member */

	alarm->runs++;
	assert_false(timer_is_armed(timer));
	switch (alarm->deed) {
	case NOTHING:
		break;
	case ARM:
		timer_arm(alarm->timers, &alarm->victim->timer, alarm->victim_due_us);
		break;
	case CANCEL:
		timer_cancel(&alarm->victim->timer);
		break;
	case REMOVE:
		timer_remove(alarm->timers, &alarm->victim->timer);
		break;
	case DESTROY:
		timer_remove(alarm->timers, &alarm->victim->timer);
		memset(&alarm->victim->timer, 0x5a, sizeof(alarm->victim->timer));
		break;
	}
}

static void alarm_init(struct alarm *alarm, struct timers *timers)
{
	*alarm = (struct alarm){.timers = timers};
	timer_init(&alarm->timer, on_due);
}

static void a_timer_runs_once_and_never_early(void **state)
{
	struct timers timers;
	struct alarm alarm;

	(void)state;
	timers_init(&timers);
	alarm_init(&alarm, &timers);
	assert_false(timer_is_armed(&alarm.timer));
	assert_true(timers_next(&timers) == TIMER_NEVER);
	timers_run(&timers, 1000);
	timer_arm(&timers, &alarm.timer, 100);
	assert_true(timer_is_armed(&alarm.timer));
	assert_int_equal(timers_next(&timers), 100);
	timers_run(&timers, 99);
	assert_int_equal(alarm.runs, 0);
	timers_run(&timers, 100);
	assert_int_equal(alarm.runs, 1);
	assert_false(timer_is_armed(&alarm.timer));
	timers_run(&timers, 1000);
	assert_int_equal(alarm.runs, 1);
	assert_int_equal(timers.count, 0);
	timers_finish(&timers);
}

static void pushing_away_costs_the_heap_nothing(void **state)
{
	struct timers timers;
	struct alarm alarm;

	(void)state;
	timers_init(&timers);
	alarm_init(&alarm, &timers);
	timer_arm(&timers, &alarm.timer, 100);
	for (int64_t due = 101; due <= 500; due++)
		timer_arm(&timers, &alarm.timer, due);
	assert_int_equal(timers_next(&timers), 100); /* early is allowed */
	timers_run(&timers, 499);
	assert_int_equal(alarm.runs, 0);
	assert_int_equal(timers_next(&timers), 500);
	timer_arm(&timers, &alarm.timer, 200);
	assert_int_equal(timers_next(&timers), 200); /* late is not */
	timers_run(&timers, 200);
	assert_int_equal(alarm.runs, 1);
	timers_finish(&timers);
}

static void a_cancelled_timer_is_forgotten(void **state)
{
	struct timers timers;
	struct alarm alarm;

	(void)state;
	timers_init(&timers);
	alarm_init(&alarm, &timers);
	timer_cancel(&alarm.timer);
	timer_remove(&timers, &alarm.timer);
	timer_arm(&timers, &alarm.timer, TIMER_NEVER);
	assert_int_equal(timers.count, 0);
	timer_arm(&timers, &alarm.timer, 100);
	timer_cancel(&alarm.timer);
	timers_run(&timers, 100);
	assert_int_equal(timers.count, 0);
	timer_arm(&timers, &alarm.timer, 100);
	timer_arm(&timers, &alarm.timer, TIMER_NEVER);
	timers_run(&timers, 100);
	timer_arm(&timers, &alarm.timer, 100);
	timer_remove(&timers, &alarm.timer);
	assert_int_equal(timers.count, 0);
	timers_run(&timers, 100);
	assert_int_equal(alarm.runs, 0);
	/* Cancelled and armed again before the heap noticed. */
	timer_arm(&timers, &alarm.timer, 100);
	timer_cancel(&alarm.timer);
	timer_arm(&timers, &alarm.timer, 150);
	timers_run(&timers, 149);
	assert_int_equal(alarm.runs, 0);
	timers_run(&timers, 150);
	assert_int_equal(alarm.runs, 1);
	timers_finish(&timers);
}

/* Two timers are due together; the first to run does something to the other, which must not run in
 * that round; what follows depends on the deed. */
static void a_callback_has_power_over_the_gathered(void **state)
{
	static const struct {
		enum deed deed;
		int64_t due_us;
		int runs_at_once;  /* of the victim, in the same round */
		int runs_at_100;   /* in another round at the same time */
		int runs_at_10000; /* much later */
	} cases[] = {
	    {NOTHING, 0, 1, 1, 1},
	    {CANCEL, 0, 0, 0, 0},
	    {REMOVE, 0, 0, 0, 0},
	    {DESTROY, 0, 0, 0, 0},
	    {ARM, 50, 0, 1, 1},
	    {ARM, 100, 0, 1, 1},
	    {ARM, 101, 0, 0, 1},
	    {ARM, TIMER_NEVER, 0, 0, 0},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct timers timers;
		struct alarm first, victim;

		timers_init(&timers);
		alarm_init(&first, &timers);
		alarm_init(&victim, &timers);
		first.deed = cases[i].deed;
		first.victim = &victim;
		first.victim_due_us = cases[i].due_us;
		timer_arm(&timers, &first.timer, 10);
		timer_arm(&timers, &victim.timer, 20);
		timers_run(&timers, 100);
		assert_int_equal(first.runs, 1);
		assert_int_equal(victim.runs, cases[i].runs_at_once);
		timers_run(&timers, 100);
		assert_int_equal(victim.runs, cases[i].runs_at_100);
		timers_run(&timers, 10000);
		assert_int_equal(victim.runs, cases[i].runs_at_10000);
		assert_int_equal(timers.count, 0);
		timers_finish(&timers);
	}
}

static void a_timer_that_arms_itself_waits_for_the_next_round(void **state)
{
	struct timers timers;
	struct alarm alarm;

	(void)state;
	timers_init(&timers);
	alarm_init(&alarm, &timers);
	alarm.deed = ARM;
	alarm.victim = &alarm;
	alarm.victim_due_us = 1;
	timer_arm(&timers, &alarm.timer, 1);
	for (int round = 1; round < 5; round++) {
		timers_run(&timers, 100);
		assert_int_equal(alarm.runs, round);
	}
	timer_remove(&timers, &alarm.timer);
	timers_finish(&timers);
}

static void on_due_free(struct timer *timer)
{
	free(timer);
}

static void a_callback_may_free_its_timer(void **state)
{
	struct timers timers;

	(void)state;
	timers_init(&timers);
	for (int64_t i = 0; i < 10; i++) {
		struct timer *timer = malloc(sizeof(*timer));

		assert_non_null(timer);
		timer_init(timer, on_due_free);
		timer_arm(&timers, timer, i);
	}
	timers_run(&timers, 4);
	assert_int_equal(timers.count, 5);
	timers_run(&timers, 9);
	assert_int_equal(timers.count, 0);
	timers_finish(&timers);
}

static void reserved_room_is_kept(void **state)
{
	struct timers timers;
	struct alarm alarms[100];

	(void)state;
	timers_init(&timers);
	assert_true(timers_reserve(&timers, 100));
	assert_int_equal(timers.capacity, 100);
	assert_true(timers_reserve(&timers, 10));
	assert_int_equal(timers.capacity, 100);
	out_of_memory = true;
	assert_false(timers_reserve(&timers, 101));
	out_of_memory = false;
	assert_int_equal(timers.capacity, 100);
	for (size_t i = 0; i < COUNT(alarms); i++) {
		alarm_init(&alarms[i], &timers);
		timer_arm(&timers, &alarms[i].timer, (int64_t)i);
	}
	assert_int_equal(timers.capacity, 100);
	timers_run(&timers, 50);
	for (size_t i = 0; i < COUNT(alarms); i++)
		assert_int_equal(alarms[i].runs, i <= 50);
	timers_finish(&timers);
}

/*
 * The model is an array of due times. Random arming, cancelling, removing and running, also from
 * callbacks, must make the same timers run in the same rounds.
 */
enum { MODEL_TIMERS = 200, MODEL_STEPS = 200000 };

struct model {
	struct timers timers;
	unsigned seed;
	int64_t now_us;
	bool running;
	struct modelled {
		struct timer timer;
		struct model *model;
		int64_t due_us;
		bool expected; /* due when the running round began, and nobody touched it since */
	} all[MODEL_TIMERS];
};

static void model_step(struct model *model)
{
	struct modelled *one = &model->all[(size_t)rand_r(&model->seed) % MODEL_TIMERS];
	int64_t due_us = model->now_us + rand_r(&model->seed) % 1000 - 50;

	one->expected = false;
	switch (rand_r(&model->seed) % 8) {
	case 0:
		timer_remove(&model->timers, &one->timer);
		one->due_us = TIMER_NEVER;
		assert_int_equal(one->timer.position, 0);
		break;
	case 1:
	case 2:
		timer_cancel(&one->timer);
		one->due_us = TIMER_NEVER;
		break;
	default:
		timer_arm(&model->timers, &one->timer, due_us);
		one->due_us = due_us;
		break;
	}
	assert_int_equal(timer_is_armed(&one->timer), one->due_us != TIMER_NEVER);
}

static void on_model_due(struct timer *timer)
{
	struct modelled *one = (struct modelled *)timer; /* its first member */

	assert_true(one->model->running);
	assert_true(one->expected);
	assert_true(one->due_us <= one->model->now_us);
	one->expected = false;
	one->due_us = TIMER_NEVER;
	for (int steps = rand_r(&one->model->seed) % 3; steps > 0; steps--)
		model_step(one->model);
}

static void model_run(struct model *model)
{
	int64_t earliest_us = TIMER_NEVER;

	model->now_us += rand_r(&model->seed) % 100;
	for (size_t i = 0; i < MODEL_TIMERS; i++) {
		model->all[i].expected = model->all[i].due_us <= model->now_us;
		if (model->all[i].due_us < earliest_us)
			earliest_us = model->all[i].due_us;
	}
	assert_true(timers_next(&model->timers) <= earliest_us);
	model->running = true;
	timers_run(&model->timers, model->now_us);
	model->running = false;
	for (size_t i = 0; i < MODEL_TIMERS; i++) {
		assert_false(model->all[i].expected);
		assert_true(model->all[i].timer.due_us == model->all[i].due_us);
	}
	for (size_t i = 1; i < model->timers.count; i++)
		assert_true(
		    model->timers.heap[i]->heap_us >= model->timers.heap[(i + 1) / 2 - 1]->heap_us);
}

static void random_use_agrees_with_a_naive_model(void **state)
{
	static struct model model;

	(void)state;
	model.seed = 20240229;
	timers_init(&model.timers);
	for (size_t i = 0; i < MODEL_TIMERS; i++) {
		model.all[i].model = &model;
		model.all[i].due_us = TIMER_NEVER;
		timer_init(&model.all[i].timer, on_model_due);
	}
	for (int step = 0; step < MODEL_STEPS; step++) {
		model_step(&model);
		if (rand_r(&model.seed) % 10 == 0)
			model_run(&model);
	}
	timers_finish(&model.timers);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_timer_runs_once_and_never_early),
	    cmocka_unit_test(pushing_away_costs_the_heap_nothing),
	    cmocka_unit_test(a_cancelled_timer_is_forgotten),
	    cmocka_unit_test(a_callback_has_power_over_the_gathered),
	    cmocka_unit_test(a_timer_that_arms_itself_waits_for_the_next_round),
	    cmocka_unit_test(a_callback_may_free_its_timer),
	    cmocka_unit_test(reserved_room_is_kept),
	    cmocka_unit_test(random_use_agrees_with_a_naive_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
