set(LINK pb_session pb_node)
