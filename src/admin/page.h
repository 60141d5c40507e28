/*
 * page - the status page for people.
 *
 * One document that loads nothing else. The build joins the files in src/admin/page into one text
 * with two marks. The current state replaces the marks: as JSON for the script, and as plain tables
 * for a browser without scripts. All text from outside is escaped.
 */
#ifndef RONDO_ADMIN_PAGE_H
#define RONDO_ADMIN_PAGE_H

#include "status.h"

#include <stdio.h>

/* Writes the document. False without memory: the document is incomplete then. */
bool page_write(const struct status_source *source, FILE *out);

#endif
