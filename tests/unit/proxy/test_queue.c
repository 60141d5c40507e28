#include "proxy/queue.h"

#include "../upstream/fleet.h"

enum { WAITERS = 64 };

/* The queue, its backends, and those that wait; the time is what the test says. */
struct room {
	struct loop *loop;
	struct fleet fleet;
	struct queue queue;
	struct guest {
		struct room *room;
		struct waiter waiter;
		struct try_record tries[4];
		size_t letter; /* of its name */
	} guests[WAITERS];
	size_t count;
	bool takes;             /* those that are let in take a place */
	bool fails;             /* those that are let in come back */
	char seen[8 * WAITERS]; /* who was let in, and '.' who was sent away, in order */
	size_t seen_len;
	unsigned sought; /* on_sought was called */
};

static int64_t clock_us;

int64_t __wrap_loop_now_us(const struct loop *loop);
int64_t __wrap_loop_now_us(const struct loop *loop)
{
	(void)loop;
	return clock_us;
}

static void see(struct room *room, char letter)
{
	assert_true(room->seen_len + 1 < sizeof(room->seen));
	room->seen[room->seen_len++] = letter;
	room->seen[room->seen_len] = '\0';
}

static void on_over(void *owner)
{
	struct guest *guest = owner;
	struct room *room = guest->room;

	assert_false(guest->waiter.is_waiting);
	see(room, (char)('a' + guest->letter));
	if (guest->waiter.result != QUEUE_SERVED) {
		see(room, '.');
		return;
	}
	if (room->takes)
		room->fleet.backends[0]->active++;
	if (room->fails)
		assert_true(queue_join(&room->queue, &guest->waiter, WAITERS));
}

static void on_sought(void *context)
{
	((struct room *)context)->sought++;
}

static void room_init(struct room *room, size_t backends)
{
	clock_us = 100 * S;
	*room = (struct room){.loop = loop_create()};
	assert_non_null(room->loop);
	fleet_init(&room->fleet, backends, NULL);
	for (size_t i = 0; i < backends; i++)
		room->fleet.backends[i]->options.max_connections = 1;
	room->fleet.env.context = room;
	room->fleet.env.on_sought = on_sought;
	queue_init(&room->queue, room->loop, &room->fleet.ring, &room->fleet.env);
}

static void room_finish(struct room *room)
{
	for (size_t i = 0; i < room->count; i++)
		queue_leave(&room->queue, &room->guests[i].waiter, QUEUE_LEFT);
	queue_finish(&room->queue);
	for (size_t i = 0; i < room->fleet.count; i++)
		room->fleet.backends[i]->active = 0;
	fleet_finish(&room->fleet);
	loop_destroy(room->loop);
}

/* So many more come and wait. */
static void come(struct room *room, size_t count)
{
	while (count-- > 0) {
		struct guest *guest = &room->guests[room->count];

		*guest = (struct guest){.room = room, .letter = room->count++};
		guest->waiter = (struct waiter){.on_over = on_over, .owner = guest};
		guest->waiter.request = (struct ring_request){
		    .tries = guest->tries, .may_wait = true, .has_waited = true};
		assert_true(queue_join(&room->queue, &guest->waiter, WAITERS));
	}
}

static void turn(struct room *room)
{
	timers_run(loop_timers(room->loop), clock_us);
}

static void pass(struct room *room, int64_t us)
{
	for (int64_t end_us = clock_us + us; clock_us < end_us; clock_us += MS)
		turn(room);
	turn(room);
}

static void fill(struct room *room)
{
	for (size_t i = 0; i < room->fleet.count; i++)
		room->fleet.backends[i]->active = 1;
}

static void give_place(struct room *room, size_t i)
{
	room->fleet.backends[i]->active--;
	backend_tell_room(&room->fleet.env, true);
}

#define assert_seen(room, letters)                                                                 \
	do {                                                                                       \
		assert_string_equal((room)->seen, letters);                                        \
		(room)->seen_len = 0;                                                              \
		(room)->seen[0] = '\0';                                                            \
	} while (0)

