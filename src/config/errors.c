#include "config/errors.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { SOURCE_SHOWN = 160 };

void config_errors_finish(struct config_errors *errors)
{
	for (size_t i = 0; i < errors->count; i++) {
		free(errors->items[i].message);
		free(errors->items[i].source);
		free(errors->items[i].hint);
	}
	free(errors->items);
	*errors = (struct config_errors){0};
}

void config_errors_write(const struct config_errors *errors, FILE *out)
{
	if (errors->incomplete)
		fprintf(out, "rondo: out of memory while reading the configuration\n");
	for (size_t i = 0; i < errors->count; i++) {
		const struct config_error *error = &errors->items[i];

		fprintf(out, "%s\n", error->message ? error->message : "out of memory");
		if (error->source)
			fprintf(out, "%s\n", error->source);
		if (error->hint)
			fprintf(out, "        hint: %s\n", error->hint);
	}
	if (errors->more)
		fprintf(out, "rondo: these are the first %d faults; there are more\n",
		    CONFIG_ERRORS_MAX);
}

/* The line to show below a message, without control bytes, which could disturb the terminal. */
static char *show_source(const struct config_line *line)
{
	enum { MARGIN = 24 };
	size_t len = line->text.len < SOURCE_SHOWN ? line->text.len : SOURCE_SHOWN;
	char *shown = malloc(MARGIN + len + 1);
	char *at;

	if (!shown)
		return NULL;
	at = shown + snprintf(shown, MARGIN, "%5u | ", line->number);
	for (size_t i = 0; i < len; i++) {
		char c = line->text.data[i];

		if ((unsigned char)c < ' ' || c == 0x7f)
			c = ' ';
		*at++ = c;
	}
	*at = '\0';
	return shown;
}

static char *format_message(const struct config_line *line, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));
static char *format_message(const struct config_line *line, const char *format, va_list args)
{
	char *text;
	char *message;
	int len;

	if (vasprintf(&text, format, args) < 0)
		return NULL;
	if (line->number)
		len = asprintf(&message, "%s:%u: %s", line->file, line->number, text);
	else
		len = asprintf(&message, "%s: %s", line->file, text);
	free(text);
	return len < 0 ? NULL : message;
}

void config_errors_add(
    struct config_errors *errors, struct config_fault fault, const char *format, ...)
{
	struct config_error *error;
	va_list args;

	errors->more |= errors->count == CONFIG_ERRORS_MAX;
	if (errors->more)
		return;
	if (errors->count == errors->capacity) {
		size_t capacity = errors->capacity ? errors->capacity * 2 : 8;
		void *items = realloc(errors->items, capacity * sizeof(*errors->items));

		if (!items) {
			errors->incomplete = true;
			return;
		}
		errors->items = items;
		errors->capacity = capacity;
	}
	error = &errors->items[errors->count++];
	va_start(args, format);
	error->message = format_message(fault.line, format, args);
	va_end(args);
	error->source = fault.line->number ? show_source(fault.line) : NULL;
	error->hint = fault.hint ? strdup(fault.hint) : NULL;
}

const char *config_line_origin(const struct config_line *line, struct arena *arena)
{
	if (line->number == 0)
		return "command line";
	return arena_printf(arena, "%s:%u", line->file, line->number);
}

bool config_refuse(struct config_refusal *refusal, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(refusal->text, sizeof(refusal->text), format, arguments);
	va_end(arguments);
	return false;
}
