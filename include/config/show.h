/*
 * show - a configuration as a file has it.
 */
#ifndef RONDO_CONFIG_SHOW_H
#define RONDO_CONFIG_SHOW_H

#include "config/config.h"

#include <stdio.h>

/* Prints every setting with its effective value and, in a comment, its origin; a valid file itself.
 */
void config_show(const struct config *config, FILE *out);

#endif
