#include "node.h"

const char *config_node_kind_text(enum config_node_kind kind)
{
	static const char *const texts[] = {
	    [NODE_STRING] = "a string",
	    [NODE_INTEGER] = "a number",
	    [NODE_FLOAT] = "a number with a point",
	    [NODE_BOOLEAN] = "a boolean",
	    [NODE_LIST] = "a list",
	    [NODE_GROUP] = "a group",
	    [NODE_FAULTY] = "a faulty string",
	};

	return texts[kind];
}

bool config_node_is_faulty(const struct config_node *node, struct config_errors *errors)
{
	bool faulty = node->kind == NODE_FAULTY;

	if (faulty)
		config_errors_add(errors, (struct config_fault){node->line, NULL}, "%s",
		    node->text ? node->text : "out of memory");
	for (size_t i = 0; i < node->count; i++)
		faulty |= config_node_is_faulty(&node->items[i], errors);
	return faulty;
}
