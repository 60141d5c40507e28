#include "fd_limit.h"

#include "base/log.h"
#include "event/pipes.h"

#include <sys/resource.h>

void fd_limit_apply(struct config *config)
{
	unsigned *connections = &config->rules.limits.connections;
	rlim_t others = 64 + 2 * config->backend_count;
	rlim_t pipes = 2 * PIPES_MAX;
	rlim_t needed = 2 * (rlim_t)*connections + pipes + others;
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= needed)
		return;
	limit.rlim_cur = limit.rlim_max < needed ? limit.rlim_max : needed;
	setrlimit(RLIMIT_NOFILE, &limit);
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= needed)
		return;
	if (others > limit.rlim_cur / 4)
		others = limit.rlim_cur / 4;
	if (pipes > limit.rlim_cur / 4)
		pipes = limit.rlim_cur / 4;
	unsigned wanted = *connections;
	rlim_t fitting = (limit.rlim_cur - pipes - others) / 2;
	if (fitting >= wanted)
		return;
	*connections = (unsigned)fitting;
	log_warning("limits.connections = %u needs %llu descriptors, but only %llu are allowed: "
		    "new clients wait when %u are connected (LimitNOFILE= of the unit raises it)",
	    wanted, (unsigned long long)needed, (unsigned long long)limit.rlim_cur, *connections);
}
