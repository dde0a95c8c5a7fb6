set(LINK pb_session)
