#include "files.h"

#include "syntax.h"

#include <assert.h>
#include <libconfig.h>
#include <stdlib.h>

struct building {
	const struct config_syntax *syntax;
	size_t values; /* built so far */
	struct arena *arena;
};

/* ---- variables */

static struct str variable_name(struct str text)
{
	size_t len =
	    strspn(text.data, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789");

	return (struct str){text.data, len < text.len ? len : text.len};
}

/* The value for the text between "${" and "}"; NULL when there is none, and then *wrong is the
 * reason.
 */
static const char *variable_value(struct arena *arena, struct str inside, const char **wrong)
{
	struct str name = variable_name(inside);
	struct str rest = {inside.data + name.len, inside.len - name.len};
	char *copy = arena_copy(arena, name);
	const char *value = copy ? getenv(copy) : NULL;

	if (name.len == 0 || (rest.len && !str_starts_with(rest, STR(":-")))) {
		*wrong = arena_printf(arena,
		    "${%.*s} is not a variable; write ${NAME} or ${NAME:-default}",
		    STR_ARGS(inside));
		return NULL;
	}
	if (rest.len && (!value || !*value))
		return arena_copy(arena, (struct str){rest.data + 2, rest.len - 2});
	if (!value)
		*wrong = arena_printf(arena,
		    "the environment has no variable %.*s; \"${%.*s:-default}\" would use a "
		    "default",
		    STR_ARGS(name), STR_ARGS(name));
	return value;
}

/* The next "${"; NULL: there is none. */
static const char *find_variable(const char *text)
{
	do
		text = strchr(text, '$');
	while (text && *++text != '{');
	return text ? text - 1 : NULL;
}

/* Writes the text with its variables replaced; variables inside values are not, and "$${" is "${".
 * False on failure, with the reason in *wrong. */
static bool write_expanded(FILE *out, const char *text, struct arena *arena, const char **wrong)
{
	const char *start;

	while ((start = find_variable(text))) {
		const char *end = strchr(start, '}');
		const char *value;

		if (start > text && start[-1] == '$') {
			fwrite(text, 1, (size_t)(start - text), out);
			fputc('{', out);
			text = start + 2;
			continue;
		}
		if (!end) {
			*wrong = "\"${\" without \"}\"";
			return false;
		}
		value = variable_value(
		    arena, (struct str){start + 2, (size_t)(end - start) - 2}, wrong);
		if (!value)
			return false;
		fwrite(text, 1, (size_t)(start - text), out);
		fputs(value, out);
		text = end + 1;
	}
	return fputs(text, out) >= 0;
}

/* NULL on failure, with the reason in *wrong, if it is not memory. */
static const char *expand(struct arena *arena, const char *text, const char **wrong)
{
	char *expanded = NULL;
	const char *copy = NULL;
	size_t len;
	FILE *out;

	if (!find_variable(text))
		return arena_copy(arena, str_from(text));
	out = open_memstream(&expanded, &len);
	bool good = out && write_expanded(out, text, arena, wrong);
	good &= out && fclose(out) == 0;
	if (good)
		copy = arena_copy(arena, (struct str){expanded, len});
	else if (!*wrong)
		arena->failed = true;
	free(expanded);
	return copy;
}

/* ---- from libconfig's tree to ours */

static bool build(
    struct building *building, const config_setting_t *setting, struct config_node *node);

static bool build_members(
    struct building *building, const config_setting_t *setting, struct config_node *node)
{
	int count = config_setting_length(setting);

	node->count = (size_t)count;
	node->items = arena_take(building->arena, (size_t)count * sizeof(*node->items));
	for (int i = 0; node->items && i < count; i++)
		if (!build(
			building, config_setting_get_elem(setting, (unsigned)i), &node->items[i]))
			return false;
	return node->items != NULL;
}

static bool build(
    struct building *building, const config_setting_t *setting, struct config_node *node)
{
	const char *wrong = NULL;

	assert(building->values < building->syntax->count);
	node->line = building->syntax->lines[building->values++];
	if (config_setting_name(setting))
		node->name = arena_copy(building->arena, str_from(config_setting_name(setting)));
	switch (config_setting_type(setting)) {
	case CONFIG_TYPE_INT:
	case CONFIG_TYPE_INT64:
		node->kind = NODE_INTEGER;
		node->number = config_setting_get_int64(setting);
		break;
	case CONFIG_TYPE_BOOL:
		node->kind = NODE_BOOLEAN;
		node->number = config_setting_get_bool(setting);
		break;
	case CONFIG_TYPE_FLOAT:
		node->kind = NODE_FLOAT;
		break;
	case CONFIG_TYPE_STRING:
		node->kind = NODE_STRING;
		node->text = expand(building->arena, config_setting_get_string(setting), &wrong);
		if (!node->text) {
			node->kind = NODE_FAULTY;
			node->text = wrong;
		}
		break;
	case CONFIG_TYPE_GROUP:
		node->kind = NODE_GROUP;
		return build_members(building, setting, node);
	default:
		node->kind = NODE_LIST;
		return build_members(building, setting, node);
	}
	return !building->arena->failed;
}

static bool parse(struct config_file *file, const struct config_syntax *syntax, struct arena *arena,
    struct config_errors *errors)
{
	struct building building = {.syntax = syntax, .arena = arena};

	config_t parsed;
	bool good = false;

	config_init(&parsed);
	if (config_read_string(&parsed, file->text.all)) {
		good = build_members(&building, config_root_setting(&parsed), &file->root);
	} else {
		struct config_fault fault = {
		    config_text_line(&file->text, (size_t)config_error_line(&parsed)), NULL};

		config_errors_add(errors, fault, "%s", config_error_text(&parsed));
	}
	config_destroy(&parsed);
	return good;
}

bool config_file_read(
    struct config_file *file, const char *path, struct arena *arena, struct config_errors *errors)
{
	struct config_syntax syntax = {0};
	bool good;

	*file = (struct config_file){.root.kind = NODE_GROUP};
	good = config_text_read(&file->text, path, errors) &&
	       config_syntax_check(&syntax, &file->text, errors) &&
	       parse(file, &syntax, arena, errors);
	config_syntax_finish(&syntax);
	return good;
}

void config_file_finish(struct config_file *file)
{
	config_text_finish(&file->text);
}
