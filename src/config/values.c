#include "values.h"

#include "value_lists.h"

#include <assert.h>
#include <inttypes.h>

struct unit {
	const char *name;
	int64_t factor;
};

/* From the largest to the smallest. */
static const struct unit time_units[] = {
    {"h", INT64_C(3600000000)}, {"m", 60000000}, {"s", 1000000}, {"ms", 1000}};
static const struct unit size_units[] = {{"g", 1 << 30}, {"m", 1 << 20}, {"k", 1 << 10}, {"", 1}};

enum { UNITS = 4 };

enum { MODE_LIMIT = 01000 };

struct reading {
	const struct setting *setting;
	void *base;
	struct arena *arena;
};

static const char out_of_memory[] = "out of memory";

/* ---- numbers */

static void store_number(const struct reading *reading, int64_t number)
{
	char *place = (char *)reading->base + reading->setting->offset;
	uint32_t narrow = (uint32_t)number;
	bool truth = number != 0;

	if (reading->setting->width == sizeof(number))
		memcpy(place, &number, sizeof(number));
	else if (reading->setting->width == sizeof(narrow))
		memcpy(place, &narrow, sizeof(narrow));
	else
		memcpy(place, &truth, sizeof(truth));
}

static int64_t load_number(const struct setting *setting, const void *base)
{
	const char *place = (const char *)base + setting->offset;
	int64_t number;
	uint32_t narrow;
	bool truth;

	if (setting->width == sizeof(number)) {
		memcpy(&number, place, sizeof(number));
		return number;
	}
	if (setting->width == sizeof(narrow)) {
		memcpy(&narrow, place, sizeof(narrow));
		return narrow;
	}
	memcpy(&truth, place, sizeof(truth));
	return truth;
}

static const char *format_units(
    const struct unit units[static UNITS], int64_t number, struct arena *arena)
{
	size_t i = 0;

	/* As people write it: "60s" rather than "1m", but "2m" rather than "120s". */
	while (i + 1 < UNITS && (number % units[i].factor || number == 0 ||
				    (units == time_units && i == 1 && number == units[i].factor)))
		i++;
	return arena_printf(arena, "%" PRId64 "%s", number / units[i].factor, units[i].name);
}

static const char *format_number(const struct setting *setting, int64_t number, struct arena *arena)
{
	if (setting->type == SETTING_DURATION)
		return number ? format_units(time_units, number, arena) : "0s";
	if (setting->type == SETTING_SIZE)
		return format_units(size_units, number, arena);
	return arena_printf(arena, "%" PRId64, number);
}

/* As people write them: "a", "b" or "c". */
static const char *choice_words(const struct setting *setting, struct arena *arena)
{
	const char *const *words = setting->words;
	const char *list = "";

	for (size_t i = 0; list && words[i]; i++) {
		const char *before = !i ? "" : words[i + 1] ? ", " : " or ";

		list = arena_printf(arena, "%s%s\"%s\"", list, before, words[i]);
	}
	return list;
}

static const char *store_in_range(
    const struct reading *reading, int64_t number, const char *written)
{
	const struct setting *setting = reading->setting;
	const char *min;
	const char *max;

	if (number >= setting->min && number <= setting->max) {
		store_number(reading, number);
		return NULL;
	}
	min = format_number(setting, setting->min, reading->arena);
	max = format_number(setting, setting->max, reading->arena);
	const char *words = setting->words ? choice_words(setting, reading->arena) : NULL;
	return arena_printf(reading->arena, "%s is not between %s and %s%s%s", written,
	    min ? min : "?", max ? max : "?", words ? "; write that, " : "", words ? words : "");
}

static const char *wrong_type(
    const struct reading *reading, const struct config_node *node, const char *wanted)
{
	return arena_printf(
	    reading->arena, "expected %s, not %s", wanted, config_node_kind_text(node->kind));
}

/* Reads a number and one of the units, and nothing else. A value that does not fit becomes
 * INT64_MAX. */
