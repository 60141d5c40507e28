/*
 * listen - reads the addresses to listen on, and the groups with what belongs to one of them.
 *
 * A group is { address = "..."; ... }: its members are in the second table of settings. Each fault
 * is reported with its line.
 */
#ifndef RONDO_CONFIG_LISTEN_H
#define RONDO_CONFIG_LISTEN_H

#include "load_state.h"

/* Reads the value of `listen`: addresses, groups, or a list of both. */
void config_listen_read(struct config_load *load, const struct config_node *node);

/* Can only one of the two be opened? */
bool config_listen_excludes(const struct config_listen *one, const struct config_listen *other);

#endif
