/*
 * tokens - splits the text of a configuration into names, values and brackets.
 *
 * The lexical rules of libconfig 1.5, with a few more kinds of token for common mistakes: a word
 * that needs quotes (500ms, 127.0.0.1:80), a string or a comment without an end. Nothing can fail.
 */
#ifndef RONDO_CONFIG_TOKENS_H
#define RONDO_CONFIG_TOKENS_H

#include "base/str.h"

enum config_token_kind {
	TOKEN_END,
	TOKEN_NAME,
	TOKEN_DOTTED,  /* retry.tries */
	TOKEN_ASSIGN,  /* = or : */
	TOKEN_STRING,  /* with its quotes */
	TOKEN_UNENDED, /* a string without a second quote on its line */
	TOKEN_NUMBER,
	TOKEN_TOO_LARGE, /* a number beyond its type */
	TOKEN_FLOAT,
	TOKEN_BOOLEAN,
	TOKEN_WORD, /* begins like a number but is not one */
	TOKEN_OPEN, /* ( [ { */
	TOKEN_CLOSE,
	TOKEN_COMMA,
	TOKEN_SEMICOLON,
	TOKEN_COMMENT, /* without an end */
	TOKEN_STRAY    /* a byte without a meaning */
};

struct config_token {
	enum config_token_kind kind;
	struct str text;
	size_t line; /* counted from 1 */
};

struct config_lexer {
	const char *at; /* terminated text */
	size_t line;
};

struct config_token config_token_next(struct config_lexer *lexer);

/* The text from `token` up to a space, quote, bracket, comma or semicolon: probably a string
 * without quotes. */
struct str config_token_word(const struct config_token *token);

#endif