static bool parse_units(const struct unit units[static UNITS], struct str text, int64_t *number)
{
	struct str count = text;
	struct str unit;
	uint64_t value;
	size_t i = 0;

	count.len = 0;
	while (count.len < text.len && text.data[count.len] >= '0' && text.data[count.len] <= '9')
		count.len++;
	if (!str_to_number(count, &value))
		return false;
	unit = (struct str){text.data + count.len, text.len - count.len};
	while (i < UNITS && !str_equals(unit, str_from(units[i].name)))
		i++;
	if (value == 0 && unit.len == 0)
		i = UNITS - 1;
	if (i == UNITS)
		return false;
	*number = value > (uint64_t)(INT64_MAX / units[i].factor)
		      ? INT64_MAX
		      : (int64_t)value * units[i].factor;
	return true;
}

/* The place of a word in the list; -1 when it is not there, or there is no list. */
static int64_t find_word(const char *const *words, const char *text)
{
	for (int64_t i = 0; words && words[i]; i++)
		if (strcmp(words[i], text) == 0)
			return i;
	return -1;
}

static const char *read_duration(const struct reading *reading, const struct config_node *node)
{
	uint64_t bare;
	int64_t number;

	if (node->kind == NODE_INTEGER && node->number < 0)
		return store_in_range(reading, node->number, "a negative duration");
	if (node->kind == NODE_INTEGER && node->number)
		return arena_printf(reading->arena,
		    "%" PRId64 " has no unit; write \"%" PRId64 "s\" or \"%" PRId64 "ms\"",
		    node->number, node->number, node->number);
	if (node->kind == NODE_INTEGER)
		return store_in_range(reading, 0, "0");
	if (node->kind != NODE_STRING)
		return wrong_type(reading, node, "a duration in quotes, \"5s\"");
	/* Words stand for 0, -1 and so on, which are no durations here. */
	int64_t word = find_word(reading->setting->words, node->text);
	if (word >= 0) {
		store_number(reading, -word);
		return NULL;
	}
	if (parse_units(time_units, str_from(node->text), &number))
		return store_in_range(reading, number, node->text);
	if (str_to_number(str_from(node->text), &bare))
		return arena_printf(reading->arena, "%s has no unit; write \"%ss\" or \"%sms\"",
		    node->text, node->text, node->text);
	const char *words =
	    reading->setting->words ? choice_words(reading->setting, reading->arena) : NULL;
	return arena_printf(reading->arena,
	    "\"%s\" is not a duration; write %s%sa whole number and ms, s, m or h: \"5s\"",
	    node->text, words ? words : "", words ? ", or " : "");
}

static const char *read_size(const struct reading *reading, const struct config_node *node)
{
	int64_t number;

	if (node->kind == NODE_INTEGER && node->number < 0)
		return store_in_range(reading, node->number, "a negative size");
	if (node->kind == NODE_INTEGER && node->number)
		return arena_printf(reading->arena,
		    "%" PRId64 " has no unit; write \"%" PRId64
		    "\" for bytes; units are k, m and g",
		    node->number, node->number);
	if (node->kind == NODE_INTEGER)
		return store_in_range(reading, 0, "0");
	if (node->kind != NODE_STRING)
		return wrong_type(reading, node, "a size in quotes, \"16k\"");
	if (parse_units(size_units, str_from(node->text), &number))
		return store_in_range(reading, number, node->text);
	return arena_printf(reading->arena,
	    "\"%s\" is not a size; write a whole number, then k, m, g or nothing: \"16k\"",
	    node->text);
}

/* Digits in quotes are a number too, since variables are replaced only in strings. */
static bool as_integer(const struct config_node *node, int64_t *number)
{
	uint64_t value;

	if (node->kind == NODE_INTEGER) {
		*number = node->number;
		return true;
	}
	if (node->kind != NODE_STRING || !str_to_number(str_from(node->text), &value))
		return false;
	*number = (int64_t)value;
	return true;
}

static const char *read_integer(const struct reading *reading, const struct config_node *node)
{
	const char *written;
	int64_t number;

	if (node->kind == NODE_STRING && !as_integer(node, &number))
		return arena_printf(reading->arena, "\"%s\" is not a whole number", node->text);
	if (!as_integer(node, &number))
		return wrong_type(reading, node, "a whole number");
	written = arena_printf(reading->arena, "%" PRId64, number);
	return written ? store_in_range(reading, number, written) : out_of_memory;
}

