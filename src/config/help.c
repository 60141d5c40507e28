#include "config/help.h"

#include "values.h"

enum { TEXT_COLUMNS = 78, NAME_COLUMNS = 27 };

void help_write_wrapped(FILE *out, const char *indent, int columns, struct str text)
{
	int column = 0;

	while (text.data) {
		struct str word = str_split(&text, ' ');

		if (column && column + 1 + (int)word.len > columns) {
			fputc('\n', out);
			column = 0;
		}
		column += fprintf(out, "%s%.*s", column ? " " : indent, STR_ARGS(word));
	}
	fputc('\n', out);
}

static const char *or_none(const char *text)
{
	return text ? text : "none";
}

static void explain_one(const char *key, const struct setting *setting, FILE *out)
{
	struct arena arena = {0};
	bool is_required = !setting->fallback && strcmp(setting->path, "backends") == 0;

	fprintf(out, "%s\n", key);
	fprintf(out, "  type     %s\n", or_none(value_type_text(setting, &arena)));
	fprintf(out, "  default  %s\n",
	    is_required ? "none, it is required" : or_none(value_default_text(setting, &arena)));
	fprintf(out, "  reload   %s\n",
	    setting->needs_restart ? "does not apply a change: it needs a restart"
				   : "applies a change");
	fputc('\n', out);
	help_write_wrapped(out, "", TEXT_COLUMNS, str_from(setting->help));
	arena_finish(&arena);
}

static void list_one(const struct setting *setting, FILE *out)
{
	struct arena arena = {0};

	fprintf(out, "%-*s %s\n", NAME_COLUMNS, setting->path,
	    or_none(value_default_text(setting, &arena)));
	arena_finish(&arena);
}

/* The row of "backends.weight" or "listen.scheme", or NULL. */
static const struct setting *find_member(struct str path)
{
	struct str group = str_split(&path, '.');

	if (str_equals(group, STR("backends")))
		return settings_find(settings_of_backend(), path);
	if (str_equals(group, STR("listen")))
		return settings_find(settings_of_listen(), path);
	return NULL;
}

bool help_explain(const char *key, FILE *out)
{
	struct settings all = settings_all();
	struct str path = str_from(key);
	const struct setting *setting = settings_find(all, path);
	bool is_all = str_equals(path, STR("all"));

	if (!setting)
		setting = find_member(path);
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
