/* page_impl - the document that src/server/page/embed.cmake makes of the files beside it. */
#ifndef RONDO_SERVER_PAGE_IMPL_H
#define RONDO_SERVER_PAGE_IMPL_H

#include "server/page.h"

/* Terminated. */
extern const char page_text[];

#endif
