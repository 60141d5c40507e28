/*
 * changes - what a reload changes, and what it cannot change.
 */
#ifndef RONDO_CONFIG_CHANGES_H
#define RONDO_CONFIG_CHANGES_H

#include "config/config.h"

/*
 * Says what differs, a line each: "+app3 http://h:3", "-app2 http://h:2", "app1 weight 3 -> 5",
 * "retry.tries 3 -> 2", "limits.header_bytes 16k -> 32k needs a restart". Answers how many lines
 * there were.
 */
typedef void config_say(void *context, const char *line);
size_t config_describe_changes(
    const struct config *old, const struct config *new, config_say *say, void *context);

/*
 * Settings that need a restart keep the value they have in `running`: buffers are sized from them.
 * For a configuration that was just loaded and has no user yet, after its changes were described.
 */
void config_keep_sizes(struct config *config, const struct config *running);

#endif
