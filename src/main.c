/* rondo - options, then the daemon. README.md has the map of the source. */
#include "daemon/daemon.h"
#include "daemon/modes.h"

int main(int argc, char **argv)
{
	struct options options;

	if (!options_parse(&options, argc, argv))
		return EXIT_BAD_USAGE;
	int status = options.mode == OPTIONS_RUN ? daemon_run(&options) : modes_run(&options);
	options_finish(&options);
	return status;
}
