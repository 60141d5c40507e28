/* rondo - options, then the daemon. README.md has the map of the source. */
#include "server/daemon.h"

int main(int argc, char **argv)
{
	struct options options;

	if (!options_parse(&options, argc, argv))
		return EXIT_BAD_USAGE;
	int status = options.mode == OPTIONS_RUN ? daemon_run(&options) : options_answer(&options);
	options_finish(&options);
	return status;
}
