#include "config/load.h"

#include "backends.h"
#include "check.h"
#include "listen.h"

#include <assert.h>
#include <errno.h>
#include <glob.h>
#include <stdlib.h>
#include <sys/stat.h>

static const struct setting *row(size_t i)
{
	return &settings_all().items[i];
}

/* ---- settings */

static void take_default(struct config_load *load, size_t i)
{
	const struct setting *setting = row(i);
	struct config_node node = {0};
	const char *wrong;

	load->config->values[i] = (struct config_value){.origin = "default", .is_default = true};
	if (!setting->fallback ||
	    !value_node(setting, str_from(setting->fallback), &node, &load->scratch))
		return;
	if (setting->type == SETTING_LISTEN) {
		config_listen_read(load, &node);
		return;
	}
	wrong = value_read(setting, &node, load->config, &load->config->arena);
	assert(!wrong || load->config->arena.failed);
}

static void take_setting(struct config_load *load, size_t i, const struct config_node *node)
{
	const struct setting *setting = row(i);
	const char *wrong;

	load->lines[i] = node->line;
	load->config->values[i] =
	    (struct config_value){.origin = config_line_origin(node->line, &load->config->arena)};
	if (setting->type == SETTING_BACKENDS) {
		config_backends_read(load, node);
		return;
	}
	if (setting->type == SETTING_LISTEN) {
		config_listen_read(load, node);
		return;
	}
	if (config_node_is_faulty(node, load->errors))
		return;
	wrong = value_read(setting, node, load->config, &load->config->arena);
	if (wrong)
		config_errors_add(load->errors, (struct config_fault){node->line, NULL}, "%s: %s",
		    setting->path, wrong);
}

static void complain_unknown(
    struct config_load *load, const struct config_line *line, const char *path)
{
	const char *meant = settings_suggest(settings_all(), path);

	if (meant)
		meant = arena_printf(&load->scratch, "did you mean `%s`?", meant);
	config_errors_add(
	    load->errors, (struct config_fault){line, meant}, "unknown setting `%s`", path);
}

static void complain_unknown_group(struct config_load *load, const struct config_node *group)
{
	struct str meant = settings_suggest_group(settings_all(), group->name);
	const char *hint =
	    meant.len ? arena_printf(&load->scratch, "did you mean `%.*s`?", STR_ARGS(meant))
		      : NULL;

	config_errors_add(load->errors, (struct config_fault){group->line, hint},
	    "unknown group `%s`", group->name);
}

/* ---- files */

static void take_member(struct config_load *load, const char *path, const struct config_node *node)
{
	const struct setting *setting = path ? settings_find(settings_all(), str_from(path)) : NULL;

	if (setting)
		take_setting(load, (size_t)(setting - settings_all().items), node);
	else if (path)
		complain_unknown(load, node->line, path);
}

static void take_group(struct config_load *load, const struct config_node *group)
{
	for (size_t i = 0; i < group->count && !load->errors->more; i++) {
		const struct config_node *member = &group->items[i];

		take_member(
		    load, arena_printf(&load->scratch, "%s.%s", group->name, member->name), member);
	}
}

static void take_top(struct config_load *load, const struct config_node *node)
{
	struct str name = str_from(node->name);
	bool is_group = settings_has_group(settings_all(), name);

	if (is_group && node->kind == NODE_GROUP)
		take_group(load, node);
	else if (is_group)
		config_errors_add(load->errors,
		    (struct config_fault){node->line,
			arena_printf(&load->scratch, "write %s = { ... };", node->name)},
		    "`%s` is a group, not %s", node->name, config_node_kind_text(node->kind));
	else if (node->kind == NODE_GROUP && !settings_find(settings_all(), name))
		complain_unknown_group(load, node);
	else
		take_member(load, node->name, node);
}

