/*
 * changes - compares the running configuration with a new one.
 */
#ifndef RONDO_CONFIG_CHANGES_H
#define RONDO_CONFIG_CHANGES_H

#include "config/config.h"

/*
 * Calls `say` for each difference: "+app3 http://h:3", "-app2 http://h:2", "app1 weight 3 -> 5",
 * "retry.tries 3 -> 2", "limits.header_bytes 16k -> 32k needs a restart". Of the changes of
 * backends it says the first two hundred, and then how many more there are, because each line costs
 * a write. Returns the number of all changes.
 */
typedef void config_say(void *context, const char *line);
size_t config_describe_changes(
    const struct config *old, const struct config *new, config_say *say, void *context);

/*
 * Settings that need a restart keep their value of `running`, since buffers are sized from them.
 * Call it for a newly loaded configuration after its changes were described and before it has a
 * user.
 */
void config_keep_sizes(struct config *config, const struct config *running);

#endif
