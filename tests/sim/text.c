#include "text.h"

#include "reader.h"

#include <stdlib.h>

static char *reserve(struct text *text, size_t len)
{
	if (text->room - text->len < len) {
		text->room = (text->len + len) * 2 + 1024;
		text->data = realloc(text->data, text->room);
		if (!text->data)
			abort();
	}
	text->len += len;
	return text->data + text->len - len;
}

void text_put(struct text *text, struct str bytes)
{
	if (bytes.len > 0)
		memcpy(reserve(text, bytes.len), bytes.data, bytes.len);
}

void text_add_number(struct text *text, uint64_t number)
{
	char digits[20];
	size_t first = sizeof(digits);

	do {
		digits[--first] = (char)('0' + number % 10);
		number /= 10;
	} while (number);
	text_put(text, (struct str){digits + first, sizeof(digits) - first});
}

void text_put_hex(struct text *text, uint32_t number)
{
	char *digits = reserve(text, 8);

	for (int i = 7; i >= 0; i--) {
		digits[i] = "0123456789abcdef"[number & 15];
		number >>= 4;
	}
}

void text_put_field(struct text *text, struct str name, struct str value)
{
	text_put(text, name);
	text_put(text, STR(": "));
	text_put(text, value);
	text_put(text, STR("\r\n"));
}

void text_put_noise(struct text *text, uint64_t offset, uint32_t key, size_t len)
{
	while (len > 0) {
		const char *bytes;
		size_t run = noise_run(offset, key, len, &bytes);

		text_put(text, (struct str){bytes, run});
		offset += run;
		len -= run;
	}
}

void text_finish(struct text *text)
{
	free(text->data);
	*text = (struct text){0};
}
