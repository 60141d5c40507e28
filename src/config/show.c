#include "config/show.h"

#include "values.h"

enum { ORIGIN_COLUMN = 48 };

/* The origin as a comment; a line feed in a file name must not end the comment. */
static void write_origin(FILE *out, int column, const char *origin)
{
	fprintf(out, "%*s# ", column < ORIGIN_COLUMN ? ORIGIN_COLUMN - column : 2, "");
	for (; *origin; origin++)
		fputc((unsigned char)*origin < ' ' ? '?' : *origin, out);
	fputc('\n', out);
}

static void write_backend(
    FILE *out, const struct config_backend *backend, bool is_last, struct arena *arena)
{
	struct settings members = settings_of_backend();
	int column = fprintf(out, "    {");

	for (size_t i = 0; i < members.count; i++) {
		const char *text = value_format(&members.items[i], &backend->options, arena);

		column += fprintf(out, " %s = %s;", members.items[i].path, text ? text : "?");
	}
	column += fprintf(out, " }%s", is_last ? "" : ",");
	write_origin(out, column, backend->origin);
}

static void write_backends(FILE *out, const struct config *config, struct arena *arena)
{
	fprintf(out, "backends = (\n");
	for (size_t i = 0; i < config->backend_count; i++)
		write_backend(out, &config->backends[i], i + 1 == config->backend_count, arena);
	fprintf(out, ");\n");
}

static void write_setting(
    FILE *out, const struct setting *setting, const struct config_value *value)
{
	bool is_comment = strcmp(setting->path, "include") == 0 && strcmp(value->text, "\"\"") != 0;
	int column = 0;

	/* The backends of the included files are in the output: with an active `include` they would
	 * be read twice. */
	if (is_comment)
		column += fprintf(out, "# ");
	if (setting_group(setting).len)
		column += fprintf(out, "    ");
	column += fprintf(out, "%s = %s;", setting_name(setting), value->text);
	write_origin(out, column, value->origin);
}

void config_show(const struct config *config, FILE *out)
{
	struct settings all = settings_all();
	struct arena arena = {0};
	struct str group = {NULL, 0};

	for (size_t i = 0; i < all.count; i++) {
		const struct setting *setting = &all.items[i];
		struct str own = setting_group(setting);

		if (!str_equals(own, group)) {
			fprintf(out, "%s", group.len ? "};\n" : "");
			fprintf(out, "%.*s = {\n", STR_ARGS(own));
			group = own;
		}
		if (setting->type == SETTING_BACKENDS)
			write_backends(out, config, &arena);
		else
			write_setting(out, setting, &config->values[i]);
	}
	fprintf(out, "};\n");
	arena_finish(&arena);
}
