#include "config/help.h"

#include "values.h"

enum { TEXT_COLUMNS = 96, NAME_COLUMNS = 27 };

/* How a text is laid out: what every line begins with, and how long it may get. */
struct layout {
	FILE *out;
	const char *indent;
	int columns;
	bool by_sentence; /* each begins a line, as mdoc likes it */
};

/* Writes words into lines. */
static void write_wrapped(const struct layout *layout, const char *text)
{
	struct str rest = str_from(text);
	bool ends_line = false;
	int column = 0;

	while (rest.data) {
		struct str word = str_split(&rest, ' ');

		if (column && (ends_line || column + 1 + (int)word.len > layout->columns)) {
			fputc('\n', layout->out);
			column = 0;
		}
		column +=
		    fprintf(layout->out, "%s%.*s", column ? " " : layout->indent, STR_ARGS(word));
		ends_line = layout->by_sentence && word.len && word.data[word.len - 1] == '.';
	}
	fputc('\n', layout->out);
}

/* The default as a file has it; NULL when there is none. */
static const char *default_text(const struct setting *setting, struct arena *arena)
{
	struct config config = {0};
	struct backend_options backend = {0};
	struct settings all = settings_all();
	bool is_general = setting >= all.items && setting < all.items + all.count;
	void *base = is_general ? (void *)&config : (void *)&backend;
	struct config_node node = {0};

	if (!setting->fallback || !value_node(setting, str_from(setting->fallback), &node, arena) ||
	    value_read(setting, &node, base, arena))
		return NULL;
	return value_format(setting, base, arena);
}

/* Is there more to say of its type than the default shows? */
static bool has_range(const struct setting *setting)
{
	return setting->type == SETTING_CHOICE || setting->type == SETTING_STATUSES ||
	       setting->type == SETTING_DURATION || setting->type == SETTING_SIZE ||
	       setting->type == SETTING_INTEGER;
}

/* "whole number, 1 to 16", "\"idempotent\", \"all\" or \"none\"". */
static const char *type_text(const struct setting *setting, struct arena *arena)
{
	const char *text = setting_type_text(setting->type);
	const char *min;
	const char *max;

	if (setting->type == SETTING_CHOICE)
		return value_words(setting, arena);
	if (!has_range(setting))
		return text;
	min = value_format_number(setting, setting->min, arena);
	max = value_format_number(setting, setting->max, arena);
	return min && max ? arena_printf(arena, "%s, %s to %s", text, min, max) : NULL;
}

static const char *or_none(const char *text)
{
	return text ? text : "none";
}

/* ---- --explain */

static void explain_one(const char *key, const struct setting *setting, FILE *out)
{
	struct layout layout = {out, "", 78, false};
	struct arena arena = {0};
	bool is_required = !setting->fallback && strcmp(setting->path, "backends") == 0;

	fprintf(out, "%s\n", key);
	fprintf(out, "  type     %s\n", or_none(type_text(setting, &arena)));
	fprintf(out, "  default  %s\n",
	    is_required ? "none, it is required" : or_none(default_text(setting, &arena)));
	fprintf(out, "  reload   %s\n",
	    setting->needs_restart ? "does not apply a change: it needs a restart"
				   : "applies a change");
	fputc('\n', out);
	write_wrapped(&layout, setting->help);
	arena_finish(&arena);
}

static void list_one(const struct setting *setting, FILE *out)
{
	struct arena arena = {0};

	fprintf(
	    out, "%-*s %s\n", NAME_COLUMNS, setting->path, or_none(default_text(setting, &arena)));
	arena_finish(&arena);
}

bool help_explain(const char *key, FILE *out)
{
	struct settings all = settings_all();
	struct str path = str_from(key);
	struct str prefix = STR("backends.");
	const struct setting *setting = settings_find(all, path);
	bool is_all = str_equals(path, STR("all"));

	if (!setting && str_starts_with(path, prefix))
		setting = settings_find(settings_of_backend(),
		    (struct str){path.data + prefix.len, path.len - prefix.len});
	if (setting) {
		explain_one(key, setting, out);
		return true;
	}
	if (!is_all && !settings_has_group(all, path))
		return false;
	for (size_t i = 0; i < all.count; i++)
		if (is_all || str_equals(setting_group(&all.items[i]), path))
			list_one(&all.items[i], out);
	return true;
}

