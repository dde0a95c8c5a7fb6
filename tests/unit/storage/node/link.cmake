set(LINK pb_node)
