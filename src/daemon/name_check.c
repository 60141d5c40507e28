#include "name_check.h"

#include "event/resolve.h"

#include <stdlib.h>

struct lookup {
	struct names_asked *all;
	struct resolve_query query;
	const char *error; /* NULL: it has an address */
};

struct names_asked {
	struct loop *loop;
	struct resolver *resolver;
	struct timer limit;
	struct lookup *lookups; /* one for each backend */
	size_t open;            /* without an answer */
};

static void on_done(struct resolve_query *query, const struct resolve_answer *answer)
{
	struct lookup *lookup = container_of(query, struct lookup, query);

	lookup->error = answer->error;
	if (--lookup->all->open == 0)
		loop_stop(lookup->all->loop);
}

static void on_limit(struct timer *timer)
{
	loop_stop(container_of(timer, struct names_asked, limit)->loop);
}

static bool open_names(struct names_asked *names, size_t count)
{
	names->lookups = calloc(count + 1, sizeof(*names->lookups));
	names->loop = loop_create();
	names->resolver =
	    names->loop ? resolver_create(names->loop, &(struct resolver_options){0}) : NULL;
	timer_init(&names->limit, on_limit);
	return names->lookups && names->resolver;
}

static void ask(struct names_asked *names, struct lookup *lookup, const char *host)
{
	lookup->all = names;
	resolve_init(&lookup->query, on_done);
	lookup->error = "name servers do not answer";
	if (resolve_start(names->resolver, &lookup->query, str_from(host), 0))
		names->open++;
}

static void await(struct names_asked *names)
{
	timer_arm(loop_timers(names->loop), &names->limit,
	    loop_refresh_us(names->loop) + NAME_CHECK_MS * INT64_C(1000));
	if (names->open > 0)
		loop_run(names->loop);
	timer_remove(loop_timers(names->loop), &names->limit);
}

static void print(const struct names_asked *names, const struct config *config, FILE *out)
{
	size_t found = 0;

	for (size_t i = 0; i < config->backend_count; i++) {
		const struct config_backend *backend = &config->backends[i];
		const char *error = names->lookups[i].error;

		if (error && ++found <= NAME_CHECK_LINES)
			fprintf(out, "%s: warning: backend %s is unresolved: %s: %s\n",
			    backend->origin, backend->options.name, backend->options.host, error);
	}
	if (found > NAME_CHECK_LINES)
		fprintf(
		    out, "and %zu more backends that are unresolved\n", found - NAME_CHECK_LINES);
}

static bool has_name(const struct backend_options *options)
{
	struct net_addr literal;

	return options->host && !net_addr_from_ip(&literal, str_from(options->host), 0);
}

void name_check_write(const struct config *config, FILE *out)
{
	struct names_asked names = {0};

	if (open_names(&names, config->backend_count)) {
		for (size_t i = 0; i < config->backend_count; i++) {
			const struct backend_options *options = &config->backends[i].options;

			if (has_name(options))
				ask(&names, &names.lookups[i], options->host);
		}
		await(&names);
		print(&names, config, out);
	}
	resolver_destroy(names.resolver);
	if (names.loop)
		loop_destroy(names.loop);
	free(names.lookups);
}
