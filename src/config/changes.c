#include "config/changes.h"

#include "values.h"

/* The state of one comparison. */
struct comparison {
	const struct config *old, *new;
	config_say *say;
	void *context;
	size_t count;
	struct arena arena;
};

/* `line` was formatted by the caller. It is NULL without memory; say something all the same. */
static void say(struct comparison *comparison, const char *line)
{
	comparison->say(comparison->context, line ? line : "a change (no memory to describe it)");
	comparison->count++;
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
		say(comparison, arena_printf(&comparison->arena, "%s %.*s -> %.*s%s", setting->path,
				    STR_ARGS(old), STR_ARGS(new),
				    setting->needs_restart ? " needs a restart" : ""));
	}
}

static const struct config_backend *find_url(const struct config *config, const char *url)
{
	for (size_t i = 0; i < config->backend_count; i++)
		if (strcmp(config->backends[i].options.url, url) == 0)
			return &config->backends[i];
	return NULL;
}

/* Compares a backend that is in both configurations. Lines use its old name. */
static void compare_backend(struct comparison *comparison, const struct config_backend *old,
    const struct config_backend *new)
{
	struct settings members = settings_of_backend();
	struct arena *arena = &comparison->arena;

	for (size_t i = 0; i < members.count; i++) {
		const struct setting *member = &members.items[i];
		const char *before = value_format(member, &old->options, arena);
		const char *after = value_format(member, &new->options, arena);

		/* Backends without a limit of their own follow the general one, which has its own
		 * line. */
		if (member->type == SETTING_DURATION && !old->own_delay && !new->own_delay)
			continue;
		if (!before || !after)
			say(comparison, NULL);
		else if (strcmp(before, after) != 0)
			say(comparison,
			    arena_printf(arena, "%s %s %.*s -> %.*s", old->options.name,
				member->path, STR_ARGS(bare(before)), STR_ARGS(bare(after))));
	}
}

/* Do the backends that are in both have another order? */
static bool is_reordered(const struct config *old, const struct config *new)
{
	const struct config_backend *last = NULL;

	for (size_t i = 0; i < new->backend_count; i++) {
		const struct config_backend *same = find_url(old, new->backends[i].options.url);

		if (same && last && same < last)
			return true;
		if (same)
			last = same;
	}
	return false;
}

static void compare_backends(struct comparison *comparison)
{
	const struct config *old = comparison->old;
	const struct config *new = comparison->new;

	for (size_t i = 0; i < old->backend_count; i++) {
		const struct config_backend *backend = &old->backends[i];

		if (!find_url(new, backend->options.url))
			say(comparison, arena_printf(&comparison->arena, "-%s %s",
					    backend->options.name, backend->options.url));
	}
	for (size_t i = 0; i < new->backend_count; i++) {
		const struct config_backend *backend = &new->backends[i];
		const struct config_backend *before = find_url(old, backend->options.url);

		if (before)
			compare_backend(comparison, before, backend);
		else
			say(comparison, arena_printf(&comparison->arena, "+%s %s",
					    backend->options.name, backend->options.url));
	}
	if (is_reordered(old, new))
		say(comparison, "backends are in another order");
}

size_t config_describe_changes(
    const struct config *old, const struct config *new, config_say *tell, void *context)
{
	struct comparison comparison = {.old = old, .new = new, .say = tell, .context = context};

	compare_backends(&comparison);
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
