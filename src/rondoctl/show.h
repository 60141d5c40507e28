/*
 * show - the answers of rondo as text for people.
 *
 * Text from outside goes through show_clean, so that no name can send control characters to the
 * terminal.
 */
#ifndef RONDOCTL_SHOW_H
#define RONDOCTL_SHOW_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

enum { SHOW_TEXT_SIZE = 64 };

/* "3 h 12 m", "12 s", "350 ms"; "1.25 ms" for response times. Return `text`. */
const char *format_age(double seconds, char text[static SHOW_TEXT_SIZE]);
const char *format_time(double seconds, char text[static SHOW_TEXT_SIZE]);

/* "12:30:05", local time. */
const char *format_clock(double unix_seconds, char text[static SHOW_TEXT_SIZE]);

/* Escape sequences for the colour of a state and for its end; "" when `coloured` is false. */
const char *colour_of(const char *state, bool coloured);
const char *colour_end(bool coloured);

/* Writes `text` without control characters. */
void show_clean(FILE *out, const char *text);

void show_status(const json_t *answer, bool coloured, FILE *out);
void show_why(const json_t *answer, bool coloured, FILE *out);

#endif
