#include "http/via.h"

/* Takes the next element off the list, without its comments: a comma in a comment ends nothing. RFC
 * 9110, 5.6.5. Returns its second word, the name; it is empty where there is none. */
static struct str next_name(struct str *list)
{
	struct str name = {NULL, 0};
	unsigned depth = 0;
	unsigned words = 0;
	bool in_word = false;
	size_t i = 0;

	for (; i < list->len && (depth > 0 || list->data[i] != ','); i++) {
		char byte = list->data[i];
		bool is_word = depth == 0 && byte != ' ' && byte != '\t' && byte != '(';

		words += is_word && !in_word;
		in_word = is_word;
		if (is_word && words == 2)
			name = (struct str){name.len ? name.data : list->data + i, name.len + 1};
		if (byte == '(')
			depth++;
		else if (byte == ')' && depth > 0)
			depth--;
		else if (byte == '\\' && depth > 0)
			i++;
	}
	size_t used = i < list->len ? i + 1 : list->len;
	*list = (struct str){list->data + used, list->len - used};
	return name;
}

size_t http_via_count(const struct http_head *head, struct str name)
{
	size_t count = 0;

	for (size_t i = 0; i < head->field_count; i++) {
		struct str list = head->fields[i].value;

		if (!str_equals_nocase(head->fields[i].name, STR("Via")))
			continue;
		while (list.len)
			count += str_equals_nocase(next_name(&list), name);
	}
	return count;
}