/* An included file: backends and nothing else. */
static void take_included_tree(struct config_load *load, const struct config_node *root)
{
	for (size_t i = 0; i < root->count && !load->errors->more; i++) {
		const struct config_node *node = &root->items[i];

		if (strcmp(node->name, "backends") == 0)
			config_backends_read(load, node);
		else if (strcmp(node->name, "include") == 0)
			config_errors_add(load->errors, (struct config_fault){node->line, NULL},
			    "an included file cannot include others");
		else
			config_errors_add(load->errors, (struct config_fault){node->line, NULL},
			    "an included file holds `backends` and nothing else; `%s` belongs in "
			    "%s",
			    node->name, load->main_file ? load->main_file : "the command line");
	}
}

static const struct config_node *open_file(struct config_load *load, const char *path)
{
	struct config_opened *opened = arena_take(&load->scratch, sizeof(*opened));
	bool good;

	if (!opened)
		return NULL;
	good = config_file_read(&opened->file, path, &load->scratch, load->errors);
	*load->files_end = opened;
	load->files_end = &opened->next;
	return good ? &opened->file.root : NULL;
}

/* Reading a pipe or a device could block, and with a reload all clients would wait. True when stat
 * fails: opening the file will report it. */
static bool is_file(const char *path)
{
	struct stat status;

	return stat(path, &status) < 0 || S_ISREG(status.st_mode);
}

/* A directory that is not there has no files. */
static int is_unreadable(const char *directory, int error)
{
	(void)directory;
	return error != ENOENT;
}

static void take_included_files(struct config_load *load)
{
	const struct config_line none = {.file = "include"};
	const struct config_line *written = load->lines[settings_row("include")];
	const struct config_fault fault = {written ? written : &none, NULL};
	const char *include = load->config->include;
	char *pattern;

	glob_t found = {0};
	int failed;

	if (!include || !*include)
		return;
	pattern = config_text_path(load->main_file ? load->main_file : "", str_from(include));
	failed = pattern ? glob(pattern, 0, is_unreadable, &found) : GLOB_NOSPACE;
	if (failed == GLOB_NOSPACE)
		load->errors->incomplete = true;
	else if (failed == GLOB_ABORTED)
		config_errors_add(
		    load->errors, fault, "include: cannot read the directory of %s", pattern);
	else if (failed && !strpbrk(include, "*?["))
		config_errors_add(load->errors, fault, "include: there is no file %s", pattern);
	for (size_t i = 0; !failed && i < found.gl_pathc && !load->errors->more; i++) {
		const char *path = found.gl_pathv[i];
		const struct config_node *root;

		if (!is_file(path)) {
			config_errors_add(
			    load->errors, fault, "include: %s is no regular file", path);
			continue;
		}
		root = open_file(load, path);
		if (root)
			take_included_tree(load, root);
	}
	globfree(&found);
	free(pattern);
}

/* ---- the command line */

static const struct config_line *option_line(
    struct config_load *load, const char *option, const char *value)
{
	struct config_line *line = arena_take(&load->scratch, sizeof(*line));

	if (line)
		line->file = arena_printf(&load->scratch, "%s %s", option, value);
	return line && line->file ? line : NULL;
}

static void take_set(struct config_load *load, const char *set)
{
	const struct config_line *line = option_line(load, "--set", set);
	struct config_node node = {.line = line};
	struct str value = str_from(set);
	struct str key = str_split(&value, '=');
	const struct setting *setting = settings_find(settings_all(), key);

	if (!line)
		return;
	if (!value.data)
		config_errors_add(load->errors, (struct config_fault){line, NULL},
		    "write --set KEY=VALUE, as in --set retry.tries=2");
	else if (!setting)
		complain_unknown(load, line, arena_printf(&load->scratch, "%.*s", STR_ARGS(key)));
	else if (setting->type == SETTING_BACKENDS)
		config_errors_add(
		    load->errors, (struct config_fault){line, NULL}, "write --backend URL instead");
	else if (value_node(setting, value, &node, &load->scratch))
		take_setting(load, (size_t)(setting - settings_all().items), &node);
}