static void a_place_goes_to_the_one_that_has_waited_longest(void **state)
{
	struct room room;

	(void)state;
	room_init(&room, 2);
	room.takes = true;
	fill(&room);
	come(&room, 3);
	turn(&room);
	assert_seen(&room, "");
	give_place(&room, 0);
	turn(&room);
	assert_seen(&room, "a");
	come(&room, 1);
	give_place(&room, 0);
	turn(&room);
	assert_seen(&room, "b");
	assert_int_equal(room.queue.count, 2);
	assert_int_equal(room.queue.counters.results[QUEUE_SERVED], 2);
	room_finish(&room);
}

static void one_that_comes_back_has_its_old_place(void **state)
{
	struct room room;

	(void)state;
	room_init(&room, 1);
	fill(&room);
	come(&room, 3);
	room.fails = true;
	give_place(&room, 0);
	turn(&room);
	/* A look lets each in once. */
	assert_seen(&room, "ab");
	assert_ptr_equal(queue_first(&room.queue), &room.guests[0].waiter);
	room.fails = false;
	pass(&room, 10 * MS);
	assert_seen(&room, "abc");
	room_finish(&room);
}

static void the_wait_is_counted_from_its_begin_and_in_all(void **state)
{
	struct room room;

	(void)state;
	room_init(&room, 1);
	fill(&room);
	come(&room, 1);
	pass(&room, 30 * MS);
	assert_int_equal(queue_longest_us(&room.queue), 30 * MS);
	room.fails = true;
	give_place(&room, 0);
	turn(&room);
	assert_int_equal(queue_longest_us(&room.queue), 30 * MS);
	room.fails = false;
	pass(&room, 12 * MS);
	assert_seen(&room, "aa");
	assert_int_equal(queue_longest_us(&room.queue), 0);
	assert_in_range(room.guests[0].waiter.waited_us, 30 * MS, 42 * MS);
	room_finish(&room);
}

static void so_many_wait_and_no_more(void **state)
{
	struct room room;
	struct waiter late = {0};

	(void)state;
	room_init(&room, 1);
	fill(&room);
	come(&room, 2);
	assert_false(queue_join(&room.queue, &late, 2));
	assert_false(late.is_waiting);
	assert_int_equal(room.queue.counters.results[QUEUE_FULL], 1);
	queue_leave(&room.queue, &room.guests[0].waiter, QUEUE_LEFT);
	assert_int_equal(room.queue.counters.results[QUEUE_LEFT], 1);
	queue_leave(&room.queue, &room.guests[0].waiter, QUEUE_TIMEOUT);
	assert_int_equal(room.queue.counters.results[QUEUE_TIMEOUT], 0);
	come(&room, 1);
	assert_int_equal(room.queue.count, 2);
	room_finish(&room);
}

static void a_backend_that_has_come_up_is_not_hit_by_all_at_once(void **state)
{
	struct room room;

	(void)state;
	room_init(&room, 1);
	room.fleet.backends[0]->options.max_connections = 0;
	fleet_switch(&room.fleet, 0, false);
	come(&room, WAITERS);
	pass(&room, 200 * MS);
	assert_seen(&room, "");
	fleet_switch(&room.fleet, 0, true);
	turn(&room);
	assert_int_equal(room.seen_len, 16);
	for (int i = 0; i < 16; i++)
		backend_tell_room(&room.fleet.env, true);
	turn(&room);
	assert_int_equal(room.seen_len, 48);
	pass(&room, 10 * MS);
	assert_int_equal(room.seen_len, WAITERS);
	room_finish(&room);
}

static void the_first_one_is_the_trial(void **state)
{
	struct room room;
	struct ring_request *first;

	(void)state;
	room_init(&room, 1);
	room.fleet.backends[0]->options.max_connections = 0;
	fleet_switch(&room.fleet, 0, false);
	come(&room, 3);
	first = &room.guests[0].waiter.request;
	fleet_set(&room.fleet, 0, BACKEND_TRIAL, OUTCOME_REFUSED, clock_us);
	room.fleet.backends[0]->on_trial = true;
	pass(&room, 200 * MS);
	assert_seen(&room, "");
	room.fleet.backends[0]->on_trial = false;
	pass(&room, 100 * MS);
	assert_int_equal(room.seen[0], 'a');
	assert_int_equal(first->count, 0);
	room_finish(&room);
}

