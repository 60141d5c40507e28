#include "base/str.h"

static unsigned char lower(char c)
{
	return (unsigned char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
}

bool str_equals(struct str a, struct str b)
{
	/* memcmp may not be handed a null pointer, not even for no bytes. */
	return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

bool str_same_letters(const char *a, const char *b, size_t len)
{
	/* Most names differ in the first letter, or are the same in every byte. */
	if (lower(a[0]) != lower(b[0]))
		return false;
	if (memcmp(a, b, len) == 0)
		return true;
	for (size_t i = 1; i < len; i++)
		if (lower(a[i]) != lower(b[i]))
			return false;
	return true;
}

bool str_starts_with(struct str s, struct str prefix)
{
	return s.len >= prefix.len && str_equals((struct str){s.data, prefix.len}, prefix);
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

struct str str_trim(struct str s)
{
	while (s.len && is_blank(s.data[0])) {
		s.data++;
		s.len--;
	}
	while (s.len && is_blank(s.data[s.len - 1]))
		s.len--;
	return s;
}

struct str str_split(struct str *rest, char separator)
{
	struct str part = {rest->data, str_find(*rest, separator)};

	if (part.len == rest->len)
		*rest = (struct str){NULL, 0};
	else
		*rest = (struct str){rest->data + part.len + 1, rest->len - part.len - 1};
	return part;
}

size_t str_find(struct str s, char byte)
{
	const char *found = s.len ? memchr(s.data, byte, s.len) : NULL;

	return found ? (size_t)(found - s.data) : s.len;
}

bool str_to_number(struct str s, uint64_t *value)
{
	uint64_t number = 0;

	if (s.len < 1 || s.len > 18 || (s.len > 1 && s.data[0] == '0'))
		return false;
	for (size_t i = 0; i < s.len; i++) {
		if (s.data[i] < '0' || s.data[i] > '9')
			return false;
		number = number * 10 + (uint64_t)(s.data[i] - '0');
	}
	*value = number;
	return true;
}

int str_hex_digit(char byte)
{
	if (byte >= '0' && byte <= '9')
		return byte - '0';
	if (byte >= 'a' && byte <= 'f')
		return byte - 'a' + 10;
	if (byte >= 'A' && byte <= 'F')
		return byte - 'A' + 10;
	return -1;
}
