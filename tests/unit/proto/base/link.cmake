set(LINK pb_base)
