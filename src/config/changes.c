#include "config/changes.h"

#include "base/table.h"
#include "values.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* Each line costs a write, and people do not read thousands of them. */
enum { BACKEND_LINES = 200 };

/* The state of one comparison. */
struct comparison {
	const struct config *old, *new;
	config_say *say;
	void *context;
	size_t count;
	size_t backend_lines; /* that may still be said */
	struct arena arena;
};

static void say_all(struct comparison *comparison, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));
static void say_all(struct comparison *comparison, const char *format, va_list args)
{
	char *line;

	if (vasprintf(&line, format, args) < 0)
		line = NULL;
	comparison->say(comparison->context, line ? line : "a change (no memory to describe it)");
	free(line);
}

static void say(struct comparison *comparison, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void say(struct comparison *comparison, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say_all(comparison, format, args);
	va_end(args);
}

/* Counts a change of a backend, and says it unless it is one of too many. */
static void note_backend(struct comparison *comparison, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void note_backend(struct comparison *comparison, const char *format, ...)
{
	va_list args;

	comparison->count++;
	if (comparison->backend_lines == 0)
		return;
	comparison->backend_lines--;
	va_start(args, format);
	say_all(comparison, format, args);
	va_end(args);
}

/* Without its quotes, for people: "5s" rather than "\"5s\"". */
static struct str bare(const char *text)
{
	struct str s = str_from(text);

	if (s.len > 2 && s.data[0] == '"' && s.data[s.len - 1] == '"')
		return (struct str){s.data + 1, s.len - 2};
	return s;
}

static void compare_settings(struct comparison *comparison)
{
	struct settings all = settings_all();

	for (size_t i = 0; i < all.count; i++) {
		const struct setting *setting = &all.items[i];
		struct str old = bare(comparison->old->values[i].text);
		struct str new = bare(comparison->new->values[i].text);

		if (setting->type == SETTING_BACKENDS || str_equals(old, new))
			continue;
		comparison->count++;
		say(comparison, "%s %.*s -> %.*s%s", setting->path, STR_ARGS(old), STR_ARGS(new),
		    setting->needs_restart ? " needs a restart" : "");
	}
}

/* False without memory. */
static bool add_urls(struct table *table, const struct config *config)
{
	for (size_t i = 0; i < config->backend_count; i++) {
		const struct config_backend *backend = &config->backends[i];

		if (!table_add(table, str_from(backend->options.url), backend))
			return false;
	}
	return true;
}

static const struct config_backend *find_url(
    const struct table *table, const struct config_backend *backend)
{
	return table_find(table, str_from(backend->options.url));
}

/* Compares a backend that is in both configurations. Lines use its old name. */
static void compare_backend(struct comparison *comparison, const struct config_backend *old,
    const struct config_backend *new)
{
	struct settings members = settings_of_backend();
	struct arena *arena = &comparison->arena;

	for (size_t i = 0; i < members.count; i++) {
		const struct setting *member = &members.items[i];

		/* Backends without a limit of their own follow the general one, which has its own
		 * line. */
		if (member->type == SETTING_DURATION && !old->own_delay && !new->own_delay)
			continue;
		if (value_is_same(member, &old->options, &new->options))
			continue;
		note_backend(comparison, "%s %s %.*s -> %.*s", old->options.name, member->path,
		    STR_ARGS(bare(value_format(member, &old->options, arena))),
		    STR_ARGS(bare(value_format(member, &new->options, arena))));
	}
}

static void note_left(struct comparison *comparison, const struct table *new_urls)
{
	for (size_t i = 0; i < comparison->old->backend_count; i++) {
		const struct config_backend *old = &comparison->old->backends[i];

		if (!find_url(new_urls, old))
			note_backend(comparison, "-%s %s", old->options.name, old->options.url);
	}
}

/* Those that came and those that changed; and do those that are in both have another order? */
static void note_others(struct comparison *comparison, const struct table *old_urls)
{
	const struct config_backend *last = NULL;
	bool is_reordered = false;

	for (size_t i = 0; i < comparison->new->backend_count; i++) {
		const struct config_backend *new = &comparison->new->backends[i];
		const struct config_backend *old = find_url(old_urls, new);

		if (!old) {
			note_backend(comparison, "+%s %s", new->options.name, new->options.url);
			continue;
		}
		compare_backend(comparison, old, new);
		is_reordered |= last && old < last;
		last = old;
	}
	if (is_reordered)
		note_backend(comparison, "backends are in another order");
}

static void compare_backends(struct comparison *comparison)
{
	struct table old_urls = {0}, new_urls = {0};

	if (add_urls(&old_urls, comparison->old) && add_urls(&new_urls, comparison->new)) {
		note_left(comparison, &new_urls);
		note_others(comparison, &old_urls);
	} else {
		say(comparison, "no memory to compare the backends");
	}
	table_finish(&old_urls);
	table_finish(&new_urls);
}

size_t config_describe_changes(
    const struct config *old, const struct config *new, config_say *tell, void *context)
{
	struct comparison comparison = {.old = old,
	    .new = new,
	    .say = tell,
	    .context = context,
	    .backend_lines = BACKEND_LINES};

	compare_backends(&comparison);
	if (comparison.count > BACKEND_LINES)
		say(&comparison, "and %zu more changes of backends",
		    comparison.count - BACKEND_LINES);
	compare_settings(&comparison);
	arena_finish(&comparison.arena);
	return comparison.count;
}

void config_keep_sizes(struct config *config, const struct config *running)
{
	struct http_limits *head = &config->rules.limits.head;
	struct settings all = settings_all();

	for (size_t i = 0; i < all.count; i++) {
		const struct setting *setting = &all.items[i];

		if (setting->needs_restart)
			memcpy((char *)config + setting->offset,
			    (const char *)running + setting->offset, setting->width);
	}
	if (head->uri_bytes > head->header_bytes)
		head->uri_bytes = head->header_bytes;
	/* Show, and compare at the next reload, the values that are in force. */
	for (size_t i = 0; i < all.count; i++) {
		const char *text = all.items[i].type == SETTING_BACKENDS
				       ? NULL
				       : value_format(&all.items[i], config, &config->arena);

		if (text)
			config->values[i].text = text;
	}
}
