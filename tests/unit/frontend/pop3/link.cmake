set(LINK pb_pop3)
