set(LINK pb_smtp)
