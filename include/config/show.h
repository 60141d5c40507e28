/*
 * show - writes a configuration in the syntax of its file.
 */
#ifndef RONDO_CONFIG_SHOW_H
#define RONDO_CONFIG_SHOW_H

#include "config/config.h"

#include <stdio.h>

/* Prints every setting with its effective value and, in a comment, its origin. The output is a
 * valid configuration file.
 */
void config_show(const struct config *config, FILE *out);

#endif
