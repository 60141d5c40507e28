#include "base/text.h"

#include <stdio.h>

/* ---- numbers */

void text_put_number(struct text *text, uint64_t number)
{
	size_t digits = 1;

	for (uint64_t rest = number; rest >= 10; rest /= 10)
		digits++;
	text_put_digits(text, number, digits);
}

void text_put_digits(struct text *text, uint64_t number, size_t digits)
{
	char *place = text_take(text, digits);

	for (; place && digits > 0; number /= 10)
		place[--digits] = (char)('0' + number % 10);
}

/* ---- escapes */

static bool is_plain(unsigned char byte, enum text_quoting quoting)
{
	if (byte == ' ')
		return quoting != TEXT_WORD;
	if (byte == '"' || byte == '\\')
		return quoting == TEXT_LINE;
	return byte > ' ' && byte < 0x7f;
}

static struct str escape_of(enum text_quoting quoting)
{
	return quoting == TEXT_JSON ? STR("\\u00") : STR("\\x");
}

static void put_escape(struct text *text, unsigned char byte, enum text_quoting quoting)
{
	static const char hex[] = "0123456789ABCDEF";
	char digits[2] = {hex[byte >> 4], hex[byte & 15]};

	text_put(text, escape_of(quoting));
	text_put(text, (struct str){digits, sizeof(digits)});
}

void text_put_escaped(struct text *text, struct str bytes, enum text_quoting quoting, size_t limit)
{
	const char *start = text->at;
	size_t i = 0;

	while (text->at && i < bytes.len && (size_t)(text->at - start) < limit) {
		size_t left = limit - (size_t)(text->at - start);
		size_t run = i;

		while (run < bytes.len && run - i < left &&
		       is_plain((unsigned char)bytes.data[run], quoting))
			run++;
		text_put(text, (struct str){bytes.data + i, run - i});
		i = run;
		if (i < bytes.len && !is_plain((unsigned char)bytes.data[i], quoting))
			put_escape(text, (unsigned char)bytes.data[i++], quoting);
	}
	if (i < bytes.len)
		text_put(text, STR("..."));
}

size_t text_escaped_length(struct str bytes, enum text_quoting quoting)
{
	size_t length = bytes.len;

	for (size_t i = 0; i < bytes.len; i++)
		if (!is_plain((unsigned char)bytes.data[i], quoting))
			length += escape_of(quoting).len + 1;
	return length;
}

/* ---- durations */

/* "2 m 30 s", "3 h" */
static void write_two_units(int64_t duration_us, char out[static TEXT_DURATION_SIZE])
{
	long long seconds = (duration_us + 500000) / 1000000;
	bool in_hours = seconds >= 7200;
	long long parts = in_hours ? (seconds + 30) / 60 : seconds;
	int len = snprintf(out, TEXT_DURATION_SIZE, "%lld %s", parts / 60, in_hours ? "h" : "m");

	if (parts % 60 > 0)
		snprintf(out + len, TEXT_DURATION_SIZE - (size_t)len, " %lld %s", parts % 60,
		    in_hours ? "m" : "s");
}

const char *text_of_duration(int64_t duration_us, char out[static TEXT_DURATION_SIZE])
{
	if (duration_us < 1000000)
		snprintf(out, TEXT_DURATION_SIZE, "%lld ms", (long long)(duration_us + 500) / 1000);
	else if (duration_us < 120000000)
		snprintf(out, TEXT_DURATION_SIZE, "%.3g s", (double)duration_us / 1e6);
	else
		write_two_units(duration_us, out);
	return out;
}
