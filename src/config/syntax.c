#include "syntax.h"

#include "tokens.h"

#include <stdarg.h>
#include <stdlib.h>

/* libconfig compares each name of a group with all others, and rondo knows far fewer. */
enum { SYNTAX_NAMES = 100 };

/* A name that was set in a group. */
struct name {
	struct name *next;
	struct str text;
	const struct config_line *line;
};

/* An open bracket; the text itself counts as one. */
struct bracket {
	char closer;
	const char *opener;
	const struct config_line *line;
	struct name *names; /* in a group */
	size_t name_count;
};

struct checker {
	const struct config_text *text;
	struct config_errors *errors;
	struct config_lexer lexer;
	struct config_token token;        /* the next one */
	const struct config_line *before; /* the line of the one before it */
	struct bracket brackets[CONFIG_SYNTAX_DEPTH + 1];
	size_t depth; /* how many are in use */
	struct config_syntax *found;
	const struct config_line *fault_line; /* of the last fault; NULL: there is none */
	bool has_given_up;
	struct arena arena;
};

static void check_value(struct checker *checker);

static const struct config_line *here(const struct checker *checker)
{
	return config_text_line(checker->text, checker->token.line);
}

/* Nothing more is read. */
static void give_up(struct checker *checker)
{
	checker->lexer.at += strlen(checker->lexer.at);
	checker->token.kind = TOKEN_END;
	checker->token.text = (struct str){checker->lexer.at, 0};
	checker->has_given_up = true;
}

