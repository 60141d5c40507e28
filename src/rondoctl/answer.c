#include "answer.h"

#include <stdio.h>
#include <string.h>

enum { NAME_SIZE = 64 };

json_t *answer_at(const json_t *object, const char *path)
{
	json_t *value = NULL;

	while (*path) {
		size_t len = strcspn(path, ".");
		char name[NAME_SIZE];

		snprintf(name, sizeof(name), "%.*s", (int)len, path);
		value = json_object_get(object, name);
		object = value;
		path += len + (path[len] == '.');
	}
	return value;
}

double answer_number(const json_t *object, const char *path)
{
	return json_number_value(answer_at(object, path));
}

const char *answer_text(const json_t *object, const char *path)
{
	const char *text = json_string_value(answer_at(object, path));

	return text ? text : "";
}

double answer_failures(const json_t *backend)
{
	const char *reason;
	json_t *count;
	double sum = 0;

	json_object_foreach (answer_at(backend, "failures"), reason, count)
		sum += json_number_value(count);
	return sum;
}