/* ---- the example file */

static const char example_head[] =
    "# rondo.conf - every value shown is the default, except for `backends`, which must be given.\n"
    "#\n"
    "#   rondo -t                 check this file\n"
    "#   rondo -T                 show the value of every setting and where it comes from\n"
    "#   rondo -E retry.tries     explain a setting\n"
    "#   systemctl reload rondo   apply it; a bad file is refused and the old one stays\n"
    "#\n"
    "# Durations and sizes are in quotes and have a unit: \"250ms\" \"5s\" \"2m\" \"1h\", \"512\" "
    "\"16k\" \"8m\" \"1g\".\n"
    "# Strings may hold variables of the environment: \"${NAME}\" or \"${NAME:-default}\".\n"
    "# After the last element of a list there is no comma.\n";

static const char example_backends[] = "backends = (\n"
				       "    \"http://localhost:8001\",\n"
				       "    \"http://localhost:8002\",\n"
				       "    \"http://localhost:8003\"\n"
				       ");\n";

static void write_example_setting(const struct setting *setting, const char *indent, FILE *out)
{
	struct arena arena = {0};
	struct layout layout = {out, arena_printf(&arena, "%s# ", indent), TEXT_COLUMNS, false};
	const char *type = type_text(setting, &arena);

	if (layout.indent && type) {
		write_wrapped(&layout, setting->help);
		if (has_range(setting))
			fprintf(out, "%s# (%s%s)\n", indent, type,
			    setting->needs_restart ? "; a change needs a restart" : "");
	}
	if (setting->type == SETTING_BACKENDS)
		fputs(example_backends, out);
	else
		fprintf(out, "%s%s = %s;\n", indent, setting_name(setting),
		    or_none(default_text(setting, &arena)));
	arena_finish(&arena);
}

void help_write_example(FILE *out)
{
	struct settings all = settings_all();
	struct str group = {NULL, 0};

	fputs(example_head, out);
	for (size_t i = 0; i < all.count; i++) {
		struct str own = setting_group(&all.items[i]);

		if (!str_equals(own, group))
			fprintf(out, "%s\n%.*s = {\n", group.len ? "};\n" : "", STR_ARGS(own));
		else
			fputc('\n', out);
		group = own;
		write_example_setting(&all.items[i], own.len ? "    " : "", out);
	}
	fputs("};\n", out);
}

/* ---- the manual */

static void write_manual_item(const char *prefix, const struct setting *setting, FILE *out)
{
	struct layout layout = {out, "", TEXT_COLUMNS, true};
	struct arena arena = {0};
	const char *fallback = default_text(setting, &arena);

	fprintf(out, ".It Cm %s%s\n", prefix, setting->path);
	write_wrapped(&layout, setting->help);
	fprintf(out, ".br\nType: %s", or_none(type_text(setting, &arena)));
	if (fallback)
		fprintf(out, "; default: %s", fallback);
	fprintf(out, "%s.\n", setting->needs_restart ? "; a change needs a restart" : "");
	arena_finish(&arena);
}

void help_write_manual(FILE *out)
{
	struct settings all = settings_all();
	struct settings members = settings_of_backend();
	struct str group = {NULL, 0};

	fputs(".Bl -tag -width Ds\n", out);
	for (size_t i = 0; i < all.count; i++) {
		struct str own = setting_group(&all.items[i]);

		if (!str_equals(own, group))
			fprintf(out, ".El\n.Ss Group %.*s\n.Bl -tag -width Ds\n", STR_ARGS(own));
		group = own;
		write_manual_item("", &all.items[i], out);
	}
	fputs(".El\n.Ss Members of a backend\n.Bl -tag -width Ds\n", out);
	for (size_t i = 0; i < members.count; i++)
		write_manual_item("", &members.items[i], out);
	fputs(".El\n", out);
}
