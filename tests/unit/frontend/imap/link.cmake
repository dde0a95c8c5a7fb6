set(LINK pb_imap)
