set(LINK pb_message pb_base)