static const char *read_boolean(const struct reading *reading, const struct config_node *node)
{
	struct str text = node->kind == NODE_STRING ? str_from(node->text) : STR("");

	if (node->kind == NODE_BOOLEAN)
		store_number(reading, node->number);
	else if (str_equals(text, STR("true")) || str_equals(text, STR("false")))
		store_number(reading, text.data[0] == 't');
	else if (node->kind == NODE_STRING)
		return "expected true or false";
	else
		return wrong_type(reading, node, "true or false");
	return NULL;
}

/* ---- strings */

static const char *store_string(const struct reading *reading, const char *text)
{
	const char *copy = arena_copy(reading->arena, str_from(text));

	if (!copy)
		return out_of_memory;
	memcpy((char *)reading->base + reading->setting->offset, &copy, sizeof(copy));
	return NULL;
}

static const char *load_string(const struct setting *setting, const void *base)
{
	const char *text;

	memcpy(&text, (const char *)base + setting->offset, sizeof(text));
	return text;
}

/* May a configuration add a field of this name to messages? Not one that controls framing, routing
 * or the connection. */
static bool is_free_field(struct str name)
{
	static const char *const taken[] = {"Connection", "Content-Length", "Date", "Expect",
	    "Host", "Keep-Alive", "Proxy-Connection", "TE", "Trailer", "Transfer-Encoding",
	    "Upgrade", "Via"};

	for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++)
		if (str_equals_nocase(name, str_from(taken[i])))
			return false;
	return true;
}

static const char *check_field(const struct reading *reading, const char *text)
{
	for (const char *c = text; *c; c++)
		if (!http_is_token_byte(*c))
			return arena_printf(reading->arena, "\"%s\" is not a field name", text);
	if (!is_free_field(str_from(text)))
		return arena_printf(reading->arena, "the field %s has a meaning of its own", text);
	return NULL;
}

static const char *check_target(const struct reading *reading, const char *text)
{
	if (*text == '\0')
		return NULL;
	if (*text != '/')
		return arena_printf(reading->arena, "\"%s\" does not begin with '/'", text);
	for (const char *c = text; *c; c++)
		if (*c <= ' ' || *c >= 0x7f || *c == '#')
			return arena_printf(reading->arena,
			    "\"%s\" has bytes that a request path cannot have", text);
	return NULL;
}

static const char *check_authority(const struct reading *reading, const char *text)
{
	static const char bytes[] =
	    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._:[]";
	struct net_authority authority;
	uint16_t port;
	bool is_good = text[strspn(text, bytes)] == '\0' &&
		       net_authority_split(&authority, str_from(text)) && authority.host.len > 0 &&
		       (!authority.port.data || net_port_parse(&port, authority.port));

	if (*text == '\0' || is_good)
		return NULL;
	return arena_printf(reading->arena,
	    "\"%s\" is not a host; write \"app.example.org\" or \"app.example.org:8080\"", text);
}

static const char *read_string(const struct reading *reading, const struct config_node *node)
{
	const char *wrong = NULL;

	if (node->kind != NODE_STRING)
		return wrong_type(reading, node, "a string");
	if (reading->setting->type == SETTING_FIELD)
		wrong = check_field(reading, node->text);
	else if (reading->setting->type == SETTING_TARGET)
		wrong = check_target(reading, node->text);
	else if (reading->setting->type == SETTING_AUTHORITY)
		wrong = check_authority(reading, node->text);
	return wrong ? wrong : store_string(reading, node->text);
}

static const char *read_choice(const struct reading *reading, const struct config_node *node)
{
	const char *const *words = reading->setting->words;
	const char *list;

	if (node->kind != NODE_STRING)
		return wrong_type(reading, node, "a string");
	int64_t word = find_word(words, node->text);
	if (word >= 0) {
		store_number(reading, word);
		return NULL;
	}
	list = choice_words(reading->setting, reading->arena);
	return list
		   ? arena_printf(reading->arena, "\"%s\" is not known; write %s", node->text, list)
		   : out_of_memory;
}

