#include "daemon/options.h"

#include <getopt.h>
#include <stdlib.h>

/* Long options without a short form. */
enum { OPTION_LISTEN = 256, OPTION_BACKEND, OPTION_SET };

static const struct option long_options[] = {
    {"config", required_argument, NULL, 'c'},
    {"test", no_argument, NULL, 't'},
    {"dump", no_argument, NULL, 'T'},
    {"probe", no_argument, NULL, 'P'},
    {"explain", required_argument, NULL, 'E'},
    {"listen", required_argument, NULL, OPTION_LISTEN},
    {"backend", required_argument, NULL, OPTION_BACKEND},
    {"set", required_argument, NULL, OPTION_SET},
    {"quiet", no_argument, NULL, 'q'},
    {"version", no_argument, NULL, 'V'},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

/* The lists while they are filled; each has room for all of argv. */
struct lists {
	const char **listens, **backends, **sets;
};

static bool refuse(const char *what, const char *argument)
{
	fprintf(stderr, "rondo: %s%s%s; try 'rondo --help'\n", what, argument ? " " : "",
	    argument ? argument : "");
	return false;
}

static bool take_mode(struct options *options, enum options_mode mode)
{
	/* Help and version win over all other options. */
	if (options->mode == OPTIONS_HELP || options->mode == OPTIONS_VERSION)
		return true;
	if (mode != OPTIONS_HELP && mode != OPTIONS_VERSION && options->mode != OPTIONS_RUN &&
	    options->mode != mode)
		return refuse("only one of -t, -T, -P and -E is allowed", NULL);
	options->mode = mode;
	return true;
}

static bool take_option(struct options *options, struct lists *lists, int option)
{
	struct config_source *source = &options->source;

	switch (option) {
	case 'c':
		source->file = optarg;
		return true;
	case 't':
		return take_mode(options, OPTIONS_TEST);
	case 'T':
		return take_mode(options, OPTIONS_DUMP);
	case 'P':
		return take_mode(options, OPTIONS_PROBE);
	case 'E':
		options->explain = optarg;
		return take_mode(options, OPTIONS_EXPLAIN);
	case 'q':
		options->quiet = true;
		return true;
	case 'V':
		return take_mode(options, OPTIONS_VERSION);
	case 'h':
		return take_mode(options, OPTIONS_HELP);
	case OPTION_LISTEN:
		lists->listens[source->listen_count++] = optarg;
		return true;
	case OPTION_BACKEND:
		lists->backends[source->backend_count++] = optarg;
		return true;
	case OPTION_SET:
		lists->sets[source->set_count++] = optarg;
		return true;
	default:
		abort(); /* long_options has no other values */
	}
}

/* Reports the option that getopt refused. */
static bool refuse_option(int result, char *const *argv)
{
	char letter[] = {'-', (char)optopt, '\0'};
	bool is_known = false;

	for (const struct option *option = long_options; option->name; option++)
		is_known |= option->val == optopt;
	if (result == ':')
		return refuse("a value is missing after", argv[optind - 1]);
	if (is_known)
		return refuse("no value is allowed in", argv[optind - 1]);
	return refuse("unknown option", optopt ? letter : argv[optind - 1]);
}

static bool parse(struct options *options, struct lists *lists, int argc, char **argv)
{
	int option;

	opterr = 0;
	optind = 0; /* restart getopt, in case it was used before */
	while ((option = getopt_long(argc, argv, "+:c:tTPE:qVh", long_options, NULL)) != -1) {
		if (option == '?' || option == ':')
			return refuse_option(option, argv);
		if (!take_option(options, lists, option))
			return false;
	}
	if (optind < argc)
		return refuse("unknown argument", argv[optind]);
	return true;
}

bool options_parse(struct options *options, int argc, char **argv)
{
	size_t room = (size_t)argc + 1;
	const char **storage = calloc(3 * room, sizeof(*storage));
	struct lists lists;

	*options = (struct options){.argv = argv, .lists = storage};
	if (!storage) {
		fprintf(stderr, "rondo: out of memory\n");
		return false;
	}
	lists = (struct lists){storage, storage + room, storage + 2 * room};
	options->source.listens = lists.listens;
	options->source.backends = lists.backends;
	options->source.sets = lists.sets;
	if (!parse(options, &lists, argc, argv)) {
		options_finish(options);
		return false;
	}
	if (!options->source.file && options->source.backend_count == 0)
		options->source.file = RONDO_CONFIG_FILE;
	return true;
}

void options_finish(struct options *options)
{
	free(options->lists);
	*options = (struct options){0};
}