/* One fault for each line: others on it mostly follow from the first. */
static void fault(struct checker *checker, struct config_fault fault, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void fault(struct checker *checker, struct config_fault fault, const char *format, ...)
{
	va_list args;
	char message[512];

	if (fault.line == checker->fault_line || checker->has_given_up)
		return;
	checker->fault_line = fault.line;
	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	config_errors_add(checker->errors, fault, "%s", message);
	if (checker->errors->more)
		give_up(checker);
}

static void advance(struct checker *checker)
{
	checker->before = here(checker);
	checker->token = config_token_next(&checker->lexer);
	if (checker->token.kind == TOKEN_COMMENT) {
		fault(checker, (struct config_fault){here(checker), NULL},
		    "this comment is never closed");
		give_up(checker);
	}
}

/* The length of a word in a message. */
static int shown(struct str word)
{
	return word.len < 80 ? (int)word.len : 80;
}

/* Records the line of a value, which is the line of its name if it has one. */
static void note_value(struct checker *checker, const struct config_line *line)
{
	struct config_syntax *found = checker->found;
	size_t size = found->size ? 2 * found->size : 64;
	void *lines;

	if (found->count == found->size) {
		lines = realloc(found->lines, size * sizeof(const struct config_line *));
		if (!lines) {
			checker->arena.failed = true;
			return;
		}
		found->lines = lines;
		found->size = size;
	}
	found->lines[found->count++] = line;
}

static void needs_quotes(struct checker *checker, struct str word)
{
	const char *hint = arena_printf(&checker->arena, "write \"%.*s\"", shown(word), word.data);

	checker->lexer.at = word.data + word.len;
	fault(checker, (struct config_fault){here(checker), hint}, "%.*s has no quotes",
	    shown(word), word.data);
	advance(checker);
}

static bool open_bracket(struct checker *checker)
{
	static const char *const pairs[] = {"()", "[]", "{}"};
	struct bracket *bracket;
	size_t pair = 0;

	if (checker->depth == CONFIG_SYNTAX_DEPTH) {
		fault(checker, (struct config_fault){here(checker), NULL}, "nested too deep");
		give_up(checker);
		return false;
	}
	while (pair < 2 && pairs[pair][0] != checker->token.text.data[0])
		pair++;
	bracket = &checker->brackets[++checker->depth];
	*bracket = (struct bracket){
	    .opener = pairs[pair], .closer = pairs[pair][1], .line = here(checker)};
	advance(checker);
	return true;
}

/* The current token is a closing bracket or the end. Does it close the innermost bracket? */
static bool close_bracket(struct checker *checker)
{
	struct bracket *bracket = &checker->brackets[checker->depth];
	char closer = checker->token.text.data[0]; /* NUL at the end */
	const char *hint;
	size_t outer = checker->depth;

	if (closer == bracket->closer) {
		advance(checker);
		return true;
	}
	if (closer == '\0') {
		fault(checker, (struct config_fault){bracket->line, NULL},
		    "this '%c' is never closed", bracket->opener[0]);
		return true;
	}
	/* Probably a typing mistake: the open bracket goes on behind it. */
	if (checker->depth && bracket->line == here(checker)) {
		hint = arena_printf(&checker->arena, "write '%c'", bracket->closer);
		fault(checker, (struct config_fault){bracket->line, hint},
		    "a '%c' is closed by '%c'", bracket->opener[0], closer);
		advance(checker);
		return true;
	}
	while (outer && checker->brackets[outer].closer != closer)
		outer--;
	if (outer) {
		hint =
		    arena_printf(&checker->arena, "a '%c' is missing before it", bracket->closer);
		fault(checker, (struct config_fault){here(checker), hint},
		    "'%c', but the '%c' of line %u is still open", closer, bracket->opener[0],
		    bracket->line->number);
		return true;
	}
	hint = !checker->depth ? NULL
			       : arena_printf(&checker->arena, "open is the '%c' of line %u",
				     bracket->opener[0], bracket->line->number);
	fault(checker, (struct config_fault){here(checker), hint}, "this '%c' closes nothing",
	    closer);
	advance(checker);
	return false;
}

static bool is_name(const struct checker *checker)
{
	return checker->token.kind == TOKEN_NAME || checker->token.kind == TOKEN_DOTTED;
}

/* Does the current name begin a setting? It does if an assignment is next that is not the colon of
 * http://.
 */
static bool begins_setting(const struct checker *checker)
{
	struct config_lexer ahead = checker->lexer;
	struct config_token next = config_token_next(&ahead);
	bool glued = next.text.data == checker->lexer.at;

	if (next.kind != TOKEN_ASSIGN)
		return false;
	return next.text.data[0] == '=' || !glued || strchr(" \t\n\"", next.text.data[1]);
}

/* Is "= {" next? */
static bool begins_group(const struct checker *checker)
{
	struct config_lexer ahead = checker->lexer;

	config_token_next(&ahead);
	return config_token_next(&ahead).text.data[0] == '{';
}

static void note_name(struct checker *checker, struct str text)
{
	struct bracket *group = &checker->brackets[checker->depth];
	struct name *name;
	const char *hint;

	for (name = group->names; name; name = name->next) {
		if (!str_equals(name->text, text))
			continue;
		hint = arena_printf(&checker->arena, "it was set first on line %u%s",
		    name->line->number,
		    begins_group(checker) ? "; put all settings of a group into one { }" : "");
		fault(checker, (struct config_fault){here(checker), hint}, "`%.*s` is set twice",
		    shown(text), text.data);
		return;
	}
	if (group->name_count == SYNTAX_NAMES) {
		fault(checker, (struct config_fault){here(checker), NULL},
		    "more than %d settings in one group: most of them must be unknown",
		    SYNTAX_NAMES);
		give_up(checker);
		return;
	}
	name = arena_take(&checker->arena, sizeof(*name));
	if (!name)
		return;
	group->name_count++;
	*name = (struct name){group->names, text, here(checker)};
	group->names = name;
}

/* name = value, then a semicolon, a comma or nothing. */
static void check_setting(struct checker *checker)
{
	struct str name = checker->token.text;
	const struct config_line *line = here(checker);

	note_name(checker, name);
	note_value(checker, line);
	advance(checker);
	if (checker->token.kind == TOKEN_ASSIGN) {
		advance(checker);
		check_value(checker);
	} else {
		fault(checker,
		    (struct config_fault){line,
			arena_printf(&checker->arena, "write %.*s = ...;", shown(name), name.data)},
		    "a '=' is missing after `%.*s`", shown(name), name.data);
		if (checker->token.kind == TOKEN_OPEN || checker->token.kind == TOKEN_STRING)
			check_value(checker);
	}
	if (checker->token.kind == TOKEN_SEMICOLON || checker->token.kind == TOKEN_COMMA)
		advance(checker);
}

/* "retry.tries = 3": the form of a setting's name that is used everywhere except in a file. */
static void check_dotted(struct checker *checker)
{
	struct str name = checker->token.text;
	struct str group = str_split(&name, '.');
	const char *hint = arena_printf(&checker->arena, "write %.*s = { %.*s = ...; };",
	    shown(group), group.data, shown(name), name.data);

	fault(checker, (struct config_fault){here(checker), hint},
	    "a name in a file has no dot: `%.*s` belongs in the group `%.*s`", shown(name),
	    name.data, shown(group), group.data);
	advance(checker);
	if (checker->token.kind != TOKEN_ASSIGN)
		return;
	advance(checker);
	check_value(checker);
	if (checker->token.kind == TOKEN_SEMICOLON)
		advance(checker);
}

/* A token in a group that is not a name. */
static void check_misplaced(struct checker *checker)
{
	struct str text = checker->token.text;
	const struct config_line *line = here(checker);
	const char *hint = NULL;

	if (checker->token.kind == TOKEN_STRAY && text.data[0] == '@') {
		hint = "write @include \"FILE\" on a line of its own";
		checker->lexer.at += strcspn(checker->lexer.at, "\n");
		fault(checker, (struct config_fault){line, hint}, "not a valid @include");
	} else if (checker->token.kind == TOKEN_STRAY &&
		   (text.data[0] & 0x80 || text.data[0] < ' ')) {
		fault(checker, (struct config_fault){line, NULL},
		    "the byte 0x%02x is not allowed outside of quotes",
		    (unsigned char)text.data[0]);
	} else if (checker->token.kind == TOKEN_UNENDED) {
		fault(checker, (struct config_fault){line, NULL}, "the second quote is missing");
	} else {
		if (checker->token.kind == TOKEN_STRING)
			hint = "names have no quotes, and a setting is name = value;";
		fault(checker, (struct config_fault){line, hint},
		    "a setting's name is expected, not %.*s", shown(text), text.data);
	}
	advance(checker);
}

/* Settings up to the closing brace, or to the end of the text. */
static void check_group(struct checker *checker)
{
	for (;;) {
		/* All other tokens are misplaced. */
		if (checker->token.kind == TOKEN_NAME) {
			check_setting(checker);
		} else if (checker->token.kind == TOKEN_DOTTED) {
			check_dotted(checker);
		} else if (checker->token.kind == TOKEN_END && checker->depth == 0) {
			return;
		} else if (checker->token.kind == TOKEN_END || checker->token.kind == TOKEN_CLOSE) {
			if (close_bracket(checker))
				return;
		} else {
			check_misplaced(checker);
		}
	}
}

/* A name in a list: a forgotten group, a forgotten end of the list, or text without quotes. True:
 * the list is over. */
static bool check_name_in_list(struct checker *checker, bool is_first)
{
	const struct bracket *list = &checker->brackets[checker->depth];
	const char *hint;

	if (!begins_setting(checker)) {
		needs_quotes(checker, config_token_word(&checker->token));
		return false;
	}
	if (!is_first && here(checker) != list->line) {
		hint = arena_printf(&checker->arena, "a '%c' is missing before `%.*s` on line %u",
		    list->closer, shown(checker->token.text), checker->token.text.data,
		    here(checker)->number);
		fault(checker, (struct config_fault){list->line, hint}, "this '%c' is never closed",
		    list->opener[0]);
		return true;
	}
	hint = arena_printf(&checker->arena, "write { %.*s = ...; }", shown(checker->token.text),
	    checker->token.text.data);
	fault(checker, (struct config_fault){here(checker), hint},
	    "a setting inside of '%c' needs a group of its own", list->opener[0]);
	while (is_name(checker) && begins_setting(checker)) {
		advance(checker);
		advance(checker);
		check_value(checker);
		if (checker->token.kind == TOKEN_SEMICOLON)
			advance(checker);
	}
	return false;
}

static bool has_odd_quotes(struct str line)
{
	bool odd = false;

	for (size_t i = 0; i < line.len; i++) {
		if (line.data[i] == '\\')
			i++;
		else
			odd ^= line.data[i] == '"';
	}
	return odd;
}

/* Checks the token behind an element, which should be a comma. */
static void check_separator(struct checker *checker)
{
	switch ((int)checker->token.kind) {
	case TOKEN_COMMA:
		advance(checker);
		return;
	case TOKEN_CLOSE:
	case TOKEN_END:
		return;
	case TOKEN_SEMICOLON:
		fault(checker,
		    (struct config_fault){here(checker), "elements are separated by commas"},
		    "a ';' in a list");
		advance(checker);
		return;
	case TOKEN_NAME:
		if (begins_setting(checker) && here(checker) != checker->before)
			return;
		break;
	default:
		break;
	}
	if (has_odd_quotes(checker->before->text))
		fault(checker, (struct config_fault){checker->before, NULL}, "a quote is missing");
	else
		fault(checker,
		    (struct config_fault){
			checker->before, "elements of a list are separated by commas"},
		    "a comma is missing after this element");
}

/* Does the current token end the list? `comma` is the line of the comma before it, if there is
 * one. */
static bool ends_list(struct checker *checker, const struct config_line *comma)
{
	char closer = checker->brackets[checker->depth].closer;

	if (checker->token.kind != TOKEN_CLOSE && checker->token.kind != TOKEN_END)
		return false;
	if (comma && checker->token.text.len && checker->token.text.data[0] == closer)
		fault(checker,
		    (struct config_fault){comma, "the last element of a list has no comma"},
		    "a comma before '%c'", closer);
	return close_bracket(checker);
}

static void check_element(struct checker *checker, enum config_token_kind first)
{
	bool is_array = checker->brackets[checker->depth].closer == ']';

	if (is_array && (checker->token.kind == TOKEN_OPEN || checker->token.kind != first))
		fault(checker,
		    (struct config_fault){here(checker), "write ( ) for a list of anything"},
		    "[ ] holds plain values of one type");
	note_value(checker, here(checker));
	check_value(checker);
}

/* Elements up to the closing bracket of a list or an array. */
static void check_list(struct checker *checker)
{
	const struct config_line *comma = NULL;
	enum config_token_kind first = checker->token.kind;
	bool is_first = true;

	while (!ends_list(checker, comma)) {
		/* A bracket that closes nothing was skipped: the next token may end the list. */
		if (checker->token.kind == TOKEN_CLOSE || checker->token.kind == TOKEN_END)
			continue;
		if (!is_name(checker))
			check_element(checker, first);
		else if (check_name_in_list(checker, is_first))
			return;
		is_first = false;
		comma = checker->token.kind == TOKEN_COMMA ? here(checker) : NULL;
		check_separator(checker);
	}
}

static void check_nested(struct checker *checker)
{
	bool is_group = checker->token.text.data[0] == '{';

	if (!open_bracket(checker))
		return;
	if (is_group)
		check_group(checker);
	else
		check_list(checker);
	checker->depth--;
}

/* In a setting, strings in a row are one string, as in C; in a list a comma was forgotten.
 */
static void check_string(struct checker *checker)
{
	bool in_group = checker->brackets[checker->depth].closer == '}' || checker->depth == 0;

	do
		advance(checker);
	while (in_group && checker->token.kind == TOKEN_STRING);
}

static void check_value(struct checker *checker)
{
	struct config_token *token = &checker->token;

	switch (token->kind) {
	case TOKEN_OPEN:
		check_nested(checker);
		return;
	case TOKEN_STRING:
		check_string(checker);
		return;
	case TOKEN_NUMBER:
	case TOKEN_FLOAT:
	case TOKEN_BOOLEAN:
		break;
	case TOKEN_UNENDED:
		fault(checker, (struct config_fault){here(checker), NULL},
		    "the second quote is missing");
		break;
	case TOKEN_TOO_LARGE:
		fault(checker, (struct config_fault){here(checker), NULL},
		    "the number %.*s is too large", shown(token->text), token->text.data);
		break;
	case TOKEN_NAME:
	case TOKEN_DOTTED:
		if (!begins_setting(checker)) {
			needs_quotes(checker, config_token_word(token));
			return;
		}
		fault(checker, (struct config_fault){checker->before, NULL}, "a value is missing");
		return;
	case TOKEN_WORD:
		needs_quotes(checker, token->text);
		return;
	case TOKEN_END:
	case TOKEN_CLOSE:
	case TOKEN_COMMA:
	case TOKEN_SEMICOLON:
		fault(checker, (struct config_fault){checker->before, NULL}, "a value is missing");
		return;
	case TOKEN_ASSIGN:
	case TOKEN_COMMENT:
	case TOKEN_STRAY:
		if (config_token_word(token).len > 1) {
			needs_quotes(checker, config_token_word(token));
			return;
		}
		fault(checker, (struct config_fault){here(checker), NULL},
		    "a value is expected, not %.*s", shown(token->text), token->text.data);
		break;
	}
	advance(checker);
}

bool config_syntax_check(
    struct config_syntax *found, const struct config_text *text, struct config_errors *errors)
{
	struct checker checker = {
	    .text = text, .errors = errors, .lexer = {.at = text->all, .line = 1}, .found = found};
	bool good;

	*found = (struct config_syntax){0};
	checker.token.line = 1;
	advance(&checker);
	check_group(&checker);
	good = !checker.fault_line;
	if (checker.arena.failed) {
		errors->incomplete = true;
		good = false;
	}
	arena_finish(&checker.arena);
	return good;
}

void config_syntax_finish(struct config_syntax *found)
{
	free(found->lines);
	*found = (struct config_syntax){0};
}
