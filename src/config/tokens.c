#include "tokens.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>

/* Independent of the locale. */
static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_in_name(char c)
{
	return is_letter(c) || is_digit(c) || c == '_' || c == '-' || c == '*';
}

static bool is_in_word(char c)
{
	return c && !strchr(" \t\r\n\f\"()[]{},;", c);
}

/* Steps over spaces and comments. */
static void skip_blank(struct config_lexer *lexer)
{
	const char *at = lexer->at;

	while (*at) {
		if (*at == '\n') {
			lexer->line++;
			at++;
		} else if (*at == ' ' || *at == '\t' || *at == '\f' || *at == '\r') {
			at++;
		} else if (*at == '#' || (at[0] == '/' && at[1] == '/')) {
			at += strcspn(at, "\n");
		} else if (at[0] == '/' && at[1] == '*') {
			const char *end = strstr(at + 2, "*/");

			if (!end)
				break;
			for (; at < end + 2; at++)
				lexer->line += *at == '\n';
		} else {
			break;
		}
	}
	lexer->at = at;
}

static size_t string_length(const char *text, enum config_token_kind *kind)
{
	size_t len = 1;

	while (text[len] && text[len] != '\n' && text[len] != '"')
		len += text[len] == '\\' && text[len + 1] && text[len + 1] != '\n' ? 2 : 1;
	if (text[len] == '"') {
		*kind = TOKEN_STRING;
		return len + 1;
	}
	/* Punctuation at the end of the line probably does not belong to the string. */
	while (len > 1 && strchr(" \t;,)]}", text[len - 1]))
		len--;
	*kind = TOKEN_UNENDED;
	return len;
}

static size_t digits(const char *text)
{
	size_t len = 0;

	while (is_digit(text[len]))
		len++;
	return len;
}

/* The number of digits behind "0x". */
static size_t hex_digits(const char *text)
{
	if (text[0] != '0' || (text[1] != 'x' && text[1] != 'X'))
		return 0;
	return strspn(text + 2, "0123456789abcdefABCDEF");
}

/* The longest number at `text`, or 0. */
static size_t number_length(const char *text, enum config_token_kind *kind)
{
	size_t sign = *text == '-' || *text == '+';
	size_t len = sign + digits(text + sign);
	bool fraction = text[len] == '.';
	size_t hex = hex_digits(text);
	long long value;

	*kind = TOKEN_NUMBER;
	if (hex)
		len = 2 + hex;
	else if (fraction)
		len += 1 + digits(text + len + 1);
	if (len <= sign + fraction)
		return 0;
	if (fraction) {
		*kind = TOKEN_FLOAT;
		if (text[len] == 'e' || text[len] == 'E') {
			size_t power = len + 1 + (text[len + 1] == '-' || text[len + 1] == '+');

			len = digits(text + power) ? power + digits(text + power) : len;
		}
		return len;
	}
	errno = 0;
	value = strtoll(text, NULL, hex ? 16 : 10);
	if (errno || (text[len] != 'L' && (value > INT_MAX || value < INT_MIN)))
		*kind = TOKEN_TOO_LARGE;
	return len + strspn(text + len, "L");
}

static size_t number_or_word(const char *text, enum config_token_kind *kind)
{
	size_t number = number_length(text, kind);
	size_t word = 0;

	while (is_in_word(text[word]) && text[word] != '#' &&
	       !(text[word] == '/' && (text[word + 1] == '/' || text[word + 1] == '*')))
		word++;
	if (word > number)
		*kind = TOKEN_WORD;
	return word > number ? word : number;
}

static bool is_word(struct str text, struct str word)
{
	return str_equals_nocase(text, word);
}

static size_t name_length(const char *text, enum config_token_kind *kind)
{
	size_t len = 1;

	*kind = TOKEN_NAME;
	while (is_in_name(text[len]) || (text[len] == '.' && is_letter(text[len + 1]))) {
		if (text[len] == '.')
			*kind = TOKEN_DOTTED;
		len++;
	}
	if (is_word((struct str){text, len}, STR("true")) ||
	    is_word((struct str){text, len}, STR("false")))
		*kind = TOKEN_BOOLEAN;
	return len;
}

static enum config_token_kind mark_kind(char c)
{
	switch (c) {
	case '=':
	case ':':
		return TOKEN_ASSIGN;
	case '(':
	case '[':
	case '{':
		return TOKEN_OPEN;
	case ')':
	case ']':
	case '}':
		return TOKEN_CLOSE;
	case ',':
		return TOKEN_COMMA;
	case ';':
		return TOKEN_SEMICOLON;
	default:
		return TOKEN_STRAY;
	}
}

struct config_token config_token_next(struct config_lexer *lexer)
{
	struct config_token token = {.kind = TOKEN_END};
	const char *at;
	size_t len = 1;

	skip_blank(lexer);
	at = lexer->at;
	if (*at == '\0')
		len = 0;
	else if (*at == '"')
		len = string_length(at, &token.kind);
	else if (is_letter(*at) || *at == '*')
		len = name_length(at, &token.kind);
	else if (is_digit(*at) || ((*at == '-' || *at == '+' || *at == '.') && is_digit(at[1])))
		len = number_or_word(at, &token.kind);
	else if (at[0] == '/' && at[1] == '*')
		token.kind = TOKEN_COMMENT;
	else
		token.kind = mark_kind(*at);
	token.text = (struct str){at, len};
	token.line = lexer->line;
	lexer->at = at + len;
	return token;
}

struct str config_token_word(const struct config_token *token)
{
	size_t len = token->text.len;

	while (is_in_word(token->text.data[len]))
		len++;
	return (struct str){token->text.data, len};
}