/* --listen or --backend: all of them together replace the list of the files. */
static void take_list(
    struct config_load *load, const char *path, const char *const *values, size_t count)
{
	struct config_node *items = arena_take(&load->scratch, count * sizeof(*items));
	struct config_node list = {.kind = NODE_LIST, .items = items, .count = count};
	const char *option = strcmp(path, "listen") == 0 ? "--listen" : "--backend";

	if (!items || count == 0)
		return;
	for (size_t i = 0; i < count; i++) {
		items[i] = (struct config_node){.kind = NODE_STRING,
		    .text = values[i],
		    .line = option_line(load, option, values[i])};
		if (!items[i].line)
			return;
	}
	list.line = items[0].line;
	take_setting(load, settings_row(path), &list);
}

/* ---- a whole load */

static bool begin(struct config_load *load, const struct config_source *source)
{
	size_t count = settings_all().count;

	config_backends_forget(load);
	load->files_end = &load->files;
	load->main_file = source->file;
	if (!(load->config = calloc(1, sizeof(*load->config))))
		return false;
	load->lines = arena_take(&load->scratch, count * sizeof(const struct config_line *));
	load->config->values =
	    arena_take(&load->config->arena, count * sizeof(*load->config->values));
	return load->lines && load->config->values;
}

static void read_source(struct config_load *load, const struct config_source *source)
{
	const struct config_node *root = source->file ? open_file(load, source->file) : NULL;

	for (size_t i = 0; root && i < root->count && !load->errors->more; i++)
		take_top(load, &root->items[i]);
	for (size_t i = 0; i < source->set_count; i++)
		take_set(load, source->sets[i]);
	take_included_files(load);
	take_list(load, "listen", source->listens, source->listen_count);
	if (source->backend_count)
		config_backends_forget(load);
	take_list(load, "backends", source->backends, source->backend_count);
	config_backends_store(load);
	/* If the main file could not be read, all other faults would only follow from that. */
	if (root || !source->file)
		config_check(load);
}

static void store_files(struct config_load *load)
{
	struct config *config = load->config;
	const char **names;
	size_t count = 0;

	for (const struct config_opened *opened = load->files; opened; opened = opened->next)
		count += opened->file.text.file_count;
	names = arena_take(&config->arena, count * sizeof(*names));
	config->files = names;
	for (const struct config_opened *opened = load->files; names && opened;
	     opened = opened->next)
		for (size_t i = 0; i < opened->file.text.file_count; i++)
			names[config->file_count++] =
			    arena_copy(&config->arena, str_from(opened->file.text.files[i]));
}

/* Sets derived values, and keeps the text and origin of every setting. */
static void complete(struct config_load *load)
{
	struct config *config = load->config;

	config->check.connect_timeout_us = config->rules.timeouts.connect_us;
	for (size_t i = 0; i < settings_all().count; i++)
		if (row(i)->type != SETTING_BACKENDS)
			config->values[i].text = value_format(row(i), config, &config->arena);
	store_files(load);
}

static void release(struct proxy_options *rules)
{
	struct config *config = container_of(rules, struct config, rules);

	arena_finish(&config->arena);
	free(config);
}

static void finish(struct config_load *load)
{
	for (struct config_opened *opened = load->files; opened; opened = opened->next)
		config_file_finish(&opened->file);
	config_backends_forget(load);
	arena_finish(&load->scratch);
}

struct config *config_load(const struct config_source *source, struct config_errors *errors)
{
	struct config_load load = {.errors = errors};
	struct config *config;

	if (begin(&load, source)) {
		for (size_t i = 0; i < settings_all().count; i++)
			take_default(&load, i);
		read_source(&load, source);
		if (errors->count == 0)
			complete(&load);
	}
	config = load.config;
	errors->incomplete |= !config || load.scratch.failed || config->arena.failed;
	finish(&load);
	if (!config)
		return NULL;
	config->rules.holders = 1;
	config->rules.release = release;
	if (errors->count == 0 && !errors->incomplete)
		return config;
	config_drop(config);
	return NULL;
}

void config_drop(struct config *config)
{
	proxy_options_drop(&config->rules);
}
