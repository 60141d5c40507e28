#include "config/settings.h"

enum { WORD_LENGTH = 40, DISTANCE_MEANT = 2 };

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

size_t settings_distance(struct str a, struct str b)
{
	/* Three rows of the usual table are needed, since a swap of two letters is one edit. */
	size_t rows[3][WORD_LENGTH + 1];
	size_t *before = rows[0];
	size_t *last = rows[1];
	size_t *now = rows[2];
	size_t *spare;

	if (a.len > WORD_LENGTH || b.len > WORD_LENGTH)
		return SIZE_MAX;
	for (size_t k = 0; k <= b.len; k++)
		last[k] = before[k] = k;
	for (size_t i = 1; i <= a.len; i++) {
		now[0] = i;
		for (size_t k = 1; k <= b.len; k++) {
			bool same = a.data[i - 1] == b.data[k - 1];

			now[k] = least(last[k - 1] + !same, least(last[k], now[k - 1]) + 1);
			if (i > 1 && k > 1 && a.data[i - 1] == b.data[k - 2] &&
			    a.data[i - 2] == b.data[k - 1])
				now[k] = least(now[k], before[k - 2] + 1);
		}
		spare = before;
		before = last;
		last = now;
		now = spare;
	}
	return last[b.len];
}

static struct str last_word(struct str path)
{
	size_t point = str_find(path, '.');

	return point == path.len ? path : (struct str){path.data + point + 1, path.len - point - 1};
}

static struct str first_word(struct str path)
{
	return (struct str){path.data, str_find(path, '.')};
}

/* The distance of `meant` from the written word; more than DISTANCE_MEANT is too far. For a short
 * word the limit is half of its length. */
static size_t word_distance(struct str written, struct str meant)
{
	size_t distance = settings_distance(written, meant);

	return distance <= DISTANCE_MEANT && distance * 2 <= written.len ? distance : SIZE_MAX;
}

/* The path may be misspelt, or the setting belongs to another group. */
static size_t path_distance(struct str written, struct str meant)
{
	size_t whole = word_distance(written, meant);
	size_t word = word_distance(last_word(written), last_word(meant));

	/* A misspelt name in the right group is likelier than a wrong group. */
	if (word != SIZE_MAX && !str_equals(first_word(written), first_word(meant)))
		word = 2 * word + 1;
	return least(whole, word);
}

const char *settings_suggest(struct settings settings, const char *path)
{
	struct str written = str_from(path);
	const char *nearest = NULL;
	size_t best = SIZE_MAX;

	for (size_t i = 0; i < settings.count; i++) {
		size_t distance = path_distance(written, str_from(settings.items[i].path));

		if (distance < best) {
			best = distance;
			nearest = settings.items[i].path;
		}
	}
	return nearest;
}

struct str settings_suggest_group(struct settings settings, const char *name)
{
	struct str written = str_from(name);
	struct str nearest = {NULL, 0};
	size_t best = SIZE_MAX;

	for (size_t i = 0; i < settings.count; i++) {
		struct str group = setting_group(&settings.items[i]);
		size_t distance = group.len ? word_distance(written, group) : SIZE_MAX;

		if (distance < best) {
			best = distance;
			nearest = group;
		}
	}
	return nearest;
}