/* ---- modes of files */

static const char *read_mode(const struct reading *reading, const struct config_node *node)
{
	int64_t mode = 0;

	if (node->kind == NODE_INTEGER)
		return "a mode is written in quotes: \"0660\"";
	if (node->kind != NODE_STRING)
		return wrong_type(reading, node, "a mode in quotes, \"0660\"");
	for (const char *c = node->text; *c; c++) {
		mode = *c >= '0' && *c <= '7' ? mode * 8 + *c - '0' : MODE_LIMIT;
		if (mode >= MODE_LIMIT)
			return arena_printf(
			    reading->arena, "\"%s\" is not a mode; write \"0660\"", node->text);
	}
	if (mode == 0 && node->text[0])
		return arena_printf(
		    reading->arena, "with the mode \"%s\" nobody could connect", node->text);
	store_number(reading, mode);
	return NULL;
}

/* ---- all types */

static bool holds_control_bytes(const struct config_node *node)
{
	if (node->kind == NODE_STRING)
		for (const char *c = node->text; *c; c++)
			if ((unsigned char)*c < ' ' || *c == 0x7f)
				return true;
	for (size_t i = 0; i < node->count; i++)
		if (holds_control_bytes(&node->items[i]))
			return true;
	return false;
}

static const char *read_list(const struct reading *reading, const struct config_node *node)
{
	return value_list_read(reading->setting, node, reading->base, reading->arena);
}

static const char *quote(const char *text, struct arena *arena)
{
	return text ? value_quote(text, arena) : NULL;
}

static const char *format_integer(
    const struct setting *setting, const void *base, struct arena *arena)
{
	return format_number(setting, load_number(setting, base), arena);
}

static const char *format_duration(
    const struct setting *setting, const void *base, struct arena *arena)
{
	int64_t number = load_number(setting, base);

	if (setting->words && number <= 0)
		return value_quote(setting->words[-number], arena);
	return quote(format_integer(setting, base, arena), arena);
}

static const char *format_size(const struct setting *setting, const void *base, struct arena *arena)
{
	if (load_number(setting, base) == 0)
		return "0";
	return quote(format_integer(setting, base, arena), arena);
}

static const char *format_boolean(
    const struct setting *setting, const void *base, struct arena *arena)
{
	(void)arena;
	return load_number(setting, base) ? "true" : "false";
}

static const char *format_choice(
    const struct setting *setting, const void *base, struct arena *arena)
{
	return value_quote(setting->words[load_number(setting, base)], arena);
}

static const char *format_mode(const struct setting *setting, const void *base, struct arena *arena)
{
	int64_t mode = load_number(setting, base);

	return mode ? arena_printf(arena, "\"%04o\"", (unsigned)mode) : "\"\"";
}

static const char *format_string(
    const struct setting *setting, const void *base, struct arena *arena)
{
	return quote(load_string(setting, base), arena);
}

/* Backends and addresses to listen on have their own readers. */
static const struct {
	const char *(*read)(const struct reading *reading, const struct config_node *node);
	const char *(*format)(const struct setting *setting, const void *base, struct arena *arena);
} types[SETTING_TYPES] = {
    [SETTING_DURATION] = {read_duration, format_duration},
    [SETTING_SIZE] = {read_size, format_size},
    [SETTING_INTEGER] = {read_integer, format_integer},
    [SETTING_BOOLEAN] = {read_boolean, format_boolean},
    [SETTING_CHOICE] = {read_choice, format_choice},
    [SETTING_FIELD] = {read_string, format_string},
    [SETTING_TARGET] = {read_string, format_string},
    [SETTING_AUTHORITY] = {read_string, format_string},
    [SETTING_TEXT] = {read_string, format_string},
    [SETTING_MODE] = {read_mode, format_mode},
    [SETTING_STATUSES] = {read_list, value_list_format},
    [SETTING_RANGES] = {read_list, value_list_format},
    [SETTING_BLOCKS] = {read_list, value_list_format},
    [SETTING_PROTOCOLS] = {read_list, value_list_format},
    [SETTING_HOSTS] = {read_list, value_list_format},
    [SETTING_LISTEN] = {NULL, value_list_format},
    [SETTING_ADDRESS] = {read_list, value_list_format},
};

