/*
 * str - a slice of bytes by value.
 *
 * A str points into memory that it does not own (a buffer, a literal, a configuration) and is valid
 * as long as that memory is. It is not terminated and may hold any byte, NUL included. An empty str
 * may have a null pointer. Nothing here allocates and nothing can fail.
 */
#ifndef RONDO_BASE_STR_H
#define RONDO_BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct str {
	const char *data;
	size_t len;
};

/* A string literal as a str, at no cost. */
#define STR(literal) ((struct str){(literal), sizeof(literal) - 1})

/* For printf's "%.*s". */
#define STR_ARGS(s) (int)(s).len, (s).data

/* A terminated string as a str; NULL gives the empty str. */
static inline struct str str_from(const char *terminated)
{
	return (struct str){terminated, terminated ? strlen(terminated) : 0};
}

/* Byte for byte the same? */
bool str_equals(struct str a, struct str b);

/* Are the `len` bytes (at least one) the same, apart from the case of ASCII letters? */
bool str_same_letters(const char *a, const char *b, size_t len);

/* Are they the same, apart from the case of ASCII letters? Inline, since most names that are
 * compared differ in length. */
static inline bool str_equals_nocase(struct str a, struct str b)
{
	return a.len == b.len && (a.len == 0 || str_same_letters(a.data, b.data, a.len));
}

bool str_starts_with(struct str s, struct str prefix);

/* Without the spaces and tabs at both ends (OWS of RFC 9110, 5.6.3). */
struct str str_trim(struct str s);

/*
 * Takes the part before the first `separator` off the front of *rest and returns it. *rest becomes
 * the text behind the separator, or empty with a null pointer when there was no separator. The part
 * is not trimmed. Use: while (rest.data) { part = str_split(&rest, ','); ... }
 */
struct str str_split(struct str *rest, char separator);

/* The position of `byte`, or s.len when it is not there. */
size_t str_find(struct str s, char byte);

/* Reads 1 to 18 decimal digits without sign, space or leading zero ("0" itself is allowed): the
 * number always fits an int64_t. False, and *value untouched, for anything else. This is stricter
 * than RFC 9110, 8.6, which allows leading zeros: some readers take them for octal. */
bool str_to_number(struct str s, uint64_t *value);

/* The value of a hexadecimal digit, or -1. */
int str_hex_digit(char byte);

#endif
