/*
 * page - the status page for people.
 *
 * One document without anything from elsewhere. Its sources are the files in src/admin/page, which
 * the build puts together into one text with two marks; what the page shows first stands in their
 * place, as JSON for the script, and as plain tables for a browser that runs none. Everything that
 * comes from outside is escaped.
 */
#ifndef RONDO_ADMIN_PAGE_H
#define RONDO_ADMIN_PAGE_H

#include "status.h"

#include <stdio.h>

/* Writes the document. False without memory: it is not whole. */
bool page_write(const struct status_source *source, FILE *out);

#endif
