#include "http/claim.h"

enum { LENGTH_MAX = 17 };

/* By the length of their names. */
static const struct str names[LENGTH_MAX + 1][2] = {
    [5] = {{"proxy", 5}},
    [9] = {{"x-real-ip", 9}, {"forwarded", 9}},
    [10] = {{"connection", 10}},
    [14] = {{"content-length", 14}},
    [15] = {{"front-end-https", 15}},
    [17] = {{"transfer-encoding", 17}},
};

/* Does the name begin with `wanted`, in lower case there? */
static bool reads_as(const char *name, struct str wanted)
{
	for (size_t i = 0; i < wanted.len; i++) {
		char byte = name[i];

		if (byte == '_')
			byte = '-';
		else if (byte >= 'A' && byte <= 'Z')
			byte = (char)(byte | 0x20);
		if (byte != wanted.data[i])
			return false;
	}
	return true;
}

bool http_claim_is_named(struct str name)
{
	static const struct str prefix = {"x-forwarded-", 12};

	if (name.len >= prefix.len && reads_as(name.data, prefix))
		return true;
	if (name.len > LENGTH_MAX)
		return false;
	for (size_t i = 0; i < 2 && names[name.len][i].len > 0; i++)
		if (reads_as(name.data, names[name.len][i]))
			return true;
	return false;
}