const char *value_read(
    const struct setting *setting, const struct config_node *node, void *base, struct arena *arena)
{
	struct reading reading = {setting, base, arena};
	const char *wrong;

	assert(types[setting->type].read);
	if (holds_control_bytes(node))
		return "the string has control bytes";
	wrong = types[setting->type].read(&reading, node);
	return arena->failed ? out_of_memory : wrong;
}

const char *value_format(const struct setting *setting, const void *base, struct arena *arena)
{
	assert(types[setting->type].format);
	return types[setting->type].format(setting, base, arena);
}

bool value_is_same(const struct setting *setting, const void *base, const void *other)
{
	assert(types[setting->type].format != value_list_format);
	if (types[setting->type].format == format_string)
		return strcmp(load_string(setting, base), load_string(setting, other)) == 0;
	return load_number(setting, base) == load_number(setting, other);
}

static bool is_list(enum setting_type type)
{
	return type == SETTING_STATUSES || type == SETTING_BLOCKS || type == SETTING_PROTOCOLS ||
	       type == SETTING_HOSTS || type == SETTING_LISTEN;
}

/* Without blanks and quotes: "500", "10.0.0.0/8". */
static struct str bare_element(struct str text)
{
	text = str_trim(text);
	if (text.len >= 2 && text.data[0] == '"' && text.data[text.len - 1] == '"')
		text = (struct str){text.data + 1, text.len - 2};
	return text;
}

bool value_node(
    const struct setting *setting, struct str text, struct config_node *node, struct arena *arena)
{
	struct str rest;

	*node = (struct config_node){.line = node->line, .kind = NODE_STRING};
	if (!is_list(setting->type)) {
		node->text = arena_copy(arena, text);
		return node->text != NULL;
	}
	node->kind = NODE_LIST;
	rest = str_trim(text);
	if (rest.len >= 2 && strchr("[(", rest.data[0]) && strchr("])", rest.data[rest.len - 1]) &&
	    str_find(rest, ']') >= rest.len - 1)
		rest = str_trim((struct str){rest.data + 1, rest.len - 2});
	if (rest.len == 0)
		return true;
	node->items = arena_take(arena, (rest.len + 1) * sizeof(*node->items));
	while (node->items && rest.data) {
		struct str part = bare_element(str_split(&rest, ','));

		node->items[node->count++] = (struct config_node){
		    .kind = NODE_STRING, .line = node->line, .text = arena_copy(arena, part)};
	}
	return !arena->failed;
}

static bool has_range(const struct setting *setting)
{
	return setting->type == SETTING_STATUSES || setting->type == SETTING_DURATION ||
	       setting->type == SETTING_SIZE || setting->type == SETTING_INTEGER;
}

const char *value_type_text(const struct setting *setting, struct arena *arena)
{
	const char *text = setting_type_text(setting->type);
	const char *min;
	const char *max;

	if (setting->type == SETTING_CHOICE)
		return choice_words(setting, arena);
	if (!has_range(setting))
		return text;
	min = format_number(setting, setting->min, arena);
	max = format_number(setting, setting->max, arena);
	if (!min || !max)
		return NULL;
	const char *words = setting->words ? choice_words(setting, arena) : NULL;
	return words ? arena_printf(arena, "%s, or a %s, %s to %s", words, text, min, max)
		     : arena_printf(arena, "%s, %s to %s", text, min, max);
}

const char *value_default_text(const struct setting *setting, struct arena *arena)
{
	union {
		struct config config;
		struct backend_options backend;
		struct config_listen listen;
	} base = {0};
	struct config_node node = {0};

	if (setting->type == SETTING_LISTEN)
		return value_quote(setting->fallback, arena);
	if (!setting->fallback || !value_node(setting, str_from(setting->fallback), &node, arena) ||
	    value_read(setting, &node, &base, arena))
		return NULL;
	return value_format(setting, &base, arena);
}
