#include "lineup.h"

#include <stdlib.h>

bool lineup_prepare(
    struct lineup *lineup, const struct config *config, struct ring *ring, struct backend_env *env)
{
	struct backend **list = calloc(config->backend_count, sizeof(struct backend *));
	bool good = list != NULL;

	*lineup = (struct lineup){.config = config, .backends = list};
	for (size_t i = 0; i < config->backend_count && good; i++) {
		const struct backend_options *options = &config->backends[i].options;

		list[i] = ring_find_url(ring, str_from(options->url));
		if (list[i])
			backend_hold(list[i]);
		else
			list[i] = backend_create(env, options);
		good = list[i] != NULL;
	}
	if (!good)
		lineup_finish(lineup);
	return good;
}

bool lineup_apply(struct lineup *lineup, struct ring *ring)
{
	const struct config *config = lineup->config;

	for (size_t i = 0; i < config->backend_count; i++)
		if (!backend_update(lineup->backends[i], &config->backends[i].options))
			return false;
	return ring_set(ring, lineup->backends, config->backend_count);
}

void lineup_finish(struct lineup *lineup)
{
	for (size_t i = 0; lineup->backends && i < lineup->config->backend_count; i++)
		if (lineup->backends[i])
			backend_drop(lineup->backends[i]);
	free(lineup->backends);
	*lineup = (struct lineup){0};
}
