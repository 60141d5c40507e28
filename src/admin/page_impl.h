/* page_impl - the document that src/admin/page/embed.cmake makes of the files beside it. */
#ifndef RONDO_ADMIN_PAGE_IMPL_H
#define RONDO_ADMIN_PAGE_IMPL_H

#include "page.h"

/* Terminated. */
extern const char page_text[];

#endif