static void while_nobody_is_up_a_backend_is_sought(void **state)
{
	struct room room;

	(void)state;
	room_init(&room, 2);
	fill(&room);
	come(&room, 1);
	turn(&room);
	assert_false(room.fleet.env.is_sought);
	fleet_switch(&room.fleet, 0, false);
	fleet_switch(&room.fleet, 1, false);
	turn(&room);
	assert_true(room.fleet.env.is_sought);
	assert_int_equal(room.sought, 1);
	pass(&room, 500 * MS);
	assert_int_equal(room.sought, 1);
	queue_leave(&room.queue, &room.guests[0].waiter, QUEUE_LEFT);
	assert_false(room.fleet.env.is_sought);
	room_finish(&room);
}

static void while_all_are_draining_nobody_waits(void **state)
{
	struct room room;

	(void)state;
	room_init(&room, 2);
	fill(&room);
	come(&room, 2);
	backend_set_draining(room.fleet.backends[0], true);
	turn(&room);
	assert_seen(&room, "");
	backend_set_draining(room.fleet.backends[1], true);
	turn(&room);
	assert_seen(&room, "a.b.");
	assert_int_equal(room.queue.counters.results[QUEUE_TIMEOUT], 2);
	room_finish(&room);
}

/* One that was tried by the first in the queue is free: the second one gets it. */
static void one_that_cannot_use_a_place_holds_nobody_up(void **state)
{
	struct room room;

	(void)state;
	room_init(&room, 2);
	room.takes = true;
	fill(&room);
	come(&room, 2);
	struct waiter *first = &room.guests[0].waiter;
	queue_leave(&room.queue, first, QUEUE_SERVED);
	room.guests[0].tries[0] = (struct try_record){
	    .backend = room.fleet.backends[0], .outcome = OUTCOME_STATUS, .standing = STANDING_UP};
	first->request.count = 1;
	assert_true(queue_join(&room.queue, first, WAITERS));
	assert_ptr_equal(queue_first(&room.queue), first);
	give_place(&room, 0);
	turn(&room);
	assert_seen(&room, "b");
	give_place(&room, 1);
	turn(&room);
	assert_seen(&room, "a");
	room_finish(&room);
}

/* However many of them there are. */
static void those_that_wait_for_another_backend_hold_nobody_up(void **state)
{
	struct room room;

	(void)state;
	room_init(&room, 2);
	fill(&room);
	come(&room, WAITERS);
	for (size_t i = 0; i + 1 < WAITERS; i++) {
		struct guest *guest = &room.guests[i];

		queue_leave(&room.queue, &guest->waiter, QUEUE_SERVED);
		guest->tries[0] = (struct try_record){.backend = room.fleet.backends[0],
		    .outcome = OUTCOME_STATUS,
		    .standing = STANDING_UP};
		guest->waiter.request.count = 1;
		assert_true(queue_join(&room.queue, &guest->waiter, WAITERS));
	}
	turn(&room);
	assert_seen(&room, "");
	give_place(&room, 0);
	turn(&room);
	assert_int_equal(room.seen_len, 1);
	assert_int_equal((unsigned char)room.seen[0], 'a' + WAITERS - 1);
	room_finish(&room);
}

static void a_full_accept_queue_is_looked_at_again_after_20_ms(void **state)
{
	struct room room;

	(void)state;
	room_init(&room, 1);
	room.fleet.backends[0]->busy_until_us = clock_us + 20 * MS;
	come(&room, 1);
	pass(&room, 19 * MS);
	assert_seen(&room, "");
	pass(&room, 2 * MS);
	assert_seen(&room, "a");
	room_finish(&room);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_place_goes_to_the_one_that_has_waited_longest),
	    cmocka_unit_test(one_that_comes_back_has_its_old_place),
	    cmocka_unit_test(the_wait_is_counted_from_its_begin_and_in_all),
	    cmocka_unit_test(so_many_wait_and_no_more),
	    cmocka_unit_test(a_backend_that_has_come_up_is_not_hit_by_all_at_once),
	    cmocka_unit_test(the_first_one_is_the_trial),
	    cmocka_unit_test(while_nobody_is_up_a_backend_is_sought),
	    cmocka_unit_test(while_all_are_draining_nobody_waits),
	    cmocka_unit_test(one_that_cannot_use_a_place_holds_nobody_up),
	    cmocka_unit_test(those_that_wait_for_another_backend_hold_nobody_up),
	    cmocka_unit_test(a_full_accept_queue_is_looked_at_again_after_20_ms),
	};

	return cmocka_run_group_tests_name("queue", tests, NULL, NULL);
}
